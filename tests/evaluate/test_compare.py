"""A comparison spends the same on every rule, goes on where it was, and is judged."""

import json

import pytest
import torch
from msgspec.structs import replace

from backend.cli.main import main
from backend.job.job import JobError, make_job
from backend.run.distill import DivergedError
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.studies.compare import finished, one_start, run, within_budget
from backend.studies.evaluate.references import prior_checksum
from tests.small import SPLATS


def test_equal_budgets_and_continuing(tmp_path, capsys, kit):
    (tmp_path / "prompts.txt").write_text("a red apple\n\nxqzzt wvvkp\na red apple\n", encoding="utf-8-sig")
    command = ["compare", "--prompts", str(tmp_path / "prompts.txt"), "--seeds", "1", "--budget", "48"]
    command += ["--prior", kit, "--quality", "draft", "--no-samples", "--out", str(tmp_path)]
    assert main([*command, "--objective", "sds"]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "blank or repeated lines" in printed
    assert ": 2, 4." in printed
    assert 'Skipped: prompt "xqzzt wvvkp" names nothing' in printed
    first = tmp_path / "runs/sds-a-red-apple-0"
    stamp = (first / "metrics.json").stat().st_mtime_ns
    assert main([*command, "--objective", "sds", "--objective", "jsd"]) == 0
    assert (first / "metrics.json").stat().st_mtime_ns == stamp
    rows = {
        path.name.split("-")[0]: json.loads((path / "metrics.json").read_text())["prior_rows"]
        for path in (tmp_path / "runs").iterdir()
    }
    assert rows["sds"] == 48
    assert 24 < rows["jsd"] <= 60
    assert set(json.loads((tmp_path / "evaluation.json").read_text())["objectives"]) == {"sds", "jsd"}


@pytest.mark.parametrize("budget", [1, 10**9])
def test_a_budget_that_buys_no_run_is_refused(budget, kit):
    with pytest.raises(JobError, match=f"budget: {budget} pictures are out of range for sds; use 2 to 200000"):
        within_budget({"objective": "sds", "prior": kit, "recipe": {"views": 2}}, ["a red apple"], budget)


def test_damaged_runs_and_runs_with_another_kit_are_repeated(tmp_path, kit):
    job = make_job({"prompt": "a red apple", "objective": "sds", "prior": kit, "recipe": {"steps": 1, "views": 1}})
    folder = JobFolder(tmp_path / "cell")
    assert not finished(folder, job)
    run(job, folder)
    assert finished(folder, job)
    assert not finished(folder, replace(job, seed=1))
    metrics = folder / "metrics.json"
    whole = metrics.read_text()
    metrics.write_text(whole.replace(prior_checksum(kit), "00000000"))
    assert not finished(folder, job)
    metrics.write_text(whole)
    (folder / "job.json").write_bytes((folder / "job.json").read_bytes()[:-20])
    assert not finished(folder, job)


def test_variants_are_compared_and_run_again_when_their_settings_change(tmp_path, kit):
    (tmp_path / "prompts.txt").write_text("a red apple\n")
    recipe = {"steps": 2, "views": 2, "splats": SPLATS}
    low, high = ({"objective": "csd", "recipe": {**recipe, "options": {"guidance_scale": s}}} for s in (2.0, 9.0))
    (tmp_path / "variants.json").write_text(json.dumps({"CSD, low": low, "CSD, high": high}))
    command = ["compare", "--prompts", str(tmp_path / "prompts.txt"), "--variants", str(tmp_path / "variants.json")]
    command += ["--prior", kit, "--seeds", "1", "--no-samples", "--out", str(tmp_path)]
    assert main(command) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())["objectives"]
    assert set(found) == {"csd guidance_scale=2.0", "csd guidance_scale=9.0"}
    stamps = {path.name: (path / "metrics.json").stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    low["recipe"]["steps"] = 3
    (tmp_path / "variants.json").write_text(json.dumps({"CSD, low": low, "CSD, high": high}))
    assert main(command) == 0
    again = {path.name: (path / "metrics.json").stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    rows = {g["objective"]: g["prior_rows"] for g in json.loads((tmp_path / "evaluation.json").read_text())["groups"]}
    # Steps x views x conditions: evaluated again as well.
    assert rows == {"csd steps=2 guidance_scale=9.0": [8], "csd steps=3 guidance_scale=2.0": [12]}
    assert [name for name in stamps if again[name] > stamps[name]] == [name for name in stamps if "low" in name]
    assert len(again) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "must be a JSON object"),
        ('{"a": 1}', "must be a JSON object"),
        ("[", "is not JSON"),
        ('{"a b": {}, "a-b": {}}', "only in punctuation"),
        ('{"a": {"objective": "nothing"}}', "a: objective: 'nothing' is not one of"),
        ('{"a": {"recipe": {"steps": 1, "options": {"nope": 1}}}}', "a: recipe.options"),
        ('{"a": {"recipe": 3}}', "a: recipe"),
        ('{"a": {"prior": "/nowhere", "recipe": {"steps": 1}}}', "a: "),
        ('{"a": {"seed": 3}}', "a must not set seed"),
        ('{"a": {}, "b": {"objective": "vdm"}}', "b has the same settings as another one"),
    ],
)
def test_variants_that_cannot_be_used_are_refused(text, reason, tmp_path, capsys, kit):
    (tmp_path / "variants.json").write_text(text)
    (tmp_path / "prompts.txt").write_text("a chair\n")
    command = ["compare", "--prompts", str(tmp_path / "prompts.txt"), "--prior", kit, "--out", str(tmp_path / "out")]
    assert main([*command, "--one-start", "--variants", str(tmp_path / "variants.json")]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["xqzzt wvvkp\n", "\n  \n", ""])
def test_prompts_that_cannot_be_used_are_refused_before_anything_is_run(text, tmp_path, capsys, kit):
    (tmp_path / "prompts.txt").write_text(text)
    out = ["--prior", kit, "--out", str(tmp_path / "out")]
    assert main(["compare", "--prompts", str(tmp_path / "prompts.txt"), *out]) == 2
    assert "prompts: none of them can be used" in capsys.readouterr().err
    assert main(["compare", "--prompts", str(tmp_path / "nothing.txt"), *out]) == 2
    assert "nothing.txt cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_that_diverges_is_skipped(tmp_path, monkeypatch, capsys, kit):
    def sometimes(job, folder):
        if job.objective == "csd":
            raise DivergedError("Step 3: a number became infinite or NaN.")
        run(job, folder)

    monkeypatch.setattr("backend.studies.compare.run", sometimes)
    (tmp_path / "prompts.txt").write_text("a red apple\n")
    command = ["compare", "--prompts", str(tmp_path / "prompts.txt"), "--seeds", "1", "--budget", "8", "--no-samples"]
    command += ["--prior", kit, "--quality", "draft"]
    assert main([*command, "--objective", "csd", "--objective", "sds", "--out", str(tmp_path)]) == 0
    assert "csd-a-red-apple-0: Step 3" in " ".join(capsys.readouterr().err.split())
    assert set(json.loads((tmp_path / "evaluation.json").read_text())["objectives"]) == {"sds"}


def test_seeds_of_one_start_differ_only_in_their_noise(tmp_path, kit):
    """The same splats before the first step, all objects that fit, and other splats after it."""
    fields = {"objective": "sds", "prior": kit, "quality": "draft", "recipe": {"steps": 1, "views": 1}}
    firsts, lasts, drawn = [], [], []
    for seed in (0, 1):
        session = Session(make_job({**one_start(fields), "prompt": "a chair", "seed": seed}), JobFolder(tmp_path))
        firsts.append(session.run.scene.splats())
        drawn.append(session.run.prior.prior.numbers.tolist())
        JobFolder(tmp_path).path.mkdir(exist_ok=True)
        list(session.steps(1))
        lasts.append(session.run.scene.splats())
    assert torch.equal(firsts[0].means, firsts[1].means)
    assert not torch.equal(lasts[0].means, lasts[1].means)
    assert drawn == [[0, 1, 2, 3]] * 2
    other = one_start({"recipe": {"catalogue": {"mix": 0.25, "objects": 3}, "steps": 7}})["recipe"]
    assert other == {"start_seed": 0, "catalogue": {"mix": 0.25, "objects": 0}, "steps": 7}

"""`evaluate` on real short runs: table, JSON and sheet; bad folders are reported and skipped; kept figures are used."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from backend.cli.main import main
from backend.priors.kit import Kit
from backend.scenes.ply import read_ply, write_ply
from backend.studies.evaluate import finished_job
from backend.studies.evaluate.classes import classes_of
from backend.studies.evaluate.measures import fid, kid


def test_many_jobs_at_once(runs, tmp_path, capsys):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "job.json").write_bytes((runs / "sds-0/job.json").read_bytes())
    folders = [*map(str, sorted(runs.glob("*-*"))), str(tmp_path / "half"), str(tmp_path / "nothing")]
    assert main(["evaluate", *folders, "--out", str(tmp_path / "out"), "--no-samples"]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "half: its job has not finished" in printed
    assert "nothing: has no job.json" in printed
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    sds = next(group for group in found["groups"] if group["objective"] == "sds")
    assert sds["seeds"] == [0, 1]
    assert 0 < sds["diversity"] < 0.5
    assert all(0 <= value <= 1 for value in sds["agreement"])
    assert sds["prior_rows"] == [2, 2]
    assert (sds["nearest"], sds["modes"]) == (["test/4", "test/4"], 1)
    assert all(5 < value < 30 for value in sds["psnr"])
    assert set(found["objectives"]) == {"sds", "csd"}
    assert "| csd |" in (tmp_path / "out/evaluation.md").read_text()
    assert all((tmp_path / f"out/{name}.png").stat().st_size > 1000 for name in ("sheet", "grid"))


def test_figures_are_kept_and_computed_again_where_the_splats_changed(runs, tmp_path, monkeypatch):
    def forbidden(*_):
        raise AssertionError("evaluated again")

    folder = runs / "sds-0"
    before = finished_job.evaluate_job(folder, finished_job.Judge())
    monkeypatch.setattr(finished_job, "_evaluate", forbidden)
    kept = finished_job.evaluate_job(folder, None)
    assert kept.figures == before.figures
    torch.testing.assert_close(kept.features, before.features)
    other = shutil.copytree(folder, tmp_path / "other")
    splats = bytearray((folder / "splats.ply").read_bytes())
    splats[-3] ^= 1
    (other / "splats.ply").write_bytes(splats)
    with pytest.raises(AssertionError, match="evaluated again"):
        finished_job.evaluate_job(other, None)
    job = (folder / "job.json").read_text()
    (folder / "job.json").write_text(job.replace("a red apple", "a green apple"))
    with pytest.raises(AssertionError, match="evaluated again"):
        finished_job.evaluate_job(folder, None)
    (folder / "job.json").write_text(job)


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("evaluation.json", lambda whole: whole[:-20]),
        ("evaluation.json", lambda whole: whole.replace(b'"version": 5', b'"version": 4')),
        ("evaluation.json", lambda whole: b"[]"),
        ("evaluation.npz", lambda whole: b""),
        ("evaluation.npz", lambda whole: whole[:-200]),
        ("evaluation.npz", lambda whole: whole[:5000] + b"damage" + whole[5006:]),
        ("evaluation.npz", lambda whole: b"nothing of the kind"),
    ],
)
def test_damaged_or_older_figures_are_computed_again(name, damaged, runs, tmp_path, monkeypatch):
    finished_job.evaluate_job(runs / "sds-0", finished_job.Judge())
    folder = shutil.copytree(runs / "sds-0", tmp_path / "copy")
    monkeypatch.setattr(finished_job, "_evaluate", lambda *_: "computed again")
    assert finished_job.evaluate_job(folder, None) != "computed again"
    (folder / name).write_bytes(damaged((folder / name).read_bytes()))
    assert finished_job.evaluate_job(folder, None) == "computed again"


@pytest.mark.parametrize("metrics", ["{", "[]", "{}", '{"seconds": null, "prior_calls": 1, "prior_rows": 1}', None])
def test_a_damaged_job_is_a_sentence(metrics, runs, tmp_path):
    folder = shutil.copytree(runs / "csd-0", tmp_path / "csd")
    (folder / "metrics.json").unlink()
    if metrics is None:
        (folder / "metrics.json").mkdir()
    else:
        (folder / "metrics.json").write_text(metrics)
    with pytest.raises(finished_job.EvaluationError, match=r"csd: one of its files is damaged"):
        finished_job.evaluate_job(folder, None)


def test_figures_that_cannot_be_kept_are_still_used(runs, tmp_path, caplog):
    folder = shutil.copytree(runs / "csd-0", tmp_path / "csd")
    (folder / "evaluation.npz").unlink(missing_ok=True)
    (folder / "evaluation.npz").mkdir()
    assert finished_job.evaluate_job(folder, finished_job.Judge()).figures.prior_rows > 0
    assert "cannot be kept there" in caplog.text


def test_nothing_to_evaluate(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "nothing to evaluate" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def painted(folder, where, more):
    """A copy of a job whose splats have `more` of every colour: after two steps all jobs still look alike."""
    copy = shutil.copytree(folder, where / folder.name)
    splats = read_ply(copy / "splats.ply")
    write_ply(replace(splats, sh=splats.sh + more), copy / "splats.ply")
    return copy


def test_against_the_priors_own_pictures(runs, tmp_path, kit):
    """Those of the kit's apple; each seed has its own distances, and the others' to the first."""
    folders = [runs / "sds-0", painted(runs / "sds-1", tmp_path, 2.0), painted(runs / "csd-0", tmp_path, -2.0)]
    assert main(["evaluate", *map(str, folders), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    judge, apple = finished_job.Judge(), torch.from_numpy(Kit(Path(kit)).views(4)[12:28:2].copy()).float() / 255
    reference = judge.features(apple[..., :3] * apple[..., 3:] + 0.5 * (1 - apple[..., 3:]))
    seen = [finished_job.evaluate_job(folder, judge).features for folder in folders]
    sds, csd = found["groups"]
    assert sds["kid"] == pytest.approx([kid(features, reference) for features in seen[:2]], rel=1e-3)
    assert sds["fid"] == pytest.approx([fid(features, reference) for features in seen[:2]], rel=1e-3)
    assert abs(sds["kid"][0] - sds["kid"][1]) > 1e-2
    assert abs(sds["fid"][0] - sds["fid"][1]) > 1
    assert len(sds["janus"]) == 2
    own = judge.probabilities(reference)[:, classes_of("an apple")].sum(-1).mean()
    assert sds["own_agreement"] == pytest.approx(float(own), rel=1e-3)
    assert sds["relative_agreement"] == pytest.approx([one / float(own) for one in sds["agreement"]], rel=1e-3)
    assert found["baseline"] == "sds"
    mean, half, _ = found["objectives"]["csd"]["kid_difference"]
    assert (mean, half) == (pytest.approx(csd["kid"][0] - sds["kid"][0]), None)
    assert abs(mean) > 1e-2


def test_a_damaged_kit_is_reported_and_the_rest_is_evaluated(runs, tmp_path, kit, caplog, capsys):
    copy = shutil.copytree(kit, tmp_path / "kit")
    folder = shutil.copytree(runs / "sds-0", tmp_path / "sds")
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "prior": str(copy)}))
    (copy / "0004.webp").write_bytes(b"none")
    assert main(["evaluate", str(folder), str(runs / "csd-0"), "--out", str(tmp_path / "out")]) == 0
    assert "0004.webp is damaged" in caplog.text
    printed = " ".join(capsys.readouterr().err.split())
    assert "No FID, KID, Janus and own agreement for a red apple" in printed
    sds, csd = json.loads((tmp_path / "out/evaluation.json").read_text())["groups"]
    assert "psnr" not in sds
    assert "kid" not in sds
    assert csd["nearest"] == ["test/4"]


def test_options_of_older_versions_are_reported_and_the_rest_is_evaluated(runs, tmp_path, capsys):
    shutil.copytree(runs / "sds-1", tmp_path / "old")
    job = json.loads((tmp_path / "old/job.json").read_text())
    job["recipe"]["options"] = {"once": 1}
    (tmp_path / "old/job.json").write_text(json.dumps(job))
    command = ["evaluate", str(tmp_path / "old"), str(runs / "sds-1"), "--out", str(tmp_path / "out"), "--no-samples"]
    assert main(command) == 0
    assert "old: one of its files is damaged or cannot be read (recipe.options" in " ".join(
        capsys.readouterr().err.split()
    )

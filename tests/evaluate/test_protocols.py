"""`evaluate --protocol` end to end on tiny models, as a process where it is killed."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from loopback_llm import Raw, llm, until
from rich.console import Console
from tiny_judges import save_blip, save_clip, save_dino, save_image_reward, save_inception
from tiny_pipelines import save_stable_diffusion

from backend.cli.main import main
from backend.job.job import make_job
from backend.run.assemble import load_prior
from backend.run.folder import JobFolder
from backend.studies.compare import run
from backend.studies.evaluate.diversity import diversity
from backend.studies.evaluate.image_reward import image_reward
from backend.studies.evaluate.judge import Judge
from backend.studies.evaluate.measures import fid, inception_variance, t3_score
from backend.studies.evaluate.optional_judges import Inception, clip_judge, clip_scores, dino_judge
from backend.studies.evaluate.protocols import table
from backend.studies.evaluate.protocols.mesh_pictures import view_of
from backend.studies.evaluate.protocols.published import PUBLISHED
from backend.studies.evaluate.protocols.rows import Row
from backend.studies.evaluate.protocols.subjects import circle, seen, subjects
from backend.studies.evaluate.references import own_views, with_all_objects
from backend.studies.evaluate.sphere import sphere_cameras
from tests.small import SPLATS

ROOT, SIDE = Path(__file__).parents[2], 16
SEEN = {"capture_output": True, "text": True, "timeout": 120}
NAMES = ("sds-0", "sds-1", "csd-0")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Tiny judges and a tiny Stable Diffusion, each in its folder."""
    root = tmp_path_factory.mktemp("weights")
    save_clip(root / "clip")
    save_clip(root / "clip-bigg", seed=1)
    save_dino(root / "dino")
    save_blip(root / "blip")
    save_image_reward(root / "reward")
    save_inception(root / "inception.pt")
    save_stable_diffusion(root / "sd")
    return root


@pytest.fixture(scope="session")
def runs(tmp_path_factory, kit):
    """Two seeds of one job and one of another, a few steps each, as `compare` makes them: without a mesh."""
    root = tmp_path_factory.mktemp("plain-runs")
    for name in NAMES:
        objective, seed = name.split("-")
        job = {"prompt": "a red apple", "objective": objective, "seed": int(seed), "prior": kit, "quality": "draft"}
        run(make_job(job | {"recipe": {"steps": 2, "views": 1, "splats": SPLATS}}), JobFolder(root / name))
    return root


@pytest.fixture
def jobs(runs, tmp_path):
    """The runs, each with a box as its mesh, which is quickly drawn."""
    folders = []
    for number, name in enumerate(NAMES):
        folders.append(shutil.copytree(runs / name, tmp_path / "jobs" / name))
        box = trimesh.creation.box((1, 2, 3 + number))
        colours = np.random.default_rng(number).integers(0, 256, (8, 4), np.uint8)
        box.visual = trimesh.visual.ColorVisuals(box, vertex_colors=colours)
        box.export(folders[-1] / "mesh.glb")
    return folders


def evaluate(protocol, folders, out, **options):
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return ["evaluate", *map(str, folders), "--out", str(out), "--protocol", protocol, f"--side={SIDE}", *words]


def result(out, protocol):
    found = json.loads((out / f"{protocol}.json").read_text())
    assert found["protocol"] == protocol
    return {row["method"]: row for row in found["rows"]}


def printed(capsys):
    return " ".join(capsys.readouterr().err.split())


def good(_, question):
    return "A red apple." if "caption alone" in question else "4"


def test_t3bench_is_killed_and_goes_on_where_it_stopped(jobs, weights, tmp_path):
    """The first result is there, the model does not answer for the second: kill -9; then it is asked for the others."""
    (tmp_path / "prompt_single.txt").write_text("a red apple\na desk lamp\n")
    out = tmp_path / "out"
    judges = {"image_reward": weights / "reward", "clip": weights / "clip", "blip": weights / "blip"}

    def command(server):
        return [
            *(sys.executable, "-m", "backend"),
            *evaluate("t3bench", jobs, out, llm=server.url, llm_model="tiny", prompts=tmp_path, **judges),
        ]

    environment = os.environ | {"SPLATSMITH_LLM_KEY": "top-secret"}
    with llm(lambda number, question: good(number, question) if number < 3 else Raw(hang=True)) as server:
        process = subprocess.Popen(command(server), cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        until(lambda: len(server.asked) == 3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        port = server.server_port
    (first,) = (f for f in (out / "t3bench").glob("a-red*.json") if "alignment" in json.loads(f.read_text())["parts"])
    before, stamp = first.read_bytes(), first.stat().st_mtime_ns
    assert len(list((out / "t3bench").glob("a-red*.json"))) == 2
    assert not (out / "t3bench.json").exists()

    with llm(good, port) as server:
        done = subprocess.run(command(server), cwd=ROOT, env=environment, check=False, **SEEN)
        assert done.returncode == 0, done.stderr
        assert len(server.asked) == 4
        assert set(server.keys) == {"Bearer top-secret"}
    assert (first.read_bytes(), first.stat().st_mtime_ns) == (before, stamp)
    rows = result(out, "t3bench")
    assert rows["sds"]["ours"]
    assert rows["sds"]["source"] == "single 1 of 2 prompts"
    values = rows["sds"]["values"]
    assert values["single alignment"] == 75
    reward = image_reward(str(weights / "reward"))
    expected = [quality_by_hand(subject, reward) for subject in subjects(jobs) if subject.method == "sds"]
    assert values["single quality"] == pytest.approx(sum(expected) / 2, abs=1e-3)
    assert values["single average"] == pytest.approx((values["single quality"] + 75) / 2)
    assert "single quality by CLIP" in values
    assert rows["ProlificDreamer"]["values"]["single average"] == 49.4
    assert rows["ProlificDreamer"]["source"] == "t3bench.com, leaderboard"
    assert "| (ours) sds |" in done.stderr
    assert "| ProlificDreamer |" in (out / "t3bench.md").read_text()
    assert not any(b"top-secret" in file.read_bytes() for file in out.rglob("*") if file.is_file())


def quality_by_hand(subject, reward):
    view, what = view_of(subject)
    assert what == "mesh"
    scores = []
    for degrees in (60.0, 45.0, 36.0, 30.0, 24.0):
        pictures = torch.cat(list(view(sphere_cameras(2, 2.2, degrees), SIDE)))
        scores.append(reward(pictures, subject.prompt))
    return 50 + 20 * t3_score(torch.stack(scores).max(0).values)


def test_t3bench_with_bad_answers_scores_the_rest(jobs, weights, tmp_path, capsys, monkeypatch):
    """Nonsense for one, an error for the next, a good answer for the last: told, and asked again by the next call."""
    monkeypatch.delenv("SPLATSMITH_LLM_KEY", raising=False)
    replies = {1: "A red apple", 2: "I like it", 3: Raw(500), 4: "A red apple", 5: "2"}
    with llm(lambda number, _: replies[number]) as server:
        command = evaluate("t3bench", jobs, tmp_path, blip=weights / "blip", llm=server.url)
        assert main(command) == 0
        said = printed(capsys)
        assert "the alignment of 'a red apple', as the LLM's answer is no grade from 1 to 5 ('I like it')." in said
        assert "the alignment of 'a red apple', as the LLM answers with the error 500." in said
        assert "2 jobs without an alignment: call the same command again" in said
        assert "Skipped: quality, which needs ImageReward: give it with --image-reward DIR." in said
        assert "Skipped: quality by CLIP, which needs CLIP: give it with --clip PATH." in said
        assert "These are not T3Bench's prompts" in said
        rows = result(tmp_path, "t3bench")
        assert rows["csd"]["values"] == {"own prompts alignment": 25}
        assert rows["sds"]["values"] == {}
        server.reply = good
        assert main(command) == 0
        assert len(server.asked) == 9
        assert result(tmp_path, "t3bench")["sds"]["values"] == {"own prompts alignment": 75}


def test_t3bench_without_anybody_at_the_address(jobs, weights, tmp_path, capsys):
    with llm(good) as server:
        pass
    folders = [*jobs, shutil.copytree(jobs[2], tmp_path / "more")]
    assert main(evaluate("t3bench", folders, tmp_path / "out", blip=weights / "blip", llm=server.url)) == 2
    said = printed(capsys)
    assert said.count("did not answer") == 3
    assert "It has been asked 3 times without an answer, and is asked no more." in said
    assert "no figure could be computed" in said


def test_dreammapping(runs, weights, tmp_path, capsys):
    """CLIP's two scores, and the distance to the kit's own pictures; all by hand, and nothing computed twice."""
    folders, options = (
        [runs / name for name in NAMES],
        {"clip": weights / "clip", "clip_bigg": weights / "clip-bigg", "views": 10},
    )
    command = evaluate("dreammapping", folders, tmp_path, inception=weights / "inception.pt", **options)
    assert main([*command, "--dino", "x", "--prompts", "y"]) == 0
    said = printed(capsys)
    assert "Not used by dreammapping: --dino, --prompts." in said
    rows, inception = result(tmp_path, "dreammapping"), Inception(weights / "inception.pt")
    mine = [subject for subject in subjects(folders) if subject.method == "sds"]
    cameras = circle(10, 0.0, 3.5, 31.51268)
    pictures = torch.cat([torch.cat(list(seen(JobFolder(one.folder).splats(), cameras, SIDE, 1.0))) for one in mine])
    for column, name in (("CLIP ViT-L/14", "clip"), ("CLIP ViT-bigG-14", "clip-bigg")):
        by_hand = float(clip_scores(clip_judge(str(weights / name)), pictures, "a red apple").mean())
        assert rows["sds"]["values"][column] == pytest.approx(by_hand, abs=1e-2)
    prior, _ = load_prior(with_all_objects(mine[0].job), torch.device("cpu"))
    by_hand = fid(inception(pictures), inception(own_views(prior)[0]))
    assert rows["sds"]["values"]["3D-FID"] == pytest.approx(by_hand, rel=1e-3)
    assert "20 views against 8 pictures" in rows["sds"]["source"]
    assert rows["DreamMapping"]["values"]["3D-FID"] == 139.03
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "dreammapping").iterdir()}
    assert main(command) == 0
    assert stamps == {file: file.stat().st_mtime_ns for file in (tmp_path / "dreammapping").iterdir()}
    (damaged,) = (file for file in stamps if file.name.endswith("own.npz"))
    damaged.write_bytes(b"PK")
    assert main([*command, "--views=3"]) == 0
    assert damaged.stat().st_size > 100
    assert "6 views against" in result(tmp_path, "dreammapping")["sds"]["source"]


def test_dreammapping_with_a_diffusers_pipeline_and_nothing_else(runs, weights, tmp_path, capsys):
    """The pipeline's own pictures; the judge that ships stands in; a prior that is gone is a sentence."""
    for name, prior in (("one", weights / "sd"), ("two", tmp_path / "nowhere")):
        shutil.copytree(runs / "sds-0", tmp_path / "runs" / name)
        job = json.loads((tmp_path / "runs" / name / "job.json").read_text())
        fields = {key: job[key] for key in ("objective", "seed")} | {"prompt": f"a chair {name}", "prior": str(prior)}
        (tmp_path / "runs" / name / "job.json").write_text(json.dumps(fields))
    command = evaluate("dreammapping", [tmp_path / "runs"], tmp_path / "out", views=3)
    assert main(command) == 0
    said = printed(capsys)
    assert "Skipped: CLIP ViT-L/14, which needs CLIP ViT-L/14: give it with --clip PATH." in said
    assert "give Inception with --inception FILE" in said
    assert "Skipped: the distance of 'a chair two' to its prior's own pictures, as" in said
    (ours,) = (row for row in result(tmp_path / "out", "dreammapping").values() if row["ours"] and row["values"])
    assert list(ours["values"]) == ["FID (EfficientNet)"]
    assert "3 views against 32 pictures (few for 1280 features: the distance is too large)" in ours["source"]
    shutil.rmtree(tmp_path / "out" / "dreammapping", ignore_errors=True)
    assert main([*command, "--no-samples"]) == 2


def test_diversedream(runs, weights, tmp_path, capsys):
    """Two seeds of one method, by hand; a single seed is told, and so are starts that differ."""
    command = evaluate("diversedream", [runs / name for name in NAMES], tmp_path, dino=weights / "dino", views=5)
    assert main(command) == 0
    said = printed(capsys)
    assert "csd: 1 prompt with a single result" in said
    assert "sds: the results of 1 prompt did not begin with the same splats" in said
    assert "IV and IQ is by EfficientNet" not in said
    assert "IV and IQ are by EfficientNet-Lite0" in said
    row, judge = result(tmp_path, "diversedream")["sds"], Judge()
    cameras = circle(5, 15.0, 1.5, 70.0)
    both = [torch.cat(list(seen(JobFolder(runs / f"sds-{seed}").splats(), cameras, SIDE, 0.5))) for seed in (0, 1)]
    p = torch.stack([judge.probabilities(judge.features(pictures)) for pictures in both])
    dino = torch.stack([dino_judge(str(weights / "dino"))(pictures) for pictures in both])
    values = row["values"]
    assert values["IV a view (EfficientNet)"] == pytest.approx(inception_variance(p), abs=1e-4)
    assert values["IV (EfficientNet)"] == pytest.approx(float(torch.special.entr(p.mean((0, 1))).sum()), abs=1e-4)
    assert values["cosine"] == pytest.approx(1 - diversity(dino), abs=1e-4)
    assert row["source"] == "1 prompt, 2 results each"
    assert "IV" not in values
    assert main([*command, "--inception", str(weights / "inception.pt")]) == 0
    assert {"IV", "IV a view", "IQ"} <= result(tmp_path, "diversedream")["sds"]["values"].keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--llm", "localhost"], "llm: 'localhost' is not an address"),
        (["--prompts", "/nowhere.txt"], "prompts: /nowhere.txt cannot be read"),
        (["--side", "0"], "invalid number above 0 value: '0'"),
        (["--llm-timeout", "nan"], "invalid number above 0 value: 'nan'"),
        (["--protocol", "t4bench"], "invalid choice: 't4bench'"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_done(words, said, tmp_path, capsys):
    command = ["evaluate", "nothing", "--out", str(tmp_path / "out"), "--protocol", "t3bench", *words]
    try:
        code = main(command)
    except SystemExit as error:  # argparse's
        code = error.code
    assert code == 2
    assert said in printed(capsys)
    assert not (tmp_path / "out").exists()


def test_another_model_in_place_of_blip_is_told(jobs, weights, tmp_path, capsys):
    with llm(good) as server:
        command = evaluate("t3bench", jobs, tmp_path / "out", blip=weights / "clip", llm=server.url)
        assert main([*command, "--views=3", "--no-samples"]) == 2
    said = printed(capsys)
    assert re.search("Skipped: BLIP, as .*clip cannot be loaded as its weights", said)
    assert "Not used by t3bench: --no-samples, --views." in said
    assert server.asked == []


def test_a_single_view_gives_no_distance(runs, weights, tmp_path):
    options = {"clip": weights / "clip", "inception": weights / "inception.pt", "views": 1}
    assert main(evaluate("dreammapping", [runs / "csd-0"], tmp_path, **options)) == 0
    assert list(result(tmp_path, "dreammapping")["csd"]["values"]) == ["CLIP ViT-L/14"]


def test_a_terminal_gets_a_drawn_table(monkeypatch):
    drawn = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(table, "console", drawn)
    rows = [Row("sds", {"3D-FID": 151.26}, "3 prompts", ours=True), *PUBLISHED["dreammapping"]]
    table.show(rows, ["3D-FID"], ["A note."])
    lines = [" ".join(line.split()) for line in drawn.file.getvalue().splitlines()]
    assert "(ours) sds 151.26 3 prompts" in lines
    assert "DreamMapping 139.03 Cai et al., 2409.05099, as noted; the table was not read" in lines


def test_protocol_options_without_a_protocol_are_told(runs, tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "out"), "--blip", "x", "--no-samples"]) == 2
    said = printed(capsys)
    assert "Not used without --protocol: --blip." in said
    assert main(evaluate("t3bench", [tmp_path], tmp_path / "out")) == 2
    assert "has no job.json" in printed(capsys)

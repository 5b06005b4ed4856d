"""A draft and the run that goes on from it: whole, stopped, killed, and where there can be none."""

import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path

import pytest
from start_runs import alpha, begun, equal, fields, overlap, psnr, save_model, short_drafts

from backend.cli.main import main
from backend.job.job import JobError, make_job
from backend.priors.base import PriorError
from backend.run import events, large_prior
from backend.run.credits import credits
from backend.run.draft import draft_job
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.scenes.ply import read_ply

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory)


def test_a_draft_has_the_prompt_the_seed_and_the_kit_s_own_recipe(model):
    job = make_job(fields(model, seed=7, recipe={"catalogue": {"mix": 0.75}}))
    draft = draft_job(job)
    assert (draft.prompt, draft.seed, draft.prior, draft.quality) == ("a wooden chair", 7, "embedded", "draft")
    assert (draft.recipe.steps, draft.recipe.catalogue.mix, draft.start) == (200, 0.75, "sphere")
    assert draft_job(make_job(fields(model, seed=7, recipe={"start_seed": 3}))).seed == 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    """A whole run of two steps after the draft of "a wooden chair": its folder, session and events, with the stage."""
    folder = tmp_path_factory.mktemp("whole")
    session = begun(folder, **two_steps(model))
    assert session.drafting
    heard = [(event, session.drafting) for event in session.steps(2, show_seconds=0.2)]
    session.save()
    return folder / "out", session, heard


def two_steps(model):
    return fields(model, recipe=fields(model)["recipe"] | {"steps": 2, "checkpoint_every": 5})


def test_a_run_goes_on_from_the_draft_with_the_large_prior(tmp_path, model, whole):
    """The draft takes the place of the ball: the first render with the large prior is the draft's last."""
    out, session, heard = whole
    kinds = [type(event) for event, _ in heard]
    assert kinds.count(events.DraftStep) == 200
    assert kinds[: kinds.index(events.Snapshot)].count(events.DraftStep) == 1  # something to see at once
    assert kinds.count(events.StepDone) == 2
    pictures = [(event, drafting) for event, drafting in heard if isinstance(event, events.Snapshot)]
    assert {event.step for event, drafting in pictures if drafting} == {0}
    draft = [event for event, drafting in pictures if drafting][-1].splats
    after = next(event for event, drafting in pictures if not drafting).splats  # a step later: moved a little
    assert len(after) == max(3500, len(draft))
    assert overlap(alpha(draft), alpha(after)) > 0.9
    assert psnr(alpha(draft), alpha(after)) > 25
    ball = begun(tmp_path, "ball", **fields(model, start="sphere")).run.scene.splats()
    assert overlap(alpha(draft), alpha(ball)) < 0.6
    list(session.results())
    metrics = json.loads((out / "metrics.json").read_text())
    told = metrics["started_from"]
    assert (told["start"], told["prior"], told["steps"], told["prior_calls"]) == ("draft", "embedded", 200, 200)
    assert metrics["credits"] == []
    assert metrics["prior_calls"] == 2
    chairs = told["credits"]
    assert chairs
    assert all("chair" in one["name"].lower() for one in chairs[:2])
    assert credits(JobFolder(out))[0].startswith(f"Started from {chairs[0]['title'] or chairs[0]['name']}")


def test_the_model_is_loaded_once_the_draft_is_done(tmp_path, model, monkeypatch):
    short_drafts(monkeypatch)
    large_prior.unload_large_prior()
    session = begun(tmp_path, **fields(model))
    loaded = []
    for event in session.steps(1):
        if isinstance(event, events.DraftStep):
            loaded.append(len(large_prior._loaded))
    assert loaded == [0] * 4
    assert len(large_prior._loaded) == 1


@pytest.mark.parametrize("stop", [2, 4])
def test_a_draft_that_is_stopped_goes_on_to_the_same_splats(tmp_path, model, monkeypatch, stop):
    """In its middle, and at its end; then once more in the run itself."""
    short_drafts(monkeypatch)
    whole = begun(tmp_path, "whole", **fields(model))
    list(whole.steps(2))
    list(whole.steps(3))  # in two goes, which changes neither the splats nor what is told of the start
    assert JobFolder(tmp_path / "whole").started_from()["prior_calls"] == 4
    session = begun(tmp_path, **fields(model))
    list(takewhile(lambda _: not (session.drafting and session.run.step == stop), session.steps(3)))
    session.save()
    folder = JobFolder(tmp_path / "out")
    assert len(read_ply(folder / "splats.ply")) == 3000  # the draft's, to be looked at
    session = Session.resume(folder)
    assert session.drafting
    assert (session.step, session.run.step) == (0, stop)
    list(takewhile(lambda _: session.step < 1, session.steps(3)))
    session.save()
    session = Session.resume(folder)
    assert not session.drafting
    list(session.steps(3))
    assert equal(session.run.scene.splats(), whole.run.scene.splats())
    assert session.cost()["prior_calls"] == 3
    assert folder.started_from()["prior_calls"] == 4


def test_words_that_fit_nothing_start_from_the_ball_with_a_warning(tmp_path, model):
    session = begun(tmp_path, **fields(model, prompt="qwrtzp flurble"))
    assert not session.drafting
    ball = begun(tmp_path, "ball", **fields(model, prompt="qwrtzp flurble", start="sphere"))
    assert equal(session.run.scene.splats(), ball.run.scene.splats())
    warnings = [event.text for event in session.steps(1) if isinstance(event, events.Warning)]
    assert any("grey ball" in text and "qwrtzp" in text for text in warnings)
    assert JobFolder(tmp_path / "out").started_from() == {"start": "sphere"}


def test_what_cannot_be_used_is_refused_before_the_draft(tmp_path, model):
    broken = shutil.copytree(model, tmp_path / "broken")
    (file,) = (broken / "unet").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    for changes, words in (
        ({"prior": str(broken)}, "damaged"),
        ({"prior": "/no/such/model"}, "does not exist"),
        ({"start_prior": "/no/such/kit"}, "start_prior: /no/such/kit is not a kit"),
        ({"recipe": {"options": {"guidance_scail": 1}}}, "guidance_scail"),
    ):
        with pytest.raises((PriorError, JobError), match=words):
            begun(tmp_path, **fields(model, **changes))
        assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_loaded_after_the_draft_can_be_mended(tmp_path, model, monkeypatch):
    short_drafts(monkeypatch)
    mended = Path(shutil.copytree(model, tmp_path / "model"))
    config = mended / "vae" / "config.json"
    content = config.read_text()
    config.write_text("{")
    session = begun(tmp_path, **fields(str(mended)))
    with pytest.raises(PriorError, match="vae"):
        list(session.steps(3))
    assert equal(read_ply(tmp_path / "out" / "splats.ply"), session.run.scene.splats())
    config.write_text(content)
    session = Session.resume(JobFolder(tmp_path / "out"))
    assert (session.drafting, session.run.step) == (True, 4)
    kinds = [type(event) for event in session.steps(3)]
    assert events.DraftStep not in kinds
    assert kinds.count(events.StepDone) == 3


def interrupted(out, *options, signal_number, past=0):
    """The command, sent a signal once its checkpoint is past a step of the draft: its exit code and what it said."""
    command = [sys.executable, "-m", "backend", "generate", *map(str, options)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    file, end = out / "checkpoint.safetensors", time.monotonic() + 120
    while (not file.exists() or int(JobFolder(out).load()["draft.step"]) <= past) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal_number)
    said = process.communicate()[1]
    return process.returncode, said


def test_kill_and_stop_in_the_draft_and_continue_gives_the_same_splats(tmp_path, model, whole):
    """Processes of their own: the first is killed with signal 9, the second goes on and is stopped by Ctrl-C."""
    out = tmp_path / "killed"
    (tmp_path / "job.json").write_text(json.dumps(two_steps(model)))
    start = ("--job", tmp_path / "job.json", "--out", out)
    assert interrupted(out, *start, signal_number=signal.SIGKILL)[0] == -signal.SIGKILL
    killed_at = int(JobFolder(out).load()["draft.step"])
    assert 0 < killed_at < 150
    code, said = interrupted(out, "--continue", out, signal_number=signal.SIGINT, past=killed_at)
    stopped_at = int(JobFolder(out).load()["draft.step"])
    assert killed_at < stopped_at < 200
    assert code == 130
    assert f"Stopped in the draft, after its step {stopped_at}. Continue" in " ".join(said.split())
    assert "draft" in said  # the bar's
    assert main(["generate", "--continue", str(out)]) == 0
    assert equal(read_ply(out / "splats.ply"), read_ply(whole[0] / "splats.ply"))
    rows = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["event"] == "progress"] == [1, 2]
    assert {row["step"] for row in rows if row["event"] == "draft"} == set(range(1, 201))

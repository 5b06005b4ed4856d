"""What a run starts from: the defaults, what is refused, a draft and what comes after it, and the splats of a job."""

import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path

import pytest
import tiny_pipelines as tiny
import tiny_shap_e
import torch
import trimesh

from backend.cameras import orbit
from backend.cli.main import main
from backend.job.job import JobError, make_job
from backend.job.layers import over
from backend.priors.base import PriorError
from backend.run import events
from backend.run.draft import draft_job
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.run.start import with_default_start
from backend.scenes.ply import read_ply
from backend.scenes.splats import render_splats

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A large prior of a few thousand random weights."""
    return str(tiny.save_stable_diffusion(tmp_path_factory.mktemp("model")))


def fields(model, **changes):
    """A job of few small steps with the model, which starts from a draft."""
    recipe = {"views": 1, "steps": 3, "stages": [{"side": 32}], "splats": {"initial_count": 3500}}
    return {
        "prompt": "a wooden chair",
        "objective": "sds",
        "prior": model,
        "start": "draft",
        "recipe": recipe,
    } | changes


def short_drafts(monkeypatch, steps=4):
    """Drafts of so many steps."""
    from backend.run import draft

    monkeypatch.setattr(draft, "draft_job", lambda job: shortened(draft_job(job), steps))


def shortened(job, steps):
    from msgspec.structs import replace

    return replace(job, recipe=replace(job.recipe, steps=steps))


def begun(tmp_path, name="out", **changes):
    return Session.begin(make_job(changes), JobFolder(tmp_path / name))


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def alpha(splats):
    return render_splats(splats, orbit(4), 64, 64, torch.ones(4, 3)).alpha[..., 0]


def overlap(one, other):
    """Intersection over union of what is covered."""
    return float(torch.minimum(one, other).sum() / torch.maximum(one, other).sum())


def psnr(one, other):
    return float(-10 * (one - other).square().mean().log10())


# What the fields of a job say.


def test_what_is_not_said_follows_from_what_is_named():
    assert make_job({"prompt": "a cup"}).start == "sphere"
    assert make_job({"prompt": "a cup", "init_mesh": "x.ply"}).start == "mesh"
    assert make_job({"prompt": "a cup", "start_from": "out"}).start == "job"
    assert make_job({"prompt": "a cup", "start": "draft"}).start_prior == "embedded"
    assert make_job({"prompt": "a cup", "start": "shap-e"}).start_prior == "openai/shap-e"
    assert make_job({"prompt": "a cup"}).start_by_default is True
    assert make_job({"prompt": "a cup", "start": "sphere"}).start_by_default is False


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"start": "cube"}, "start: 'cube' is not one of sphere, draft, shap-e, mesh, job"),
        ({"start": "mesh"}, "start: to start from a mesh, name it with init_mesh"),
        ({"start": "job"}, "start: to start from a job, name it with start_from"),
        ({"start": "draft", "init_mesh": "x.ply"}, "init_mesh: a run starts from one thing"),
        ({"init_mesh": "x.ply", "start_from": "out"}, "start_from: a run starts from one thing"),
        ({"start_prior": "embedded"}, "start_prior: is of no use here"),
    ],
)
def test_contradictions_are_refused(said, words):
    with pytest.raises(JobError, match=words):
        make_job({"prompt": "a cup", **said})


def test_a_large_prior_on_a_card_starts_from_a_draft(monkeypatch):
    """The choice is in job.json, so that the run is the same on a machine without a card."""
    large = {"prompt": "a chair", "prior": "some/model"}
    assert make_job(with_default_start(large)).start == "sphere"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    job = make_job(with_default_start(large))
    assert (job.start, job.start_prior, job.start_by_default) == ("draft", "embedded", True)
    assert make_job(with_default_start(large | {"device": "cpu"})).start == "sphere"
    assert make_job(with_default_start(large | {"start": "sphere"})).start == "sphere"
    assert make_job(with_default_start(large | {"init_mesh": "x.ply"})).start == "mesh"
    assert make_job(with_default_start({"prompt": "a chair"})).start == "sphere"  # the embedded prior


def written(tmp_path, said, name="run"):
    folder = JobFolder(tmp_path / name)
    folder.begin(make_job({"prompt": "a chair", **said}))
    return json.loads((folder / "job.json").read_text())


def test_a_default_start_is_looked_up_again_with_another_prior_and_a_chosen_one_stays(tmp_path, monkeypatch):
    default = written(tmp_path, {"prior": "some/model", "start": "draft", "start_by_default": True})
    assert make_job(with_default_start(over(default, {"seed": 4})[0])).start == "draft"
    assert make_job(with_default_start(over(default, {"prior": "embedded"})[0])).start == "sphere"
    chosen = written(tmp_path, {"prior": "some/model", "start": "draft"})
    assert make_job(over(chosen, {"prior": "embedded"})[0]).start == "draft"
    ball = written(tmp_path, {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert make_job(with_default_start(over(ball, {"seed": 4})[0])).start == "sphere"
    assert make_job(with_default_start(over(ball, {"prior": "some/model"})[0])).start == "draft"


def test_a_later_start_replaces_that_of_the_file(tmp_path):
    mesh = written(tmp_path, {"init_mesh": "x.ply", "keep_shape": 1.0})
    job = make_job(over(mesh, {"start": "sphere"})[0])
    assert (job.start, job.init_mesh) == ("sphere", None)
    assert job.recipe == make_job({"prompt": "a chair"}).recipe
    job = make_job(over(written(tmp_path, {"start": "draft"}), {"init_mesh": "x.ply"})[0])
    assert (job.start, job.start_prior, job.init_mesh) == ("mesh", "", "x.ply")
    job = make_job(over(mesh, {"start_from": "out"})[0])
    assert (job.start, job.init_mesh, job.start_from) == ("job", None, "out")
    assert job.recipe.splats.initial_count == 8000  # as keep_shape 1 says


def test_a_run_from_before_there_were_starts_begins_as_it_did(tmp_path):
    old = written(tmp_path, {"prior": "some/model"})
    for name in ("start", "start_prior", "start_from", "start_by_default"):
        del old[name]
    assert with_default_start(old) == old
    assert make_job(old).start == "sphere"


# A draft, and what comes after it.


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
    from backend.run.credits import credits

    assert credits(JobFolder(out))[0].startswith(f"Started from {chairs[0]['title'] or chairs[0]['name']}")


def test_the_model_is_loaded_once_the_draft_is_done(tmp_path, model, monkeypatch):
    from backend.run import assemble

    short_drafts(monkeypatch)
    assemble.load_large_prior.cache_clear()
    session = begun(tmp_path, **fields(model))
    loaded = []
    for event in session.steps(1):
        if isinstance(event, events.DraftStep):
            loaded.append(assemble.load_large_prior.cache_info().currsize)
    assert loaded == [0] * 4
    assert assemble.load_large_prior.cache_info().currsize == 1


@pytest.mark.parametrize("stop", [2, 4])
def test_a_draft_that_is_stopped_goes_on_to_the_same_splats(tmp_path, model, monkeypatch, stop):
    """In its middle, and at its end; then once more in the run itself."""
    short_drafts(monkeypatch)
    whole = begun(tmp_path, "whole", **fields(model))
    list(whole.steps(3))
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


# From the splats of a job.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished job of the embedded prior, which began with a box of 8 cm far away."""
    folder = tmp_path_factory.mktemp("finished")
    box = trimesh.creation.box((0.08, 0.06, 0.1))
    box.apply_translation((30, -20, 10))
    box.export(folder / "box.ply")
    job = {"prompt": "a red box", "recipe": {"steps": 2, "views": 1, "stages": [{"side": 32}]}}
    (folder / "job.json").write_text(json.dumps(job))
    options = ["--job", str(folder / "job.json"), "--init-mesh", str(folder / "box.ply"), "--out", str(folder / "out")]
    assert main(["generate", *options]) == 0
    return folder / "out"


def test_a_run_starts_from_the_splats_of_a_job_where_these_stand(tmp_path, finished, model):
    recipe = {"views": 1, "stages": [{"side": 32}], "splats": {"initial_count": 3000}}
    job = fields(model, start="job", start_from=str(finished), recipe=recipe)
    session = begun(tmp_path, **job)
    source = JobFolder(finished)
    assert torch.equal(session.run.scene.splats().means, source.splats().means)
    assert float(session.run.scene.splats().means.norm(dim=-1).max()) < 1.1  # in the ball
    torch.testing.assert_close(session.to_scene[:3, 3], torch.tensor([30.0, -20, 10]))
    list(session.steps(1))
    session.save()
    list(session.results())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    before = json.loads((finished / "metrics.json").read_text())
    assert metrics["started_from"]["prompt"] == "a red box"
    assert metrics["started_from"]["credits"] == before["credits"] != []
    means = read_ply(tmp_path / "out" / "splats.ply").means
    torch.testing.assert_close(means.mean(0), torch.tensor([30.0, -20, 10]), atol=0.05, rtol=0)


def test_a_job_that_was_stopped_is_a_start_too_and_its_credits_are_found(tmp_path, finished, model):
    stopped = Path(shutil.copytree(finished, tmp_path / "stopped"))
    (stopped / "metrics.json").unlink()
    job = fields(model, start="job", start_from=str(stopped))
    session = begun(tmp_path, **job)
    torch.testing.assert_close(session.to_scene[:3, 3], torch.tensor([30.0, -20, 10]))
    assert float(session.run.scene.splats().means.norm(dim=-1).max()) < 1.1
    list(session.steps(1))
    told = JobFolder(tmp_path / "out").started_from()
    assert told["credits"] == json.loads((finished / "metrics.json").read_text())["credits"]


def test_a_start_from_a_job_on_the_command_line(tmp_path, finished, capsys):
    quick = {"recipe": {"steps": 1, "views": 1, "stages": [{"side": 32}]}}
    (tmp_path / "quick.json").write_text(json.dumps(quick))
    options = ["generate", "--prompt", "a blue box", "--job", str(tmp_path / "quick.json"), "--start-from"]
    assert main([*options, str(finished), "--out", str(tmp_path / "out")]) == 0
    job = json.loads((tmp_path / "out" / "job.json").read_text())
    assert (job["start"], job["start_from"]) == ("job", str(finished))
    assert main([*options, str(tmp_path / "none"), "--out", str(tmp_path / "other")]) == 2
    assert "start_from" in capsys.readouterr().err
    assert main([*options, str(finished), "--out", str(finished), "--overwrite"]) == 2
    assert "start_from: the results would replace" in capsys.readouterr().err
    assert (finished / "splats.ply").exists()
    damaged = Path(shutil.copytree(finished, tmp_path / "damaged"))
    (damaged / "splats.ply").write_bytes(b"ply\n")
    assert main([*options, str(damaged), "--out", str(tmp_path / "other")]) == 2
    assert "start_from: the splats of" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_splats_keep_their_look_when_there_are_too_few_of_them(tmp_path, finished, model):
    recipe = {"splats": {"initial_count": 6000, "cap_max": 9000}}
    session = begun(tmp_path, **fields(model, start="job", start_from=str(finished), recipe=recipe))
    splats = session.run.scene.splats()
    assert len(splats) == 6000
    assert psnr(alpha(splats), alpha(JobFolder(finished).splats())) > 30


# From Shap-E.


def test_a_run_starts_from_shap_e_s_mesh_in_its_colours(tmp_path, model):
    shap_e = tiny_shap_e.save_shap_e(tmp_path / "shap-e", 0.05)
    recipe = {"steps": 1, "views": 1, "stages": [{"side": 32}], "splats": {"initial_count": 500}}
    session = begun(tmp_path, **fields(model, start="shap-e", start_prior=str(shap_e), recipe=recipe))
    splats = session.run.scene.splats()
    assert 400 < len(splats) <= 500
    assert 0.9 < float(splats.means.norm(dim=-1).max()) < 1.05  # it fills the ball
    torch.testing.assert_close(splats.rgb, torch.tensor(tiny_shap_e.COLOUR).expand(len(splats), 3), atol=0.01, rtol=0)
    assert torch.equal(session.to_scene, torch.eye(4))
    list(session.steps(1))
    told = JobFolder(tmp_path / "out").started_from()
    assert told == {"start": "shap-e", "prior": str(shap_e), "credits": []}


def test_a_prompt_of_which_shap_e_makes_nothing_starts_from_the_ball(tmp_path, model):
    shap_e = tiny_shap_e.save_shap_e(tmp_path / "shap-e", -1e4)
    session = begun(tmp_path, **fields(model, start="shap-e", start_prior=str(shap_e)))
    ball = begun(tmp_path, "ball", **fields(model, start="sphere"))
    assert equal(session.run.scene.splats(), ball.run.scene.splats())
    assert any("Shap-E made no surface" in note and "grey ball" in note for note in session.notes)


def test_a_shap_e_that_is_another_model_is_refused_before_anything_is_written(tmp_path, model):
    with pytest.raises(PriorError, match="ShapEPipeline"):
        begun(tmp_path, **fields(model, start="shap-e", start_prior=model))
    assert not (tmp_path / "out").exists()

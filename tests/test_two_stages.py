"""Runs in two stages: coarse splats, then larger pictures, finer noise levels and more splats."""

import json

import pytest
import torch

from backend.cli.progress import plain_lines
from backend.job.job import JobError, make_job, read_job
from backend.job.recipe import Recipe, Stage
from backend.job.timesteps import Timesteps
from backend.job.tuning import default_recipe
from backend.priors.analytic import Analytic
from backend.priors.base import Counted
from backend.run.assemble import make_objective
from backend.run.distill import Run, distill
from backend.run.events import StepDone
from backend.run.folder import JobFolder
from backend.run.prompts import Prompts
from backend.run.session import Session
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings

FALLING = Timesteps(low_start=0.8, high_start=0.8, low_end=0.4, high_end=0.4)
FINE = Timesteps(low_start=0.3, high_start=0.3, low_end=0.1, high_end=0.1)
SPLATS = SplatSettings(
    initial_count=60, cap_max=80, refine_every=1, refine_start=0.0, refine_stop=1.0, grow_fraction=1.0, grow_grad2d=0.0
)
STAGES = (Stage(side=16), Stage(start=0.5, side=32, timesteps=FINE, splats_max=150))
RECIPE = Recipe(steps=8, views=2, view_prompts=False, stages=STAGES, timesteps=FALLING, splats=SPLATS)


def two_stages():
    mode = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    prior, generator = Counted(Analytic(mode, std=0.1)), torch.Generator().manual_seed(0)
    scene = SplatScene(sphere(60, 0.5, generator, opacity=0.5), SPLATS, 8, splats_max=RECIPE.splats_max)
    rule, told = make_objective("sds", {"guidance_scale": 1.0}), Prompts(prior, "0", views=False)
    return Run(scene, prior, rule, told, RECIPE, generator)


def taken(run, until):
    return [event for event in distill(run, until) if isinstance(event, StepDone)]


def test_levels_sides_and_splats_of_both_stages():
    """The recipe's window is passed whole in the first half, the stage's own in the second."""
    run, sides = two_stages(), []
    encode = run.prior.encode
    run.prior.encode = lambda images: sides.append(images.shape[1]) or encode(images)
    metrics = [event.metrics for event in taken(run, 8)]
    assert [row["t"] for row in metrics] == [800, 700, 600, 500, 300, 250, 200, 150]
    assert sides == [16] * 4 + [32] * 4
    assert [row["stage"] for row in metrics] == [1] * 4 + [2] * 4
    counts = [row["splats"] for row in metrics]
    assert counts[3] == 80
    assert counts[-1] == 150


def test_it_goes_on_to_the_same_bytes_from_either_stage():
    whole = two_stages()
    taken(whole, 8)
    for at in (2, 6):
        first, second = two_stages(), two_stages()
        taken(first, at)
        second.load_state_dict(first.state_dict())
        taken(second, 8)
        one, other = whole.state_dict(), second.state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


@pytest.mark.parametrize("growth", ["none", "mcmc"])
def test_every_way_to_grow_keeps_to_the_ceiling(growth):
    settings = SplatSettings(
        initial_count=60, cap_max=60, refine_every=1, refine_start=0.0, refine_stop=1.0, growth=growth
    )

    def ceiling(share):
        return 60 if share < 0.5 else 90

    run = two_stages()
    run.scene = SplatScene(sphere(60, 0.5, torch.Generator()), settings, 8, splats_max=ceiling)
    counts = [event.metrics["splats"] for event in taken(run, 8)]
    assert counts[3] == 60
    assert (counts[-1] > 60) == (growth == "mcmc")


def test_without_levels_of_its_own_a_stage_is_no_part():
    recipe = Recipe(stages=(Stage(side=64), Stage(start=0.6, side=128)))
    assert all(recipe.levels(share) == (recipe.timesteps, share) for share in (0.0, 0.3, 0.61, 1.0))
    assert recipe.part(0.9) == (1, 1)
    assert recipe.splats_max(0.9) == recipe.splats.cap_max


def test_beyond_its_last_step_a_run_stays_in_its_last_stage():
    assert RECIPE.levels(1.0) == (FINE, 1.0)
    assert Recipe(stages=(Stage(), Stage(start=1.0, timesteps=FINE))).levels(1.0) == (FINE, 1.0)


@pytest.mark.parametrize(("prior", "sides"), [("embedded", (64, 128)), ("some/model", (256, 512))])
def test_the_quality_two_stage(prior, sides, tmp_path):
    job = make_job({"prompt": "a chair", "prior": prior, "quality": "two-stage"})
    plain, recipe = default_recipe("vdm", prior), job.recipe
    assert (recipe.side(0.0), recipe.side(0.5)) == sides
    assert recipe.timesteps == plain.timesteps
    assert recipe.levels(0.75)[0].high_end < 0.5
    assert recipe.splats_max(0.5) == 2 * recipe.splats_max(0.49) == 2 * plain.splats.cap_max
    assert recipe.part(0.49) == (1, 2)
    assert recipe.part(0.5) == (2, 2)
    folder = JobFolder(tmp_path / "out")
    folder.begin(job)
    assert make_job(read_job(tmp_path / "out/job.json")) == job


def test_a_field_has_no_second_stage_and_says_so():
    with pytest.raises(JobError, match=r"^quality: two-stage is for splats; for a radiance field use draft, normal"):
        make_job({"prompt": "a chair", "scene": "field", "quality": "two-stage"})


def test_progress_and_resume_tell_the_stage(tmp_path, capsys):
    show = plain_lines("vdm")
    show(StepDone(8, 8, 0.0, {"stage": 2.0}))
    assert "vdm: step 8 of 8, stage 2" in capsys.readouterr().err
    recipe = {"steps": 4, "views": 1, "splats": {"initial_count": 100, "growth": "none"}}
    fields = {"prompt": "a red apple", "objective": "sds", "quality": "two-stage", "device": "cpu", "recipe": recipe}
    session = Session.begin(make_job(fields), JobFolder(tmp_path / "out"))
    list(session.steps(3))
    session.save()
    again = Session.resume(JobFolder(tmp_path / "out"))
    assert "Goes on at step 3, in stage 2 of 2." in again.notes
    list(again.steps(4))
    rows = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    assert [row["metrics"]["stage"] for row in rows if row["event"] == "progress"] == [1, 1, 2, 2]

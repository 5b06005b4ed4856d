"""The loop: what it yields, that it stops in time, that it resumes to the last bit, that it learns."""

from collections import Counter

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.cameras import CameraRange, orbit
from backend.job.recipe import Backgrounds, Recipe, Stage
from backend.priors.analytic import Analytic
from backend.priors.base import Counted
from backend.run.assemble import make_objective
from backend.run.distill import DivergedError, Run, Timings, distill, draw_backgrounds, draw_cameras, sample_backgrounds
from backend.run.events import Preview, Snapshot, StepDone, Warning
from backend.run.prompts import Prompts
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings
from backend.scenes.splats import render_splats

SIDE = 32
SPLATS = SplatSettings(initial_count=150, refine_every=5, refine_start=0.1, grow_grad2d=1e-6, cap_max=300)


def make_run(objective="sds", seed=0, steps=40, **settings):
    """A run whose prior knows one picture, a red square before white, and no other."""
    picture = torch.ones(3, SIDE, SIDE)
    picture[:, 8:24, 8:24] = torch.tensor([0.6, -0.8, -0.8])[:, None, None]
    prior = Counted(Analytic(picture[None], std=0.05))
    recipe = Recipe(steps=steps, views=2, view_prompts=False, stages=(Stage(side=SIDE),), splats=SPLATS, **settings)
    generator = torch.Generator().manual_seed(seed)
    scene = SplatScene(sphere(150, 0.5, generator), SPLATS, steps, torch.device("cpu"))
    objective = make_objective(objective, {"guidance_scale": 1.0})
    return Run(scene, prior, objective, Prompts(prior, "0", views=False), recipe, generator)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def test_events_come_in_order_and_nothing_is_done_ahead():
    run = make_run()
    steps = distill(run, 5, show_every=2)
    assert run.step == 0
    kinds = [type(event) for event in steps]
    shown = [StepDone, Preview, Snapshot]
    assert kinds == [StepDone, *shown, StepDone, *shown, *shown]
    assert run.step == 5


def test_progress_has_the_step_and_the_metrics():
    events = list(distill(make_run(), 3))
    assert [(event.step, event.of) for event in events] == [(1, 3), (2, 3), (3, 3)]
    assert events[-1].seconds_left == 0
    assert 1 <= events[0].metrics["t"] <= 999


def test_stopping_leaves_the_run_between_two_steps():
    run = make_run()
    for event in distill(run, 40):
        if event.step == 4:
            break
    assert run.step == 4
    assert [event.step for event in distill(run, 6)] == [5, 6]


@pytest.mark.parametrize("objective", ["sds", "jsd", "vdm", "consistent3d", "vsd", "asd", "lods"])
def test_a_continued_run_is_the_uninterrupted_one(objective, tmp_path):
    straight, first, second = make_run(objective), make_run(objective), make_run(objective, seed=9)
    list(distill(straight, 16))
    list(distill(first, 7))
    save_file({key: value.contiguous() for key, value in first.state_dict().items()}, tmp_path / "state.safetensors")
    second.load_state_dict(load_file(tmp_path / "state.safetensors"))
    list(distill(second, 16))
    assert len(straight.scene.splats()) != 150  # it grew, so that growth is part of what must agree
    assert same(straight.scene.splats(), second.scene.splats())


def test_seeds_differ_and_repeat():
    runs = [make_run(seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        list(distill(run, 3))
    splats = [run.scene.splats() for run in runs]
    assert same(splats[0], splats[1])
    assert not same(splats[0], splats[2])


def test_a_run_moves_towards_the_priors_picture():
    run = make_run(steps=120, cameras=CameraRange(elevation=(0.0, 0.0)), backgrounds=Backgrounds(white=1.0))
    before = picture_error(run)
    list(distill(run, 120))
    assert picture_error(run) < 0.35 * before


def picture_error(run):
    render = render_splats(run.scene.splats(), orbit(4, elevation=0.0), SIDE, SIDE, torch.ones(4, 3))
    return float((run.prior.encode(render.rgb) - run.prior.prior.means).pow(2).mean())


def test_a_nan_stops_the_run_before_it_spoils_the_scene():
    run = make_run()
    list(distill(run, 3))
    good, predict = run.scene.splats(), run.prior.prior.predict
    run.prior.prior.predict = lambda x_t, t, condition: predict(x_t, t, condition) * torch.nan
    with pytest.raises(DivergedError, match="Step 3"):
        list(distill(run, 6))
    assert run.step == 3
    assert same(run.scene.splats(), good)


def test_backgrounds_come_by_their_shares():
    generator = torch.Generator().manual_seed(0)
    colours = sample_backgrounds(Backgrounds(white=2, black=1, grey=1, colour=0), 4000, generator)
    assert (colours == 1).all(1).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (colours == 0).all(1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert bool((colours == colours[:, :1]).all())
    assert (sample_backgrounds(Backgrounds(white=0, middle=1), 5, generator) == 0.5).all()
    mixed = sample_backgrounds(Backgrounds(white=0, colour=1), 100, generator)
    assert float((mixed[:, 0] - mixed[:, 1]).abs().min()) > 0


def test_a_prior_that_reads_alpha_gets_it_over_middle_grey():
    """What it knows is a square that stands in nothing: the rest of the picture empties, whatever the backgrounds."""
    picture = torch.zeros(4, SIDE, SIDE)
    picture[3] = -1
    picture[:, 8:24, 8:24] = torch.tensor([0.6, -0.8, -0.8, 1.0])[:, None, None]
    run = make_run(steps=120, cameras=CameraRange(elevation=(0.0, 0.0)), backgrounds=Backgrounds(white=1.0))
    run.prior = Counted(Analytic(picture[None], std=0.05))
    run.prompts = Prompts(run.prior, "0", views=False)
    assert (draw_backgrounds(run) == 0.5).all()
    list(distill(run, 120))
    render = render_splats(run.scene.splats(), orbit(4, elevation=0.0), SIDE, SIDE, torch.full((4, 3), 0.5))
    assert render.alpha[:, 10:22, 10:22].mean() > 0.8
    assert render.alpha[:, :4].mean() < 0.1


def test_a_prior_that_knows_some_cameras_is_shown_no_others():
    run, known = make_run(), orbit(6, elevation=15.0)
    run.prior.cameras = known
    run.views = 4
    drawn = [draw_cameras(run) for _ in range(20)]
    for cameras in drawn:
        assert len(set(cameras.azimuth.tolist())) == 4
        assert set(cameras.azimuth.tolist()) <= set(known.azimuth.tolist())
        assert set(cameras.distance.tolist()) == set(known.distance.tolist())
    assert len({tuple(cameras.azimuth.tolist()) for cameras in drawn}) > 10
    run.views, run.recipe = 8, msgspec.structs.replace(run.recipe, cameras=CameraRange(azimuth=(-70.0, 70.0)))
    counts = Counter(draw_cameras(run).azimuth.tolist())
    assert set(counts) == {0.0, 60.0, 300.0}
    assert set(counts.values()) == {2, 3}  # none a third time before all were taken twice


def test_timings_add_up_to_the_run():
    run = make_run()
    run.timings = Timings(measure=True)
    list(distill(run, 4))
    assert set(run.timings.seconds) == {"render", "encode", "objective", "backward", "optimiser"}
    assert all(value > 0 for value in run.timings.seconds.values())
    quiet = make_run()
    list(distill(quiet, 1))
    assert quiet.timings.seconds == {}


@pytest.mark.parametrize("objective", ["sds", "vdm", "vsd", "lods"])
@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_step_with_a_nan_is_repeated_and_reported(objective, number):
    """Three in a row, then all is well: the run has all its steps, and what learns beside it is whole too."""
    run = make_run(objective)
    list(distill(run, 3))
    good, predict, calls = run.scene.splats(), run.prior.prior.predict, []

    def spoilt(x_t, t, condition):
        calls.append(run.step)
        return predict(x_t, t, condition) * (number if len(calls) <= 3 else 1)

    run.prior.prior.predict = spoilt
    events = list(distill(run, 6))
    assert [event.step for event in events if isinstance(event, StepDone)] == [4, 5, 6]
    warnings = [event.text for event in events if isinstance(event, Warning)]
    assert warnings[0] == "Step 3: a number became infinite or NaN; the step is repeated."
    assert run.resumable()
    assert run.scene.splats().finite()
    assert not same(run.scene.splats(), good)


def test_ten_failed_steps_in_a_row_end_the_run_and_nine_do_not():
    for count, steps in ((9, 6), (10, 3)):
        run = make_run()
        list(distill(run, 3))
        predict, calls = run.prior.prior.predict, []

        def spoilt(x_t, t, condition, predict=predict, calls=calls, count=count):
            calls.append(t)
            return predict(x_t, t, condition) * (torch.inf if len(calls) <= count else 1)

        run.prior.prior.predict = spoilt
        if steps == 3:
            with pytest.raises(DivergedError, match=r"Step 3: .* 10 times in a row"):
                list(distill(run, 6))
        else:
            warnings = [event for event in distill(run, 6) if isinstance(event, Warning)]
            assert len(warnings) == 4  # the first, the second, the fourth, the eighth
        assert run.step == steps
        assert run.resumable()


def test_a_run_is_not_resumable_after_growth_was_cut_short():
    run = make_run()
    list(distill(run, 2))
    assert run.resumable()
    run.scene.params["means"] = torch.nn.Parameter(run.scene.params["means"].detach()[:-1])
    assert not run.resumable()

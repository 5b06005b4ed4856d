"""Where memory runs out a run takes fewer views and says so; what does not fit is refused before it is loaded."""

import gc
import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.job.recipe import Recipe, Stage
from backend.priors.analytic import Analytic
from backend.priors.base import Counted, PriorError
from backend.priors.card_memory import GIB, check_room, peak_bytes
from backend.run import large_prior, memory
from backend.run.assemble import assemble_picture, make_objective
from backend.run.distill import Run, distill
from backend.run.events import StepDone, Warning
from backend.run.prompts import Prompts
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings

CPU = torch.device("cpu")
SIDE = 16


class Card(Analytic):
    """A prior whose memory is full where more than `room` views come; `room` may change during a run."""

    room = 100

    def encode(self, images):
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().encode(images)


def card(room):
    prior = Card(torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1, std=0.1)
    prior.room = room
    return prior


def make_run(prior, views=4, objective="sds", steps=40):
    splats, generator = SplatSettings(initial_count=60), torch.Generator().manual_seed(0)
    recipe = Recipe(steps=steps, views=views, view_prompts=False, stages=(Stage(side=SIDE),), splats=splats)
    scene, counted = SplatScene(sphere(60, 0.5, generator), splats, steps, CPU), Counted(prior)
    rule = make_objective(objective, {} if objective == "lods" else {"guidance_scale": 1.0})
    return Run(scene, counted, rule, Prompts(counted, "0", views=False), recipe, generator)


def warnings(events):
    return [event.text for event in events if isinstance(event, Warning)]


def test_half_the_views_where_memory_runs_out():
    run = make_run(card(2))
    events = list(distill(run, 5))
    assert warnings(events) == ["Out of memory at step 0: from here on it takes 2 views a step."]
    assert [event.step for event in events if isinstance(event, StepDone)] == [1, 2, 3, 4, 5]
    assert run.prior.rows == 5 * 2


def test_in_the_middle_of_a_run_it_goes_on_from_where_it_is():
    run = make_run(card(4))
    list(distill(run, 3))
    means, run.prior.prior.room = run.scene.splats().means.clone(), 1
    steps = distill(run, 5)
    assert "Out of memory at step 3: from here on it takes 2 views" in next(steps).text
    assert torch.equal(run.scene.splats().means, means)
    assert [type(event) for event in steps] == [Warning, StepDone, StepDone]
    assert (run.views, run.halved) == (1, 2)


@pytest.mark.parametrize(("views", "room"), [(8, 1), (1, 0)])
def test_after_two_halvings_or_at_one_view_the_run_ends(views, room):
    run = make_run(card(room), views)
    with pytest.raises(torch.OutOfMemoryError):
        list(distill(run, 5))
    assert run.views == max(1, views // 4)
    assert run.resumable()


def test_other_errors_are_not_taken_for_it():
    run = make_run(card(100))
    run.prior.encode = lambda _images: (_ for _ in ()).throw(RuntimeError("CUDA error: an illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        list(distill(run, 5))
    assert run.views == 4


def test_the_failed_step_is_given_back_before_the_next():
    """The exception would keep the pictures of the failed step in memory."""
    run, seen = make_run(card(2)), []
    encode = run.prior.encode

    def watched(images):
        gc.collect()
        assert not [picture for picture in seen if picture() is not None]
        seen.append(weakref.ref(images))
        return encode(images)

    run.prior.encode = watched
    list(distill(run, 1))
    assert len(seen) == 2


def test_a_checkpoint_knows_how_many_views(tmp_path):
    undisturbed, first = make_run(card(2)), make_run(card(2))
    list(distill(undisturbed, 6))
    list(distill(first, 3))
    save_file(first.state_dict(), tmp_path / "state.safetensors")
    second = make_run(card(4))
    second.load_state_dict(load_file(tmp_path / "state.safetensors"))
    assert (second.views, second.halved) == (2, 1)
    list(distill(second, 6))
    assert torch.equal(second.scene.splats().means, undisturbed.scene.splats().means)


@pytest.mark.parametrize("objective", RULES)
def test_every_rule_goes_on_with_fewer_views(objective):
    """Also those that keep something between steps."""
    run = make_run(card(4), objective=objective, steps=8)
    list(distill(run, 2))
    run.prior.prior.room = 2
    events = list(distill(run, 4))
    assert (len(warnings(events)), run.step, run.views) == (1, 4, 2)


def test_pictures_of_text_to_2d_are_not_halved():
    job = make_job({"prompt": "0", "objective": "sds", "recipe": {"steps": 2, "views": 2, "stages": [{"side": SIDE}]}})
    run, _ = assemble_picture(job, card(1), CPU, 0.1)
    with pytest.raises(torch.OutOfMemoryError):
        list(distill(run, 1))


def test_what_does_not_fit_is_refused_and_a_smaller_model_named():
    check_room("owner/sd", "sd-512", 8 * GIB)
    check_room("owner/sdxl", "sdxl", peak_bytes("sdxl", 1))
    with pytest.raises(PriorError) as error:
        check_room("owner/sdxl", "sdxl", 8 * GIB)
    assert str(error.value) == (
        'prior "owner/sdxl" needs 10.0 GiB of the graphics card, which has 8.0 GiB free: '
        "close other programs that use the card, or take a smaller model (Stable Diffusion 2.1 fits)"
    )
    with pytest.raises(PriorError, match="take the embedded prior"):
        check_room("owner/sd", "sd-512", 2 * GIB)


@pytest.mark.parametrize(("free", "views"), [(24, 4), (6, 4), (5.5, 2), (1, 1)])
def test_views_are_chosen_by_the_free_memory(monkeypatch, free, views):
    """What the loaded weights take is not free, but is in the table."""
    prior = card(4)
    prior.family, prior.weight_bytes, prior.device = "sd-768", 0, torch.device("cuda")
    monkeypatch.setattr(memory, "free_bytes", lambda _device: free * GIB)
    fitting, notes = memory.views_that_fit(prior, 4)
    assert (fitting, len(notes)) == (views, int(views < 4))
    assert not notes or f"room for {views} of the 4 views" in notes[0]
    prior.weight_bytes = 20 * GIB
    assert memory.views_that_fit(prior, 4) == (4, [])
    prior.device = CPU
    assert memory.views_that_fit(prior, 4) == (4, [])


@pytest.mark.parametrize(("system", "share"), [("win32", 7 / 8), ("linux", None)])
def test_windows_is_kept_from_going_on_in_the_machine_s_memory(monkeypatch, system, share):
    """Of 8 GiB others hold one: what is free and what is ours may be used."""
    asked = []
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 5 * GIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (4 * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 2 * GIB)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda part, _device: asked.append(part))
    with monkeypatch.context() as patched:
        patched.setattr(memory.sys, "platform", system)
        memory.stay_on_the_card(torch.device("cuda"))
        memory.stay_on_the_card(CPU)
    assert asked == ([share] if share else [])


def test_the_model_before_is_given_up_before_the_next_is_loaded(monkeypatch):
    """Two do not fit; here each looks at the moment it is loaded whether the other is still there."""
    alive = weakref.WeakSet()

    def load(*_):
        gc.collect()
        assert not alive
        prior = card(1)
        prior.itself = prior  # as diffusers' pipelines
        alive.add(prior)
        return prior

    monkeypatch.setattr("backend.priors.stable_diffusion.load_stable_diffusion", load)
    assert large_prior.load_large_prior("a", CPU) is large_prior.load_large_prior("a", CPU)
    large_prior.load_large_prior("b", CPU)
    assert len(alive) == 1
    assert large_prior.unload_large_prior()
    assert not alive
    assert not large_prior.unload_large_prior()

"""Several particles: scenes that are optimised together, above all VSD's n > 1."""

import shutil

import pytest
import torch

from backend.guidance.base import Batch
from backend.guidance.guide import Conditions
from backend.guidance.lora import LoRARule
from backend.guidance.rules import RULES
from backend.job.job import JobError, make_job
from backend.job.recipe import Recipe, Stage
from backend.job.timesteps import sample_t
from backend.priors.analytic import Analytic
from backend.priors.base import Condition, Counted
from backend.run.assemble import make_objective
from backend.run.distill import Run, distill, draw_backgrounds, draw_cameras
from backend.run.events import StepDone, Warning
from backend.run.folder import JobFolder
from backend.run.prompts import Prompts
from backend.run.session import Session
from backend.scenes.image import ImageScene
from backend.scenes.initial import sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings

TOGETHER = ("jsd", "vsd", "asd", "dreamflow")
MODES = (0.3, -0.7)
SIDE = 16


class MixtureTwin:
    """A twin that can become the exact model of points at two places: their means, width and shares."""

    def __init__(self, prior):
        self.prior, zero = prior, torch.zeros
        self.parameters = {"means": prior.means.clone(), "log_width": zero(()), "log_shares": zero(len(prior.means))}
        for value in self.parameters.values():
            value.requires_grad_()

    def predict(self, x_t, t, condition):
        p = self.parameters
        model = Analytic(p["means"], self.prior.std * p["log_width"].exp(), self.prior.alphas_cumprod)
        return model.predict(x_t, t, Condition(p["log_shares"].log_softmax(0).expand(len(x_t), 1, -1), {}))

    def gradients(self, loss, wrt):
        return list(torch.autograd.grad(loss, list(wrt)))


class TwoColours(Analytic):
    """Plain pictures of two greys, both equally likely; the exact score, and a twin that can be exact too."""

    def __init__(self):
        super().__init__(torch.tensor(MODES)[:, None, None, None].expand(-1, 3, 1, 1).contiguous(), 0.1)

    def twin(self, rank, seed):
        return MixtureTwin(self)


def pictures(particles, seed, steps, objective="vsd"):
    """A run of single pictures that all begin as the same middle grey."""
    prior, options = Counted(TwoColours()), {"guidance_scale": 1.0, "learning_rate": 0.03, "weight": "one"}
    scene, *others = (ImageScene(1, 1, 0.02, torch.Generator().manual_seed(0)) for _ in range(particles))
    recipe = Recipe(steps=steps, views=1, view_prompts=False, stages=(Stage(side=SIDE),))
    rule, told = make_objective(objective, options), Prompts(prior, "", views=False)
    return Run(scene, prior, rule, told, recipe, torch.Generator().manual_seed(seed), others=tuple(others))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_particles_of_vsd_go_to_both_modes(seed):
    """One can be in one place only; on their own, two of them would end in one mode half of the time."""
    run = pictures(2, seed, 200)
    list(distill(run, 200))
    low, high = sorted(float(scene.pixels.detach().mean() * 2 - 1) for scene in run.particles)
    assert low < -0.25
    assert high > 0.15


def splats_run(particles=1, objective="vsd", views=2, prior=None):
    """A run of small scenes of splats that all begin alike, on a prior with one picture."""
    settings, generator = SplatSettings(initial_count=60), torch.Generator().manual_seed(0)
    start = sphere(60, 0.5, generator)
    mode = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    counted = Counted(prior or Analytic(mode, std=0.1))
    recipe = Recipe(steps=20, views=views, view_prompts=False, stages=(Stage(side=SIDE),), splats=settings)
    scene, *others = (SplatScene(start, settings, 20) for _ in range(particles))
    rule, told = make_objective(objective, {"guidance_scale": 1.0}), Prompts(counted, "0", views=False)
    return Run(scene, counted, rule, told, recipe, generator, others=tuple(others))


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


@pytest.mark.parametrize("objective", TOGETHER)
def test_one_particle_is_the_loop_without_particles_to_the_bit(objective):
    run, plain = splats_run(objective=objective), splats_run(objective=objective)
    list(distill(run, 4))
    scene, generator, recipe = plain.scene, plain.generator, plain.recipe
    for step in range(4):
        cameras = draw_cameras(plain)
        render = scene.render(cameras, SIDE, SIDE, draw_backgrounds(plain))
        x = plain.prior.encode(render.picture(3))
        t = sample_t(recipe.timesteps, step / 20, 1000, 2, generator)
        batch = Batch(plain.prior, x.detach(), t, plain.prompts.conditions(cameras), step / 20, generator)
        ((plain.objective.gradient(batch).gradient * x).sum() / 2 + scene.regulariser(render)).backward()
        scene.step(step, render, generator)
        plain.step += 1
    assert same(run.state_dict(), plain.state_dict())


def test_the_lora_becomes_the_model_of_all_particles():
    """For one Gaussian and particles at rest: its mean is that of all their pictures, not of one's."""
    places = torch.tensor([-0.6, 0.0, 0.9])
    for shown, mean in ((places[:1], -0.6), (places, 0.1)):
        prior = Analytic(torch.zeros(1, 3, 1, 1), 0.5)
        rule = make_objective("vsd", {"guidance_scale": 1.0, "learning_rate": 0.02})
        told, generator = Conditions(prior.condition([""]), prior.condition([""])), torch.Generator().manual_seed(0)
        found = []
        for _ in range(400 // len(shown)):
            for place in shown:
                x, t = place.expand(1, 3, 1, 1), torch.full((1,), 500)
                rule.gradient(Batch(prior, x, t, told, 0.0, generator))
                found.append(rule.learned.parameters["shift"].mean().item())
        assert sum(found[-120:]) / 120 == pytest.approx(mean, abs=0.15)


def test_particles_take_turns_with_cameras_and_noise_of_their_own():
    """They begin alike and differ after a step; the prior never has more than one particle's views at once."""
    run = splats_run(3)
    seen, encode = [], run.prior.encode
    run.prior.encode = lambda images: seen.append(len(images)) or encode(images)
    events = list(distill(run, 2))
    assert seen == [2] * 6
    assert [event.step for event in events if isinstance(event, StepDone)] == [1, 2]
    means = [scene.splats().means for scene in run.particles]
    assert not torch.equal(means[0], means[1])
    assert not torch.equal(means[1], means[2])
    assert events[0].metrics["splats"] == 60  # the mean


def test_a_run_goes_on_to_the_same_bytes():
    whole, first, second = (splats_run(3) for _ in range(3))
    list(distill(whole, 6))
    list(distill(first, 3))
    second.load_state_dict(first.state_dict())
    list(distill(second, 6))
    assert same(whole.state_dict(), second.state_dict())
    assert sum(name.startswith("particle-3.splats.") for name in whole.state_dict()) == 5


def test_a_number_that_is_none_in_one_particle_leaves_all_as_they_were():
    run = splats_run(2)
    list(distill(run, 1))
    before, render = [scene.splats().means for scene in run.particles], run.others[0].render
    spoilt = iter([True])

    def once(*arguments):
        made = render(*arguments)
        if next(spoilt, False):
            made.rgb.register_hook(lambda gradient: gradient * torch.nan)
        return made

    run.others[0].render = once
    events = distill(run, 2)
    assert isinstance(next(events), Warning)
    assert all(torch.equal(scene.splats().means, old) for scene, old in zip(run.particles, before, strict=True))
    assert next(events).step == 2
    assert not any(torch.equal(scene.splats().means, old) for scene, old in zip(run.particles, before, strict=True))


def test_where_memory_runs_out_every_particle_takes_half_the_views():
    class Card(Analytic):
        def encode(self, images):
            if len(images) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().encode(images)

    run = splats_run(2, views=4, prior=Card(torch.zeros(1, 3, SIDE, SIDE), std=0.1))
    said = [event.text for event in distill(run, 2) if isinstance(event, Warning)]
    assert said == ["Out of memory at step 0: from here on it takes 2 views a step."]
    assert (run.views, run.step) == (2, 2)


def test_every_rule_says_whether_particles_mean_something_to_it():
    assert {name for name, rule in RULES.items() if rule.particles} == set(TOGETHER)
    assert all(rule.particles for rule in RULES.values() if issubclass(rule, LoRARule))


@pytest.mark.parametrize("objective", sorted(RULES.keys() - set(TOGETHER)))
def test_other_rules_refuse_them_in_one_sentence(objective):
    assert make_job({"prompt": "a cup", "objective": objective, "particles": 1}).particles == 1
    with pytest.raises(JobError) as error:
        make_job({"prompt": "a cup", "objective": objective, "particles": 2})
    assert str(error.value) == (
        f"particles: to {objective} they would be nothing but several seeds: leave particles at 1 and run other seeds, "
        "or choose one of jsd, vsd, asd, dreamflow."
    )


@pytest.mark.parametrize("number", [0, 17, 1.5])
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(JobError, match=r"^particles: "):
        make_job({"prompt": "a cup", "objective": "vsd", "particles": number})


JOB = {"prompt": "a red apple", "objective": "vsd"}


def test_a_new_run_removes_the_particles_of_an_earlier_one(tmp_path):
    folder, many = JobFolder(tmp_path / "out"), make_job({**JOB, "particles": 3})
    folder.begin(many)
    (folder / "particle-3/splats.ply").write_text("old")
    (folder / "particle-2/notes.txt").write_text("mine")
    folder.begin(make_job(JOB))
    assert {path.name for path in folder.path.iterdir()} == {"job.json", "writer.json", "particle-2"}
    assert [path.name for path in (folder / "particle-2").iterdir()] == ["notes.txt"]


def test_a_particle_that_was_removed_comes_back_with_the_next_results(tmp_path):
    recipe = {"steps": 1, "views": 1, "splats": {"initial_count": 60, "growth": "none"}}
    session = Session.begin(make_job({**JOB, "particles": 2, "recipe": recipe}), JobFolder(tmp_path / "out"))
    shutil.rmtree(tmp_path / "out/particle-2")
    list(session.steps(1))
    session.save()
    assert JobFolder(tmp_path / "out/particle-2").job().particles == 2
    assert len(JobFolder(tmp_path / "out/particle-2").splats()) == 60


def test_whoever_is_taken_over_writes_no_particles_either(tmp_path):
    job = make_job({**JOB, "particles": 2})
    old = JobFolder(tmp_path / "out")
    old.begin(job)
    writing = old.particle(2).replacing("splats.ply")
    writing.__enter__().write_text("old")
    JobFolder(tmp_path / "out").take()
    with pytest.raises(ValueError, match="another process has taken over"):
        writing.__exit__(None, None, None)
    with pytest.raises(ValueError, match="another process has taken over"), old.particle(2).replacing("splats.ply"):
        pass
    assert not (old / "particle-2/splats.ply").exists()

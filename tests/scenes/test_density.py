"""Growth and pruning: who grows, who goes, who moves, and what never happens."""

import math

import pytest
import torch

from backend.cameras import orbit
from backend.scenes.density import FLOOR, growth
from backend.scenes.gsplat_twins import relocation
from backend.scenes.initial import point_cloud, sphere
from backend.scenes.optimised import SplatScene
from backend.scenes.settings import SplatSettings

CPU = torch.device("cpu")
EVER = {"refine_every": 1, "refine_start": 0.0, "refine_stop": 1.0, "grow_fraction": 1.0, "lr_opacity": 1e-9}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(splats, steps=100, **fields):
    return SplatScene(splats, SplatSettings(**{**EVER, **fields}), steps)


def advance(scene, step, loss=lambda render: render.rgb.mean(), side=32):
    render = scene.render(orbit(2), side, side, torch.ones(2, 3))
    loss(render).backward()
    return scene.step(step, render, generator(step))


def set_opacity(scene, rows, value):
    scene.params["opacities"].data[rows] = math.log(value / (1 - value))


def test_splats_grow_where_the_gradient_is():
    """Only the ball on the right is asked to change: new splats appear there and nowhere else."""
    balls = [sphere(60, 0.15, generator(i), opacity=0.5) for i in range(2)]
    points = torch.cat([balls[0].means + torch.tensor([0.5, 0, 0]), balls[1].means - torch.tensor([0.5, 0, 0])])
    colours = torch.rand(120, 3, generator=generator())
    scene = make(point_cloud(points, colours, opacity=0.5), growth="default", grow_grad2d=1e-6)
    target = torch.rand(1, 32, 16, 3, generator=generator())
    cameras = orbit(1, elevation=0.0)
    for step in range(2):
        render = scene.render(cameras, 32, 32, torch.ones(1, 3))
        (render.rgb[:, :, 16:] - target).square().mean().backward()
        metrics = scene.step(step, render, generator(step))
    on_the_right = int((scene.params["means"][:, 0] > 0).sum())
    assert metrics["grown"] > 20
    assert on_the_right == 60 + metrics["grown"]
    assert len(scene.params["means"]) == 120 + metrics["grown"]


@pytest.mark.parametrize(("fields", "most"), [({"cap_max": 130}, 130), ({"grow_fraction": 0.1}, 110)])
def test_growth_keeps_to_its_ceiling(fields, most):
    scene = make(sphere(100, 0.4, generator(), opacity=0.5), growth="default", grow_grad2d=0.0, **fields)
    advance(scene, 0)
    metrics = advance(scene, 1)
    assert metrics["splats"] == most
    assert metrics["grown"] == most - 100


def test_an_unreachable_threshold_grows_nothing():
    scene = make(sphere(100, 0.4, generator(), opacity=0.5), growth="default", grow_grad2d=1e9)
    advance(scene, 0)
    assert advance(scene, 1)["splats"] == 100


@pytest.mark.parametrize(("field", "value"), [("opacities", -9.0), ("scales", 0.0)])
def test_faint_and_huge_splats_are_removed(field, value):
    scene = make(sphere(100, 0.4, generator(), opacity=0.5), growth="default", grow_grad2d=1e9, lr_scale=1e-9)
    scene.params[field].data[:30] = value
    advance(scene, 1)
    assert len(scene.params["means"]) == 70
    assert (scene.params[field] != value).all()


@pytest.mark.parametrize("kind", ["default", "mcmc"])
def test_the_most_opaque_stay_when_all_are_faint(kind):
    scene = make(sphere(100, 0.4, generator()), growth=kind, grow_grad2d=1e9, mcmc_noise=0.0)
    scene.params["opacities"].data = torch.linspace(-12, -9, 100)
    for step in range(1, 5):
        advance(scene, step)
    assert len(scene.params["means"]) >= FLOOR
    assert scene.finite()


@pytest.mark.parametrize("kind", ["none", "default", "mcmc"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_handful_of_splats_survives(kind, count):
    scene = make(sphere(count, 0.3, generator()), growth=kind, grow_grad2d=0.0, reset_every=2)
    for step in range(4):
        advance(scene, step)
    assert len(scene.params["means"]) >= count
    assert scene.finite()


def test_opacities_are_reset_when_it_is_time_and_only_then():
    scene = make(sphere(100, 0.4, generator(), opacity=0.5), growth="default", reset_every=3, refine_every=1000)
    highest = []
    for step in range(5):
        scene.params["opacities"].data.fill_(0.0)
        metrics = advance(scene, step)
        highest.append(float(scene.params["opacities"].sigmoid().max().detach()))
        assert ("opacity_reset" in metrics) == (step == 3)
    assert highest == pytest.approx([0.5, 0.5, 0.5, 0.02, 0.5], abs=1e-4)


def test_mcmc_relocates_dead_splats_to_live_ones():
    """The living are on the right, the dead on the left; afterwards all are on the right, and none is dead."""
    splats = sphere(200, 0.4, generator(), opacity=0.5)
    scene = make(splats, growth="mcmc", cap_max=200, mcmc_noise=0.0)
    scene.params["means"].data.abs_()
    scene.params["means"].data[:50, 0] -= 1
    set_opacity(scene, slice(0, 50), 0.001)
    advance(scene, 1)
    assert len(scene.params["means"]) == 200
    assert scene.params["means"][:, 0].min() > -0.01
    assert scene.params["opacities"].sigmoid().min() > 0.01


def test_mcmc_adds_five_per_cent_up_to_its_ceiling():
    scene = make(sphere(100, 0.4, generator(), opacity=0.5), growth="mcmc", cap_max=108, mcmc_noise=0.0)
    assert [advance(scene, step)["splats"] for step in range(4)] == [100, 105, 108, 108]


def test_mcmc_adds_noise_to_faint_splats_only():
    scene = make(sphere(100, 0.4, generator(), opacity=0.9), growth="mcmc", refine_every=1000, lr_means=1e-4)
    set_opacity(scene, slice(0, 30), 0.011)
    before = scene.params["means"].detach().clone()
    advance(scene, 1)
    moved = (scene.params["means"].detach() - before).norm(dim=-1)
    assert moved[:30].mean() > 20 * moved[30:].max()


def test_relocation_is_equation_9():
    """Against the double sum written out, and the identity for a splat that stays alone."""
    opacities, scales = torch.rand(6, generator=generator()) * 0.9, torch.rand(6, 3, generator=generator())
    ratios = torch.arange(1, 7)
    binoms = torch.tensor([[float(math.comb(n, k)) for k in range(51)] for n in range(51)])
    new_opacities, new_scales = relocation(opacities, scales, ratios, binoms)
    for row, (old, n) in enumerate(zip(opacities.tolist(), ratios.tolist(), strict=True)):
        new = 1 - (1 - old) ** (1 / n)
        total = sum(
            math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * new ** (k + 1)
            for i in range(1, n + 1)
            for k in range(i)
        )
        assert new_opacities[row] == pytest.approx(new, rel=1e-5)
        assert new_scales[row].tolist() == pytest.approx((old / total * scales[row]).tolist(), rel=1e-4)
    assert torch.allclose(new_scales[0], scales[0], rtol=1e-5)


def test_the_global_generator_is_not_changed():
    scene = make(sphere(50, 0.4, generator(), opacity=0.5), growth="mcmc")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    advance(scene, 1)
    assert torch.equal(torch.rand(3), expected)


def test_no_growth_changes_nothing():
    chosen = growth(SplatSettings(growth="none"), 10, CPU)
    assert chosen.step(0, {}, {}, {}, generator()) == {}
    assert chosen.state_dict() == {}

"""The scene learns, and resumes exactly where it stopped."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.cameras import orbit
from backend.scenes.initial import discs, sphere
from backend.scenes.optimised import CheckpointError, SplatScene
from backend.scenes.settings import SplatSettings
from backend.scenes.splats import render_splats

QUIET = {"scale_weight": 0.0, "tv_colour_weight": 0.0, "tv_disparity_weight": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def coloured_cube(count=1500, half=0.45):
    """Discs on a cube: each pair of faces has its own colour."""
    points = torch.rand(count, 3, generator=generator()) * 2 * half - half
    axis = torch.arange(count) % 3
    side = (torch.arange(count) // 3 % 2) * 2.0 - 1
    rows = torch.arange(count)
    points[rows, axis] = side * half
    normals = torch.zeros(count, 3)
    normals[rows, axis] = side
    return discs(points, normals, torch.eye(3)[axis] * 0.8 + 0.1)


def test_a_scene_learns_a_coloured_cube():
    """From a grey ball to pictures of the cube, growth included; views that were never shown get better too."""
    shown, unseen = orbit(8, elevation=25.0), orbit(3, elevation=15.0, start=20.0)
    white = torch.ones(8, 3)
    with torch.no_grad():
        target = render_splats(coloured_cube(), shown, 48, 48, white).rgb
        hidden = render_splats(coloured_cube(), unseen, 48, 48, white[:3]).rgb
    settings = SplatSettings(lr_means=5e-3, refine_every=20, grow_grad2d=1e-6, grow_fraction=0.1, cap_max=1500, **QUIET)
    scene = SplatScene(sphere(600, 0.5, generator()), settings, 150)
    losses, hidden_losses = [], []
    for step in range(150):
        with torch.no_grad():
            if step in (0, 149):
                hidden_losses.append((scene.render(unseen, 48, 48, white[:3]).rgb - hidden).square().mean())
        rows = torch.randperm(8, generator=generator(step))[:4]
        render = scene.render(shown[rows], 48, 48, white[:4])
        loss = (render.rgb - target[rows]).square().mean()
        loss.backward()
        assert scene.finite()
        metrics = scene.step(step, render, generator(step))
        losses.append(loss.item())
    assert sum(losses[-4:]) < sum(losses[:4]) / 12
    assert hidden_losses[1] < hidden_losses[0] / 8
    assert 600 < metrics["splats"] <= 1500


def run(scene, source, first, last):
    """Steps with growth, opacity resets and every penalty; the cameras come from the generator too."""
    for step in range(first, last):
        cameras = orbit(2, start=float(torch.rand((), generator=source)) * 360)
        render = scene.render(cameras, 32, 32, torch.rand(2, 3, generator=source))
        ((render.rgb - 0.3).square().mean() + 0.01 * scene.regulariser(render)).backward()
        metrics = scene.step(step, render, source)
    return metrics


@pytest.mark.parametrize("kind", ["none", "default", "mcmc"])
@pytest.mark.parametrize("degree", [0, 1])
def test_a_resumed_run_is_the_same_to_the_last_bit(tmp_path, kind, degree):
    settings = SplatSettings(
        growth=kind, sh_degree=degree, refine_every=4, refine_start=0.1, grow_grad2d=0.0, reset_every=7,
        sparse_weight=0.1, opaque_weight=0.1, lr_end_factor=0.3,
    )  # fmt: skip
    whole, source = SplatScene(sphere(120, 0.5, generator()), settings, 20), generator(5)
    metrics = run(whole, source, 0, 20)
    assert (metrics["splats"] > 120) == (kind != "none")

    half, source = SplatScene(sphere(120, 0.5, generator()), settings, 20), generator(5)
    run(half, source, 0, 10)
    save_file({**half.state_dict(), "generator": source.get_state()}, tmp_path / "checkpoint.safetensors")
    state = load_file(tmp_path / "checkpoint.safetensors")
    resumed, source = SplatScene(sphere(16, 0.2, generator(9)), settings, 20), torch.Generator()
    source.set_state(state.pop("generator"))
    resumed.load_state_dict(state)
    run(resumed, source, 10, 20)

    expected, got = whole.state_dict(), resumed.state_dict()
    assert expected.keys() == got.keys()
    assert [key for key in expected if not torch.equal(expected[key], got[key])] == []


def test_rates_decay_and_then_hold():
    settings = SplatSettings(lr_means=1e-2, lr_means_end=1e-4, lr_means_until=0.5, lr_end_factor=0.25, lr_scale=0.008)
    scene = SplatScene(sphere(16, 0.5, generator()), settings, 100)
    assert [scene.rate("means", step) for step in (0, 25, 50, 100, 900)] == pytest.approx(
        [1e-2, 1e-3, 1e-4, 1e-4, 1e-4]
    )
    assert [scene.rate("scales", step) for step in (0, 50, 100, 900)] == pytest.approx([0.008, 0.004, 0.002, 0.002])


def test_regulariser_is_the_weighted_sum():
    splats = sphere(50, 0.4, generator())
    parts = ("scale", "sparse", "opaque", "tv_colour", "tv_disparity")
    off = {f"{part}_weight": 0.0 for part in parts}

    def value(**weights):
        scene = SplatScene(splats, SplatSettings(**{**off, **weights}), 10)
        return scene.regulariser(scene.render(orbit(2), 24, 24, torch.ones(2, 3))).item()

    assert value() == 0
    singles = [value(**{f"{part}_weight": 1.0}) for part in parts]
    assert min(singles) > 0
    assert value(**{f"{part}_weight": 2.0 for part in parts}) == pytest.approx(2 * sum(singles), rel=1e-5)


def test_splats_are_copies_and_harmonics_are_filled_up():
    scene = SplatScene(sphere(20, 0.4, generator()), SplatSettings(sh_degree=2), 10)
    splats = scene.splats()
    assert splats.sh.shape == (20, 9, 3)
    assert not splats.means.requires_grad
    splats.means.zero_()
    assert scene.params["means"].abs().sum() > 0


@pytest.mark.parametrize("where", ["value", "gradient"])
def test_nan_and_infinite_values_are_noticed(where):
    scene = SplatScene(sphere(20, 0.4, generator()), SplatSettings(), 10)
    scene.render(orbit(1), 16, 16, torch.ones(1, 3)).rgb.mean().backward()
    assert scene.finite()
    tensor = scene.params["quats"].data if where == "value" else scene.params["quats"].grad
    tensor[3, 1] = float("nan")
    assert not scene.finite()


def test_a_render_without_gradient_needs_no_backward():
    scene = SplatScene(sphere(20, 0.4, generator()), SplatSettings(), 10)
    with torch.no_grad():
        render = scene.render(orbit(1), 16, 16, torch.ones(1, 3))
    assert not render.rgb.requires_grad


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("splats.quats"), "lacks splats.quats"),
        (lambda s: s.pop("splats.means"), "lacks splats"),
        (lambda s: s.update({"splats.sh0": s["splats.sh0"][:7]}), "splats.sh0 is"),
        (lambda s: s.update({"adam.means.exp_avg": s["adam.means.exp_avg"][:7]}), "adam.means.exp_avg is"),
        (lambda s: s["splats.scales"].fill_(float("inf")), "splats.scales has NaN"),
        (lambda s: s["adam.quats.exp_avg_sq"].fill_(float("nan")), "adam.quats.exp_avg_sq has NaN"),
    ],
)
def test_spoilt_checkpoints_are_refused_and_change_nothing(change, says):
    scene = SplatScene(sphere(30, 0.4, generator()), SplatSettings(), 10)
    run(scene, generator(), 0, 1)
    state, before = scene.state_dict(), scene.state_dict()
    change(state)
    with pytest.raises(CheckpointError, match=says):
        scene.load_state_dict(state)
    assert all(torch.equal(before[key], value) for key, value in scene.state_dict().items())

"""What must not crash, corrupt or depend on circumstances."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from render_scenes import NAMES, cloud, relative, view

from backend.render import rasterization


def drop(scene, row):
    return {key: torch.cat([tensor[:row], tensor[row + 1 :]]) for key, tensor in scene.items()}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", NAMES)
def test_a_splat_with_a_bad_value_is_skipped(name, bad):
    scene, looks = cloud(60), view(2, 40)
    expected = rasterization(**drop(scene, 7), **looks, render_mode="RGB+D")
    tensors = {key: tensor.clone() for key, tensor in scene.items()}
    tensors[name][7] = bad
    leaves = {key: tensor.requires_grad_() for key, tensor in tensors.items()}
    got = rasterization(**leaves, **looks, render_mode="RGB+D")
    for ours, theirs in zip(got[:2], expected[:2], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert got[2]["radii"][:, 7].tolist() == [[0, 0], [0, 0]]
    got[0].sum().backward()
    for key, leaf in leaves.items():
        assert leaf.grad is not None, key
        assert bool(torch.isfinite(torch.cat([leaf.grad[:7], leaf.grad[8:]])).all()), key


any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(values=arrays("float32", (6, 11), elements=any_float), size=st.integers(1, 40))
def test_garbage_never_crashes(values, size):
    garbage = torch.from_numpy(values)
    scene = cloud(6, seed=1)
    scene["means"], scene["quats"] = garbage[:, :3].requires_grad_(), garbage[:, 3:7]
    scene["scales"], scene["opacities"] = garbage[:, 7:10], garbage[:, 10]
    pixels, alphas, info = rasterization(**scene, **view(1, size, 17))
    pixels.sum().backward()
    assert bool(torch.isfinite(pixels).all())
    assert bool(((alphas >= 0) & (alphas <= 1)).all())
    assert bool((info["radii"] >= 0).all())


@settings(max_examples=60, deadline=None)
@given(
    exponents=arrays("float32", (8, 3), elements=st.floats(-12, 12, width=32)),
    shift=st.floats(-3, 3, width=32),
    width=st.integers(1, 40),
)
def test_sizes_over_many_orders_of_magnitude(exponents, shift, width):
    scene = cloud(8, seed=2)
    scene["scales"] = (10.0 ** torch.from_numpy(exponents)).requires_grad_()
    scene["means"] = scene["means"] + shift
    pixels, alphas, _ = rasterization(**scene, **view(1, width, 30))
    pixels.sum().backward()
    assert bool(torch.isfinite(pixels).all())
    assert bool(((alphas >= 0) & (alphas <= 1)).all())


def test_a_needle_longer_than_integers():
    # At dy its middle lies 2e8 dy pixels to the side: more than 2^31 within the picture, and half as long again.
    scene = {key: tensor[:1] for key, tensor in cloud(1).items()} | {
        "means": torch.tensor([[0.0, 0.0, 3.0]]),
        "quats": torch.tensor([[1.0, 0.0, 0.0, 2.5e-9]]),
        "scales": torch.tensor([[1e9, 1e-3, 1e-3]]),
        "opacities": torch.tensor([0.5]),
    }
    looks = view(1, 41) | {"viewmats": torch.eye(4)[None]}
    leaf = scene["means"].requires_grad_()
    pixels, alphas, _ = rasterization(**scene, **looks)
    pixels.sum().backward()
    drawn = alphas[0, ..., 0] > 0
    assert drawn.all(1).nonzero().flatten().tolist() == drawn.any(1).nonzero().flatten().tolist() == [19, 20, 21]
    assert bool(torch.isfinite(leaf.grad).all())


def test_a_splat_in_the_camera_has_finite_gradients():
    scene = cloud(3) | {"means": torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 2.0]], requires_grad=True)}
    pixels = rasterization(**scene, **(view(1, 16) | {"viewmats": torch.eye(4)[None]}))[0]
    pixels.sum().backward()
    gradient = scene["means"].grad
    assert bool(torch.isfinite(gradient).all())
    assert not gradient[:2].any()
    assert gradient[2].any()


def test_without_splats_there_is_only_the_background():
    scene = {key: tensor[:0].requires_grad_() for key, tensor in cloud(1).items()}
    backgrounds = torch.tensor([[0.1, 0.5, 0.9], [1.0, 0.0, 0.2]], requires_grad=True)
    pixels, alphas, info = rasterization(**scene, **view(2, 20, 30), backgrounds=backgrounds, render_mode="RGB+ED")
    torch.testing.assert_close(pixels[..., :3], backgrounds[:, None, None].expand(2, 30, 20, 3))
    assert not alphas.any()
    assert not pixels[..., 3].any()
    assert info["radii"].shape == (2, 0, 2)
    pixels.sum().backward()
    assert scene["means"].grad is not None
    torch.testing.assert_close(backgrounds.grad, torch.full((2, 3), 600.0))


def test_quaternion_of_length_zero_is_no_rotation():
    scene, looks = cloud(30), view(1, 30)
    still = torch.tensor([1.0, 0, 0, 0]).expand(30, 4)
    expected = rasterization(**(scene | {"quats": still}), **looks)[0]
    zero = torch.zeros(30, 4, requires_grad=True)
    got = rasterization(**(scene | {"quats": zero}), **looks)[0]
    torch.testing.assert_close(got, expected)
    got.sum().backward()
    assert bool(torch.isfinite(zero.grad).all())


def test_opacity_above_one_is_drawn_as_gsplat_draws_it():
    scene, looks = cloud(1) | {"scales": torch.full((1, 3), 0.2)}, view(1, 40)
    alphas = rasterization(**(scene | {"opacities": torch.tensor([2.0])}), **looks)[1]
    below = rasterization(**(scene | {"opacities": torch.tensor([0.5])}), **looks)[1]
    inside = below > 1 / 255
    torch.testing.assert_close(alphas[inside], (4 * below[inside]).clamp(max=0.999), rtol=1e-5, atol=1e-6)


def test_a_smaller_picture_is_a_part_of_the_larger():
    scene, large = cloud(), view(1, 48)
    small = large | {"width": 43, "height": 31}
    expected, got = rasterization(**scene, **large)[0], rasterization(**scene, **small)[0]
    torch.testing.assert_close(got, expected[:, :31, :43], rtol=0, atol=1e-5)


def test_threads_change_nothing(monkeypatch):
    scene, looks, before = cloud(), view(2, 48), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
            leaf = scene["means"].clone().requires_grad_()
            pixels = rasterization(**(scene | {"means": leaf}), **looks)[0]
            results.append((pixels.detach(), *torch.autograd.grad(pixels.square().sum(), leaf)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert relative(two, one.double()) < 1e-5


def test_two_callers_at_once():
    scene, looks = cloud(), view(2, 48)
    expected = rasterization(**scene, **looks)[0]
    same: list[bool] = []

    def call() -> None:
        # Not to the last bit: a thread's first call may be given another number of threads by torch.
        same.extend(torch.allclose(rasterization(**scene, **looks)[0], expected, atol=1e-5) for _ in range(10))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert same == [True] * 30


def test_changing_a_picture_in_place_is_noticed():
    leaf = cloud()["means"].requires_grad_()
    pixels = rasterization(**(cloud() | {"means": leaf}), **view(1, 16), render_mode="RGB+D")[0]
    pixels.clamp_(0, 0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pixels.sum().backward()

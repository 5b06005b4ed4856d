"""One and two Gaussians whose picture can be written down, and derivatives by differences."""

import math

import pytest
import torch
from render_scenes import NAMES, cloud, view
from torch import Tensor

from backend.render import rasterization

FOCAL, SIZE = 40.0, 33  # the principal point lies in the middle of pixel (16, 16)
LOOKS = {
    "viewmats": torch.eye(4)[None],
    "Ks": torch.tensor([[[FOCAL, 0, 16.5], [0, FOCAL, 16.5], [0, 0, 1]]]),
    "width": SIZE,
    "height": SIZE,
}


def balls(*rows: tuple[float, float, float, tuple[float, float, float]]) -> dict[str, Tensor]:
    """Round Gaussians on the axis: (depth, sigma, opacity, rgb)."""
    depth, sigma, opacity, rgb = zip(*rows, strict=True)
    return {
        "means": torch.tensor([[0.0, 0.0, z] for z in depth]),
        "quats": torch.tensor([[1.0, 0, 0, 0]] * len(rows)),
        "scales": torch.tensor([[s] * 3 for s in sigma]),
        "opacities": torch.tensor(opacity),
        "colors": torch.tensor(rgb),
    }


def test_one_ball_falls_off_as_it_should():
    pixels, alphas, info = rasterization(**balls((2.0, 0.15, 0.8, (1.0, 0.5, 0.0))), **LOOKS, render_mode="RGB+D")
    variance = (FOCAL * 0.15 / 2.0) ** 2 + 0.3
    y, x = torch.meshgrid(torch.arange(SIZE) - 16.0, torch.arange(SIZE) - 16.0, indexing="ij")
    expected = 0.8 * torch.exp(-(x**2 + y**2) / (2 * variance))
    expected = torch.where(expected < 1 / 255, 0.0, expected)
    torch.testing.assert_close(alphas[0, ..., 0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        pixels[0], expected[..., None] * torch.tensor([1.0, 0.5, 0.0, 2.0]), rtol=1e-5, atol=1e-5
    )
    radius = math.ceil(math.sqrt(2 * math.log(255 * 0.8) * variance))
    assert info["radii"].tolist() == [[[radius, radius]]]


def test_the_nearer_hides_the_farther_whatever_the_order():
    red, blue = (1.0, 0.1, 0.6, (1.0, 0.0, 0.0)), (3.0, 0.3, 0.5, (0.0, 0.0, 1.0))
    for rows in ((red, blue), (blue, red)):
        pixels, alphas, _ = rasterization(
            **balls(*rows), **LOOKS, backgrounds=torch.tensor([[0.0, 1.0, 0.0]]), render_mode="RGB+ED"
        )
        depth = (0.6 * 1.0 + 0.4 * 0.5 * 3.0) / 0.8
        torch.testing.assert_close(pixels[0, 16, 16], torch.tensor([0.6, 0.2, 0.2, depth]), rtol=1e-5, atol=1e-6)
        assert float(alphas[0, 16, 16, 0]) == pytest.approx(0.8, abs=1e-6)


def test_alpha_is_cut_and_has_no_gradient_there():
    scene = balls((1.0, 0.2, 1.0, (1.0, 1.0, 1.0)))
    opacity = scene["opacities"].requires_grad_()
    alphas = rasterization(**scene, **LOOKS)[1]
    assert float(alphas[0, 16, 16, 0].detach()) == pytest.approx(0.999, abs=1e-6)
    alphas[0, 16, 16, 0].backward()
    assert opacity.grad is not None
    assert float(opacity.grad) == 0


def test_gradients_of_opacity_and_colour():
    scene = balls((1.0, 0.1, 0.6, (0.9, 0.2, 0.3)), (3.0, 0.3, 0.5, (0.1, 0.4, 0.8)))
    opacities, colors = scene["opacities"].requires_grad_(), scene["colors"].requires_grad_()
    red = rasterization(**scene, **LOOKS, backgrounds=torch.tensor([[0.7, 0.0, 0.0]]))[0][0, 16, 16, 0]
    by_opacity, by_color = torch.autograd.grad(red, (opacities, colors))
    behind = 0.5 * 0.1 + 0.5 * 0.7
    torch.testing.assert_close(by_opacity, torch.tensor([0.9 - behind, 0.4 * (0.1 - 0.7)]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(by_color[:, 0], torch.tensor([0.6, 0.4 * 0.5]), rtol=1e-5, atol=1e-6)
    assert float(by_color[:, 1:].abs().max()) == 0


@pytest.mark.parametrize("name", NAMES)
def test_directional_derivatives_by_differences(name):
    # Broad and faint, so that no pixel crosses a = 1/255 or closes: those jumps have no derivative.
    scene = cloud(6) | {"scales": 0.8 + cloud(6)["scales"], "opacities": 0.3 + 0.2 * cloud(6)["opacities"]}
    looks, step = view(1, 24), 1e-2
    random = torch.Generator().manual_seed(5)
    direction = torch.randn(scene[name].shape, generator=random)
    weight = torch.rand(1, 24, 24, 3, generator=random)

    def loss(tensor: Tensor) -> Tensor:
        return (rasterization(**(scene | {name: tensor}), **looks)[0] * weight).double().sum()

    leaf = scene[name].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    difference = (loss(scene[name] + step * direction) - loss(scene[name] - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=0.01)

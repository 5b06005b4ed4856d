"""Penalties against values that can be worked out by hand."""

import pytest
import torch

from backend.scenes import regularise


def checkerboard(side):
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((rows + columns) % 2).float()[None, :, :, None]


def test_a_constant_picture_does_not_vary():
    assert regularise.total_variation(torch.full((2, 5, 7, 3), 0.3)) == 0


def test_a_checkerboard_varies_by_one_in_each_direction():
    assert regularise.total_variation(checkerboard(6).expand(2, -1, -1, 3)) == pytest.approx(2)


def test_a_ramp_varies_by_its_slope():
    ramp = torch.linspace(0, 1, 11)[None, None, :, None].expand(1, 4, -1, 1)
    assert regularise.total_variation(ramp) == pytest.approx(0.1)


def test_a_single_pixel_has_no_neighbours():
    assert regularise.total_variation(torch.rand(1, 1, 1, 3)) == 0


def test_scale_penalty_is_the_mean_sigma():
    assert regularise.scale_penalty(torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]).log()) == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("alpha", "sparse", "opaque"), [(0.0, 0.1, 0.0), (0.5, 0.26**0.5, 0.25), (1.0, 1.01**0.5, 0.0)]
)
def test_alpha_penalties(alpha, sparse, opaque):
    picture = torch.full((1, 4, 4, 1), alpha)
    assert regularise.sparsity(picture) == pytest.approx(sparse)
    assert regularise.opaqueness(picture) == pytest.approx(opaque)


def test_disparity_of_a_plane_and_of_its_edge():
    """A plane at distance 4 fills the left half: one step of 1/4 in each row, none within the halves."""
    alpha = torch.zeros(1, 8, 8, 1)
    alpha[:, :, :4] = 1
    variation = regularise.disparity_variation(4 * alpha, alpha)
    assert variation == pytest.approx(0.25 / 7)


def test_disparity_has_a_finite_gradient_where_nothing_is():
    alpha = torch.zeros(1, 4, 4, 1, requires_grad=True)
    depth = torch.zeros(1, 4, 4, 1, requires_grad=True)
    regularise.disparity_variation(depth, alpha).backward()
    assert torch.isfinite(alpha.grad).all()
    assert torch.isfinite(depth.grad).all()

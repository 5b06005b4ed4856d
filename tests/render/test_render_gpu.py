"""Our kernel on the CPU against gsplat's on CUDA: same signature, same result."""

import pytest
import torch
from render_scenes import cloud, edge_cases, relative, view

from backend.render import rasterization

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def both(scene, looks, **options):
    """Pixels, alphas, info and gradients on the CPU and on CUDA."""
    results = []
    arguments = scene | looks | options
    for device in ("cpu", "cuda"):
        moved = {k: v.detach().to(device) if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}
        leaves = {key: moved[key].requires_grad_() for key in scene}
        pixels, alphas, info = rasterization(**moved)
        info["means2d"].retain_grad()
        weight = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1)).to(device)
        ((pixels * weight).sum() + alphas.square().sum()).backward()
        results.append((pixels, alphas, info, {key: leaf.grad for key, leaf in leaves.items()}))
    return results


@pytest.mark.parametrize("case", edge_cases())
def test_edge_cases_on_cuda(case):
    ours, theirs = both(edge_cases()[case], view(2, 48), backgrounds=torch.rand(2, 3), render_mode="RGB+D")
    assert relative(ours[0], theirs[0].cpu().double()) < 1e-4
    assert relative(ours[1], theirs[1].cpu().double()) < 1e-4
    assert relative(ours[2]["means2d"].grad, theirs[2]["means2d"].grad.cpu().double()) < 2e-3
    for key, gradient in ours[3].items():
        assert relative(gradient, theirs[3][key].cpu().double()) < 2e-3, key
    assert float((ours[2]["radii"] == theirs[2]["radii"].cpu()).float().mean()) > 0.98


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_harmonics_on_cuda(degree):
    ours, theirs = both(cloud() | {"colors": 0.5 * torch.randn(300, 16, 3)}, view(2, 48), sh_degree=degree)
    assert relative(ours[0], theirs[0].cpu().double()) < 1e-4
    assert relative(ours[3]["colors"], theirs[3]["colors"].cpu().double()) < 1e-3


def test_info_has_the_same_keys():
    ours, theirs = both(cloud(), view(2, 48))
    shared = {"means2d", "conics", "depths", "radii", "gaussian_ids", "width", "height", "n_cameras"}
    assert shared <= ours[2].keys()
    for key in shared:
        assert getattr(ours[2][key], "shape", ours[2][key]) == getattr(theirs[2][key], "shape", theirs[2][key]), key


def test_nothing_on_cuda():
    ours, theirs = both(
        {key: tensor[:0] for key, tensor in cloud(1).items()}, view(1, 16), backgrounds=torch.ones(1, 3)
    )
    torch.testing.assert_close(ours[0], theirs[0].cpu())

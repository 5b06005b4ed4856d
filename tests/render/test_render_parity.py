"""The CPU renderer against gsplat's own reference: pictures, alphas, depths and every gradient."""

import pytest
import torch
from render_scenes import cloud, edge_cases, errors, view

from backend.render import rasterization
from backend.studies.bench import gsplat_reference

BACKGROUNDS = torch.tensor([[0.2, 0.7, 1.0], [1.0, 0.1, 0.4]])


def assert_close(found: dict[str, float], pictures: float = 1e-5, gradients: float = 1e-4) -> None:
    limits = {key: pictures if key in ("pixels", "alphas") else gradients for key in found}
    assert {key: error for key, error in found.items() if not error <= limits[key]} == {}


@pytest.mark.parametrize("case", edge_cases())
def test_edge_cases(case):
    assert_close(errors(edge_cases()[case], view(2, 48), backgrounds=BACKGROUNDS, render_mode="RGB+D"))


@pytest.mark.parametrize(("width", "height"), [(37, 29), (1, 1), (8, 50), (65, 16)])
def test_odd_sizes(width, height):
    assert_close(errors(cloud(100), view(1, width, height), render_mode="RGB+D"))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spherical_harmonics(degree):
    sh = 0.5 * torch.randn(300, 16, 3, generator=torch.Generator().manual_seed(3))  # a part of the colours is cut at 0
    assert_close(errors(cloud() | {"colors": sh}, view(2, 48), sh_degree=degree), pictures=2e-5)


@pytest.mark.parametrize("mode", ["RGB", "D", "ED", "RGB+D", "RGB+ED"])
def test_render_modes(mode):
    assert_close(errors(cloud(), view(2, 32), backgrounds=BACKGROUNDS, render_mode=mode), gradients=2e-4)


def test_colors_per_camera():
    colors = torch.rand(2, 300, 3, generator=torch.Generator().manual_seed(4))
    assert_close(errors(cloud() | {"colors": colors}, view(2, 32)))


def test_planes_and_blur():
    scene, looks = cloud(), view(1, 40)
    options = {"near_plane": 3.0, "far_plane": 3.2, "eps2d": 0.05}
    assert_close(errors(scene, looks, **options))
    _, _, info = rasterization(**scene, **looks, **options)
    seen = info["radii"][0, :, 0] > 0
    depths = info["depths"][0]
    assert 0 < seen.sum() < 300
    assert bool(((depths[seen] > 3.0) & (depths[seen] < 3.2)).all())


def test_cameras_do_not_mix():
    scene, looks = cloud(), view(3, 32)
    together = rasterization(**scene, **looks)[0]
    for row in range(3):
        alone = looks | {"viewmats": looks["viewmats"][row : row + 1], "Ks": looks["Ks"][row : row + 1]}
        torch.testing.assert_close(rasterization(**scene, **alone)[0][0], together[row], rtol=0, atol=1e-6)


def test_info_is_that_of_gsplat():
    scene, looks = cloud() | {"opacities": torch.ones(300)}, view(2, 48)
    scene["means"] *= 3  # some off the picture
    ours = rasterization(**scene, **looks)[2]
    means = scene.pop("means").double()
    rest = {key: value.double() if isinstance(value, torch.Tensor) else value for key, value in (scene | looks).items()}
    theirs = gsplat_reference.rasterization(means, **rest)[2]
    assert torch.equal(ours["radii"] > 0, theirs["radii"] > 0)
    seen = ours["radii"][..., 0] > 0
    assert 0 < seen.sum() < seen.numel()
    for key in ("means2d", "depths", "conics"):
        torch.testing.assert_close(ours[key][seen].double(), theirs[key][seen], rtol=1e-4, atol=1e-4)
    # Theirs is 3.33 sigma, ours sqrt(2 ln 255) = 3.329: one more pixel in a thousand.
    assert int((ours["radii"] - theirs["radii"]).abs().max()) <= 1
    assert float((ours["radii"] == theirs["radii"]).float().mean()) > 0.98
    assert ours["radii"].dtype == torch.int32

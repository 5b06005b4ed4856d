"""Likeness to the objects of a kit: an object's own pictures, turned ones, second faces, and a ball of real splats."""

import pytest
import torch
from kits import THINGS, kit_object, small_catalogue

from backend.export.views import all_around
from backend.priors.catalogue import CataloguePrior
from backend.priors.grid import RINGS
from backend.scenes.initial import discs
from backend.studies.evaluate.nearest import compared, likeness


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return small_catalogue(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def chairs(catalogue):
    return CataloguePrior(catalogue, "a chair")


@pytest.fixture(scope="module")
def sofa(catalogue):
    return CataloguePrior(catalogue, "a sofa")


def pictures(prior, number, side=64):
    return torch.stack([prior.sources[0].pictures(camera, side).x[number] for camera in range(len(prior.grid))])


def rolled(x, share):
    """What a grid sees of a thing that is turned by a share of a whole turn."""
    rings = torch.split(x, [count for _, count, _ in RINGS])
    return torch.cat([ring.roll(round(len(ring) * share), 0) for ring in rings])


@pytest.mark.parametrize("number", range(4))
def test_an_objects_own_pictures_are_it_and_face_as_it_does(chairs, number):
    found = compared(chairs, pictures(chairs, number))
    assert found.nearest == f"test/{number}"
    assert min(found.psnr, found.psnr_rgba) > 80
    assert min(found.largest, found.largest_in_view) > 0.99
    assert (found.turned, found.second_faces, found.new) == (0, 0, 0)


@pytest.mark.parametrize(("share", "degrees"), [(1 / 4, 90), (1 / 2, 180), (3 / 4, 90)])
def test_the_angle_of_a_turned_object_is_measured(sofa, share, degrees):
    found = compared(sofa, rolled(pictures(sofa, 0), share))
    assert found.turned == pytest.approx(degrees)
    assert found.second_faces == 1
    assert found.psnr < 30


def test_a_second_face_counts_where_it_is(sofa):
    """Behind, the thing is seen as from in front: half a turn off in as large a share of views as is behind."""
    x, behind = pictures(sofa, 0), ((sofa.grid.azimuth + 180) % 360 - 180).abs() > 90
    janus = torch.where(behind[:, None, None, None], rolled(x, 1 / 2), x)
    found = compared(sofa, janus)
    share = float(behind.float().mean())
    assert found.second_faces == pytest.approx(share)
    assert found.turned == pytest.approx(180 * share)


def test_what_looks_as_much_like_two_sides_is_not_turned(sofa):
    x = pictures(sofa, 0)
    found = compared(sofa, (x + rolled(x, 1 / 4)) / 2)
    assert (found.turned, found.second_faces) == (0, 0)


def test_parts_of_two_objects_are_no_ones(chairs):
    one, other = pictures(chairs, 0), pictures(chairs, 3)
    found = compared(chairs, torch.cat([one[:, :, :32], other[:, :, 32:]], 2))
    assert found.largest < 0.7
    assert found.psnr_rgba < 25
    assert found.new == 1
    assert found.turned < 10
    turns = (torch.arange(48) % 2 == 0)[:, None, None, None]
    found = compared(chairs, torch.where(turns, one, other))
    assert found.largest < 0.7
    assert found.largest_in_view > 0.99


def test_a_pale_haze_is_like_nothing_though_its_colour_is_near(chairs):
    """A tenth of the wooden chair: its colour is all but grey, as is any thin chair's; its alpha is nobody's."""
    x = pictures(chairs, 0)
    found = compared(chairs, torch.cat([x[:, :3] / 10, (x[:, 3:] + 1) / 10 - 1], 1))
    assert found.psnr_rgba + 5 < found.psnr
    assert found.new == 1


@pytest.mark.parametrize(("side", "least"), [(64, 22), (128, 25)])
def test_splats_on_a_ball_are_the_ball(catalogue, side, least):
    """Lit as the kit's ball is: cameras, colours and sides of the grid are those of the kit."""
    (ball,) = THINGS["Apple"]
    cameras = all_around(4000)
    normals = torch.nn.functional.normalize(cameras.positions, dim=-1)
    light = 0.7 + 0.2 * normals[:, 2:] - 0.1 * normals[:, 1:2]
    splats = discs(normals * ball.radius, normals, light * torch.tensor(ball.colour))
    found = likeness(CataloguePrior(catalogue, "an apple"), splats, side)
    assert found.nearest == kit_object(4, "Apple").source
    assert found.psnr > least
    assert found.largest > 0.99
    assert found.turned < 5

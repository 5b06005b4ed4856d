"""Pixels as a scene: what is seen is what is learned, and a saved state resumes to the last bit."""

import pytest
import torch

from backend.cameras import orbit
from backend.scenes.base import Scene
from backend.scenes.image import ImageScene, saturation

WHITE = torch.ones(2, 3)


def scene(seed=0, count=2, side=8):
    return ImageScene(count, side, 0.05, torch.Generator().manual_seed(seed))


def towards(thing: Scene, colour, steps):
    """So many steps of gradient descent towards one colour."""
    for step in range(steps):
        render = thing.render(orbit(2), 8, 8, WHITE)
        ((render.rgb - torch.tensor(colour)) ** 2).sum().backward()
        thing.step(step, render, None)
    return thing.pictures()


def test_every_camera_sees_its_own_picture():
    thing = scene()
    render = thing.render(orbit(2), 8, 8, WHITE)
    torch.testing.assert_close(render.rgb, thing.pixels)
    assert float(render.alpha.min()) == 1
    assert thing.render(orbit(2), 4, 4, WHITE).rgb.shape == (2, 4, 4, 3)
    assert not torch.equal(render.rgb[0], render.rgb[1])
    with pytest.raises(ValueError, match="2 pictures"):
        thing.render(orbit(3), 8, 8, torch.ones(3, 3))


def test_pixels_learn_and_stay_colours():
    pictures = towards(scene(), (1.5, 0.2, -0.5), 100)
    torch.testing.assert_close(pictures.mean((0, 1, 2)), torch.tensor([1.0, 0.2, 0.0]), atol=0.02, rtol=0)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1
    assert saturation(pictures) > 0.95
    assert saturation(torch.full((1, 2, 2, 3), 0.4)) < 0.05


def test_a_saved_state_resumes_to_the_last_bit():
    whole, half = scene(), scene()
    expected = towards(whole, (1.0, 0.0, 0.0), 6)
    towards(half, (1.0, 0.0, 0.0), 3)
    other = scene(seed=1)
    other.load_state_dict(half.state_dict())
    assert torch.equal(towards(other, (1.0, 0.0, 0.0), 3), expected)


def test_nan_and_infinite_values_are_noticed():
    thing = scene()
    assert thing.finite()
    thing.pixels.data[0, 0, 0, 0] = torch.nan
    assert not thing.finite()


def test_as_splats_the_picture_faces_the_front_with_its_top_up():
    thing = scene()
    with torch.no_grad():
        thing.pixels[0] = 0.0
        thing.pixels[0, 0] = 1.0  # the top row
    splats = thing.splats()
    bright = splats.sh[:, 0, 0] > splats.sh[:, 0, 0].mean()
    assert bright.sum() == 8
    torch.testing.assert_close(splats.means[bright, 2], torch.ones(8))
    assert float(splats.means[:, 1].abs().max()) == 0

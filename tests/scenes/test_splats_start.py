"""A PLY of splats as a start: they themselves, with their colours, upright, in the unit ball."""

import numpy as np
import pytest
import torch

from backend.kits.photograph import photograph
from backend.render import SH_C0
from backend.scenes.initial import InitialError, from_mesh
from backend.scenes.meshes import load_surface
from backend.scenes.ply import write_ply
from backend.scenes.splats import Splats


def tower(count=400):
    """Red below, blue above; 2 m wide and 6 m high, off the origin."""
    generator = torch.Generator().manual_seed(0)
    means = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([2.0, 2, 6]) + torch.tensor([5.0, 6, 7])
    means[0], means[1] = torch.tensor([4.0, 5, 4]), torch.tensor([6.0, 7, 10])
    colours = torch.where(means[:, 2:] > 7, torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]))
    quats = torch.randn(count, 4, generator=generator)
    scales = torch.tensor([0.2, 0.1, 0.05]).log().expand(count, 3)
    logits = torch.linspace(1.0, 3.0, count)
    return Splats(means, quats, scales, logits, ((colours - 0.5) / SH_C0)[:, None])


def start(path, most=None):
    notes = []
    splats, matrix = from_mesh(path, 100, torch.Generator().manual_seed(0), notes.append, most)
    return splats, matrix, notes


def test_they_are_taken_as_they_are(tmp_path):
    whole = tower()
    write_ply(whole, tmp_path / "splats.ply")
    splats, matrix, notes = start(tmp_path / "splats.ply")
    radius = 11**0.5  # of the box's half diagonal
    assert notes == []
    torch.testing.assert_close(splats.means, (whole.means - torch.tensor([5.0, 6, 7])) / radius, atol=1e-5, rtol=0)
    torch.testing.assert_close(splats.log_scales.exp(), whole.log_scales.exp() / radius)
    for name in ("quats", "opacity_logits", "sh"):
        assert torch.equal(getattr(splats, name), getattr(whole, name))
    back = splats.means @ matrix[:3, :3].T + matrix[:3, 3]
    torch.testing.assert_close(back, whole.means, atol=1e-4, rtol=0)


def test_of_too_many_only_the_largest_are_used_with_a_note(tmp_path):
    whole = tower()
    write_ply(whole, tmp_path / "splats.ply")
    splats, _, notes = start(tmp_path / "splats.ply", most=150)
    assert torch.equal(splats.opacity_logits, whole.opacity_logits[-150:])
    assert notes == ["Of the 400 splats of splats.ply only the 150 largest are used."]


def test_a_kit_photographs_them_upright_in_their_colours(tmp_path):
    write_ply(tower(), tmp_path / "splats.ply")
    views = photograph(load_surface(tmp_path / "splats.ply")).astype(float)
    middle = views[0, :, 54:74]  # of the picture from the front
    above, below = middle[20:55], middle[73:108]
    solid = [part[part[..., 3] > 128] for part in (above, below)]
    assert (solid[0][:, 2] > 150).mean() > 0.9
    assert (solid[1][:, 0] > 150).mean() > 0.9


def test_damaged_splats_are_refused_in_one_sentence(tmp_path):
    write_ply(tower(), tmp_path / "splats.ply")
    content = (tmp_path / "splats.ply").read_bytes()
    (tmp_path / "splats.ply").write_bytes(content[:-4] + np.float32("nan").tobytes())
    with pytest.raises(InitialError, match=r"init_mesh: .*NaN"):
        start(tmp_path / "splats.ply")
    (tmp_path / "splats.ply").write_bytes(content[:-4])
    with pytest.raises(InitialError, match=r"init_mesh: .*truncated"):
        start(tmp_path / "splats.ply")
    write_ply(tower().map(lambda values: values[:0]), tmp_path / "splats.ply")
    with pytest.raises(InitialError, match="no visible splats"):
        start(tmp_path / "splats.ply")

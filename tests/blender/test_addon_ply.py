"""The reader of splats on Blender's side."""

import numpy as np
import pytest
from samples import random_splats, write_ply

from blender_addon.ply import PlyError, read_ply


@pytest.mark.parametrize("harmonics", [1, 4, 16])
def test_what_was_written_is_read_with_its_activations(tmp_path, harmonics):
    splats = random_splats(50, harmonics)
    cloud = read_ply(write_ply(tmp_path / "splats.ply", splats))
    assert len(cloud) == 50
    np.testing.assert_allclose(cloud.positions, splats["means"], rtol=1e-6)
    np.testing.assert_allclose(cloud.sh, splats["sh"], rtol=1e-6)
    np.testing.assert_allclose(cloud.scales, np.exp(splats["log_scales"]), rtol=1e-5)
    np.testing.assert_allclose(cloud.opacities, 1 / (1 + np.exp(-splats["opacity_logits"])), rtol=1e-5)
    unit = splats["quats"] / np.linalg.norm(splats["quats"], axis=1, keepdims=True)
    np.testing.assert_allclose(cloud.rotations, unit, atol=1e-6)


def test_colours_become_linear(tmp_path):
    splats = random_splats(3)
    srgb = np.array([0.0, 0.5, 1.2])  # beyond white is white
    splats["sh"][:] = ((srgb - 0.5) / 0.28209479177387814)[:, None, None]
    linear = read_ply(write_ply(tmp_path / "splats.ply", splats)).linear_rgb
    np.testing.assert_allclose(linear[:, 0], [0, 0.21404114, 1], atol=1e-6)


def test_an_opacity_far_out_stays_a_number(tmp_path):
    splats = random_splats(2)
    splats["opacity_logits"][:] = -1000, 1000
    assert read_ply(write_ply(tmp_path / "splats.ply", splats)).opacities.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda b: b[:-1], "cut short"),
        (lambda b: b.replace(b"vertex 5", b"vertex 999999999999"), "cut short"),
        (lambda b: b.replace(b"vertex 5", b"vertex five"), "not a binary PLY"),
        (lambda b: b.replace(b"binary_little_endian", b"ascii"), "not a binary PLY"),
        (lambda b: b.replace(b"rot_3", b"rot_9"), "rot_3"),
        (lambda b: b.replace(b"property float x", b"property list uchar int x"), "kind"),
        (lambda b: b.replace(b"float y", b"float x"), "twice"),
        (lambda b: b[:-4] + np.float32(np.nan).tobytes(), "NaN"),
        (lambda b: b"", "not a binary PLY"),
        (lambda b: b"solid cube\n" * 20, "not a binary PLY"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, damage, says):
    file = write_ply(tmp_path / "splats.ply", random_splats(5))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(PlyError, match=says) as caught:
        read_ply(file)
    assert str(file) in str(caught.value)

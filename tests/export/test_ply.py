"""PLY: bit for bit, in the layout of 3DGS, and nothing else is taken for it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.files import ExportError
from backend.scenes.ply import read_ply, write_ply
from backend.scenes.splats import Splats

FLOATS = st.floats(-1e6, 1e6, width=32)
NAMES = ("means", "quats", "log_scales", "opacity_logits", "sh")


@st.composite
def any_splats(draw) -> Splats:
    count, degree = draw(st.integers(0, 5)), draw(st.integers(0, 3))
    shapes = ((count, 3), (count, 4), (count, 3), (count,), (count, (degree + 1) ** 2, 3))
    return Splats(*(torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=FLOATS))) for shape in shapes))


def some(count: int = 3, harmonics: int = 4) -> Splats:
    shapes = ((count, 3), (count, 4), (count, 3), (count,), (count, harmonics, 3))
    generator = torch.Generator().manual_seed(0)
    return Splats(*(torch.randn(shape, generator=generator) for shape in shapes))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(splats=any_splats())
def test_round_trip_is_exact(tmp_path, splats):
    write_ply(splats, tmp_path / "splats.ply")
    back = read_ply(tmp_path / "splats.ply")
    for name in NAMES:
        assert getattr(back, name).dtype == torch.float32
        if name == "sh" and splats.sh.shape[1] > 4:  # a turn mixes these
            most = max(splats.sh.abs().flatten().tolist(), default=0)
            torch.testing.assert_close(back.sh, splats.sh, rtol=1e-5, atol=1e-6 * most)
        else:
            assert torch.equal(getattr(back, name), getattr(splats, name)), name


FULL = [*"xyz", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(45)), "opacity"]
FULL += [*(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]


def columns_of(path):
    """An independent reading: the header as text, and each column by its name."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    names = re.findall(r"property float (\w+)", header.decode())
    rows = np.frombuffer(body, "<f4").reshape(-1, len(names))
    return header.decode(), {name: torch.tensor(rows[:, i]) for i, name in enumerate(names)}


@pytest.mark.parametrize("harmonics", [1, 4])
def test_columns_are_those_of_3dgs_and_y_points_down(tmp_path, harmonics):
    """All 62 of them, as its readers ask; the harmonics of red come first, then green, then blue."""
    splats = some(count=2, harmonics=harmonics)
    write_ply(splats, tmp_path / "splats.ply")
    header, columns = columns_of(tmp_path / "splats.ply")
    assert list(columns) == FULL
    assert f"comment splatsmith: x right, y down, z back (-Y is up, as in 3DGS); harmonics {harmonics}\n" in header
    x, y, z = splats.means.T
    assert torch.equal(torch.stack([columns[axis] for axis in "xyz"]), torch.stack([x, -z, y]))
    assert torch.equal(columns["f_dc_1"], splats.sh[:, 0, 1])
    assert torch.equal(columns["opacity"], splats.opacity_logits)
    rest = torch.stack([columns[f"f_rest_{i}"] for i in range(45)], 1).reshape(2, 3, 15).movedim(1, 2)
    assert not rest[:, harmonics - 1 :].any()
    if harmonics == 4:  # 3DGS has -y, z, -x: what looks up here, +z, is -y there
        assert torch.equal(rest[:, :3], torch.stack([splats.sh[:, 2], -splats.sh[:, 1], splats.sh[:, 3]], 1))


def covariances(quats, log_scales):
    w, x, y, z = torch.nn.functional.normalize(quats.double(), dim=-1).unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    turn = torch.stack(rows, -1).reshape(-1, 3, 3)
    return turn @ torch.diag_embed((2 * log_scales.double()).exp()) @ turn.mT


TURN = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).double()


def test_splats_in_a_file_are_turned_whole(tmp_path):
    """Their covariance there is P C P^T, with P a quarter turn about x."""
    splats = some(count=20)
    write_ply(splats, tmp_path / "splats.ply")
    _, columns = columns_of(tmp_path / "splats.ply")
    quats = torch.stack([columns[f"rot_{i}"] for i in range(4)], 1)
    scales = torch.stack([columns[f"scale_{i}"] for i in range(3)], 1)
    expected = TURN @ covariances(splats.quats, splats.log_scales) @ TURN.mT
    torch.testing.assert_close(covariances(quats, scales), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("harmonics", [4, 9, 16])
def test_colours_turn_with_the_splats(tmp_path, harmonics):
    """Seen along a turned direction, a turned splat has the colour that it had: by our renderer, from six sides."""
    from backend.render import rasterization

    splats = some(count=1, harmonics=harmonics)
    write_ply(splats, tmp_path / "splats.ply")
    _, columns = columns_of(tmp_path / "splats.ply")
    rest = torch.stack([columns[f"f_rest_{i}"] for i in range(45)], 1).reshape(1, 3, 15).movedim(1, 2)
    turned = torch.cat([splats.sh[:, :1], rest[:, : harmonics - 1]], 1)

    def colour(sh, direction):
        """Of a ball at the origin, seen along a direction by a camera two metres off."""
        z = torch.nn.functional.normalize(direction.double(), dim=0)
        x = torch.linalg.cross(torch.tensor([0.3, -0.5, 0.8]).double(), z)
        x = x / x.norm()
        pose = torch.eye(4).double()
        pose[:3, :3], pose[2, 3] = torch.stack([x, torch.linalg.cross(z, x), z]), 2
        parts = (torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.2), torch.ones(1), sh)
        intrinsics = torch.tensor([[[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]])
        degree = int(harmonics**0.5) - 1
        pixels, alpha, _ = rasterization(*parts, pose[None].float(), intrinsics, 16, 16, sh_degree=degree)
        return pixels[0, 8, 8, :3] / alpha[0, 8, 8]

    for direction in torch.randn(6, 3, generator=torch.Generator().manual_seed(1)):
        seen, there = colour(0.2 * splats.sh, direction), colour(0.2 * turned, TURN.float() @ direction)
        torch.testing.assert_close(there, seen, rtol=0, atol=1e-4)


@pytest.mark.parametrize("harmonics", [1, 4, 9])
def test_older_files_of_ours_keep_their_orientation(tmp_path, harmonics):
    """Without normals and without a word they are Z up; `foreign` trusts that of files without harmonics alone."""
    splats = some(harmonics=harmonics)
    names = [n for n in FULL if n[0] != "n" and not (n.startswith("f_rest_") and int(n[7:]) >= 3 * (harmonics - 1))]
    rest = splats.sh[:, 1:].movedim(1, 2).reshape(3, -1)
    parts = [splats.means, splats.sh[:, 0], rest, splats.opacity_logits[:, None], splats.log_scales, splats.quats]
    header = _header("".join(f"property float {name}\n" for name in names), count=3)
    (tmp_path / "old.ply").write_bytes(header + torch.cat(parts, 1).numpy().tobytes())
    assert torch.equal(read_ply(tmp_path / "old.ply").means, splats.means)
    assert torch.equal(read_ply(tmp_path / "old.ply").sh, splats.sh)
    elsewhere = splats.means if harmonics == 1 else splats.means @ TURN.float()
    assert torch.equal(read_ply(tmp_path / "old.ply", foreign=True).means, elsewhere)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinite_values_are_refused_and_the_old_file_stays(tmp_path, bad):
    path = tmp_path / "splats.ply"
    write_ply(some(), path)
    before = path.read_bytes()
    broken = some()
    broken.log_scales[1, 2] = bad
    with pytest.raises(ExportError, match=re.escape(str(path))):
        write_ply(broken, path)
    assert path.read_bytes() == before


def test_harmonics_beyond_degree_three_are_refused(tmp_path):
    with pytest.raises(ExportError, match="25 harmonics"):
        write_ply(some(harmonics=25), tmp_path / "splats.ply")


def test_nan_in_a_file_is_refused(tmp_path):
    path = tmp_path / "splats.ply"
    write_ply(some(), path)
    path.write_bytes(path.read_bytes()[:-4] + np.float32("nan").tobytes())
    with pytest.raises(ExportError, match="NaN"):
        read_ply(path)


def _header(properties: str, count: int = 1, more: str = "") -> bytes:
    return f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}{more}end_header\n".encode()


WANTED = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
WANTED += ["rot_0", "rot_1", "rot_2", "rot_3"]
FLOAT_ROWS = "".join(f"property float {name}\n" for name in WANTED)
FOREIGN = {
    "empty": b"",
    "picture": b"\x89PNG\r\n" + bytes(500),
    "no header end": b"ply\nformat ascii 1.0\n",
    "mesh": _header("property float x\nproperty float y\nproperty float z\n") + bytes(12),
    "two elements": _header(FLOAT_ROWS, more="element face 1\nproperty list uchar int vertex_indices\n") + bytes(99),
    "a column of bytes": _header(FLOAT_ROWS + "property uchar red\n") + bytes(57),
    "count is no number": _header(FLOAT_ROWS).replace(b"vertex 1", b"vertex many") + bytes(56),
    "no count": _header(FLOAT_ROWS).replace(b"vertex 1", b"vertex") + bytes(56),
    "a column is missing": _header(FLOAT_ROWS.replace("property float opacity\n", "")) + bytes(52),
    "cut short": _header(FLOAT_ROWS, count=2) + bytes(100),
    "absurd count": _header(FLOAT_ROWS, count=10**15) + bytes(56),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "other.ply"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=re.escape(str(path))):
        read_ply(path)


def test_normals_in_a_file_do_no_harm(tmp_path):
    names = [*WANTED[:3], "nx", "ny", "nz", *WANTED[3:]]
    rows = np.arange(len(names), dtype=np.float32)
    (tmp_path / "n.ply").write_bytes(_header("".join(f"property float {n}\n" for n in names)) + rows.tobytes())
    splats = read_ply(tmp_path / "n.ply")
    assert splats.sh.flatten().tolist() == [6, 7, 8]
    assert splats.means.flatten().tolist() == [0, 2, -1]  # a file from elsewhere: -Y is up
    assert splats.quats.flatten().tolist() == [13, 14, 16, -15]


def test_missing_file_stays_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ply(tmp_path / "none.ply")

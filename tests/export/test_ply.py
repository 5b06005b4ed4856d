"""PLY: bit for bit, in the layout of 3DGS, and nothing else is taken for it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.export.files import ExportError
from backend.export.ply import read_ply, write_ply
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
        assert torch.equal(getattr(back, name), getattr(splats, name)), name
        assert getattr(back, name).dtype == torch.float32


def test_columns_are_those_of_3dgs(tmp_path):
    """Against an independent reading of the bytes: the harmonics of red come first, then green, then blue."""
    splats = some(count=2, harmonics=4)
    write_ply(splats, tmp_path / "splats.ply")
    header, _, body = (tmp_path / "splats.ply").read_bytes().partition(b"end_header\n")
    names = re.findall(r"property float (\w+)", header.decode())
    rows = np.frombuffer(body, "<f4").reshape(2, len(names))
    columns = {name: torch.tensor(rows[:, i]) for i, name in enumerate(names)}
    assert torch.equal(columns["f_rest_0"], splats.sh[:, 1, 0])
    assert torch.equal(columns["f_rest_2"], splats.sh[:, 3, 0])
    assert torch.equal(columns["f_rest_3"], splats.sh[:, 1, 1])
    assert torch.equal(columns["f_rest_8"], splats.sh[:, 3, 2])
    assert torch.equal(columns["f_dc_1"], splats.sh[:, 0, 1])
    assert torch.equal(columns["rot_0"], splats.quats[:, 0])
    assert torch.equal(columns["opacity"], splats.opacity_logits)
    assert torch.equal(columns["scale_2"], splats.log_scales[:, 2])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_and_the_old_file_stays(tmp_path, bad):
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
    assert splats.quats.flatten().tolist() == [13, 14, 15, 16]


def test_missing_file_stays_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ply(tmp_path / "none.ply")

"""Colours in OBJ and MTL files, however their pictures are named, and the notes on missing files."""

import json
import sys

import numpy as np
import pytest
from mesh_colours import CORNERS, GREEN, RED, colours, halves, is_red_then_green

from backend.scenes.file_resolver import map_kd
from backend.scenes.meshes import load_surface

OBJ = "mtllib {mtl}\n" + "".join(f"v {x} {y} {z}{{paint}}\n" for x, y, z in CORNERS)
OBJ += "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl My Wood\nf 1/1 2/2 3/3 4/4\n"


def obj(folder, mtl, paint="", name="a.mtl"):
    (folder / "a.obj").write_text(OBJ.format(mtl=name, paint=paint))
    if mtl is not None:
        (folder / "a.mtl").write_text(f"newmtl My Wood\nKd 0.8 0.8 0.8\n{mtl}\n")
    return folder / "a.obj"


@pytest.mark.parametrize(
    "written",
    [
        "map_Kd textures/My Wood.png",
        "map_Kd textures\\My Wood.png",
        "map_Kd C:\\Users\\me\\My Wood.png",
        "map_Kd /home/me/My%20Wood.png",
        "MAP_KD Textures/MY WOOD.PNG",
        "map_Kd -s 1 1 1 textures/My Wood.png",
        "map_Kd -s 1.0 1 -o 0 0 0 -clamp on -mm 0 1 -bm 0.5 textures\\my wood.png",
        '\tmap_Kd "textures/My Wood.png"',
    ],
)
def test_pictures_of_an_mtl_are_found_as_they_are_written(tmp_path, written):
    halves(tmp_path / "textures" / "My Wood.png")
    assert is_red_then_green(colours(obj(tmp_path, written)))


def test_an_mtl_s_scale_and_offset_move_the_picture(tmp_path):
    halves(tmp_path / "wood.png", GREEN, RED)
    assert is_red_then_green(colours(obj(tmp_path, "map_Kd -o 0.5 0 0 -s 1 2 1 wood.png")))


def test_names_that_look_like_numbers_stay_whole():
    assert map_kd("-s 1 1 1 3 chairs.png") == ("3 chairs.png", (1, 1), (0, 0))
    assert map_kd("-o 0.5 2.png") == ("2.png", (1, 1), (0.5, 0))
    assert map_kd("-s 2 -blendu off wood.png") == ("wood.png", (2, 1), (0, 0))


@pytest.mark.parametrize("name", ["A.MTL", "a.mtl", "gone.mtl a.mtl"])
def test_the_material_file_is_found(tmp_path, name):
    halves(tmp_path / "wood.png")
    assert is_red_then_green(colours(obj(tmp_path, "map_Kd wood.png", name=name)))


def test_several_material_files_count(tmp_path):
    halves(tmp_path / "wood.png")
    (tmp_path / "b.mtl").write_text("newmtl Other\nKd 1 1 1\n")
    assert is_red_then_green(colours(obj(tmp_path, "map_Kd wood.png", name="b.mtl\nmtllib a.mtl")))


@pytest.mark.parametrize(
    ("mtl", "says"),
    [
        ("map_Kd gone.png", "the picture gone.png is not in the folder of a.obj"),
        ("map_Kd a.obj", "the picture a.obj cannot be read"),
        (None, "My Wood cannot be found in a.mtl"),
    ],
)
def test_missing_files_of_an_obj_are_reported(tmp_path, mtl, says):
    assert load_surface(obj(tmp_path, mtl)).notes == (f"Some colours of a.obj could not be read: {says}.",)


@pytest.mark.parametrize(("paint", "seen"), [(" 0 0 1", (0, 0, 1)), (" 1 1 1", (0.8, 0.8, 0.8))])
def test_vertex_colours_of_an_obj_with_uvs_go_before_a_plain_material(tmp_path, paint, seen):
    """White ones say nothing."""
    np.testing.assert_allclose(colours(obj(tmp_path, "", paint)), [seen] * 2, atol=0.01)


def test_a_run_reports_missing_pictures(tmp_path):
    """On the command line, once, and in metrics.json."""
    import subprocess

    file = obj(tmp_path, "map_Kd gone.png")
    command = [sys.executable, "-m", "backend", "generate", "--prompt", "a red apple", "--init-mesh", str(file)]
    done = subprocess.run([*command, "--steps", "1", "--out", str(tmp_path / "out")], capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr
    assert " ".join(done.stderr.split()).count("the picture gone.png is not in the folder of a.obj") == 1
    notes = json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"]
    assert "Some colours of a.obj could not be read: the picture gone.png is not in the folder of a.obj." in notes

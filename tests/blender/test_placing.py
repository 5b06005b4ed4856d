"""Where results stand: rows and grids, and the empties that hold them."""

import math

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector
from one_job import JOB, ORIGIN, TO_SCENE, deliver, place, reveal, splats, vertices
from samples import TRIANGLE

from blender_addon.scene import placing
from blender_addon.scene.placing import (
    find_object,
    free_spot,
    remove_place,
    result_offsets,
    short_name,
    world_matrix,
)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (4, 4, 1), (5, 3, 2), (9, 3, 3), (16, 4, 4)])
def test_variations_stand_apart_in_a_row_or_a_grid(count, columns, rows):
    points = np.array(result_offsets(count, radius=2.0))
    assert len(points) == count
    assert tuple(points[0]) == (0, 0, 0)
    assert points[:, 0].max() == 5.0 * (columns - 1)
    assert points[:, 1].max() == 5.0 * (rows - 1)
    assert len({tuple(point) for point in points}) == count


def test_the_next_result_stands_beside_those_there_are():
    assert free_spot(Vector((1, 2, 3)), 1.0) == Vector((1, 2, 3))
    place(offset=Vector((1, 2, 3)) - ORIGIN)
    assert free_spot(Vector((1, 2, 3)), 1.0) == Vector((3.5, 2, 3))
    assert free_spot(Vector((1, 9, 3)), 1.0) == Vector((1, 9, 3))


def test_splats_and_mesh_stand_where_the_backend_says_moved_with_their_place(glb):
    sent = splats()
    empty = place(offset=(0, 5, 0))
    assert empty.name == "a red apple · seed 7"
    assert empty.show_name
    thing, mesh = deliver(sent, glb)
    expected = 2 * sent.means + (10, 5, 1)
    np.testing.assert_allclose(vertices(thing), expected, atol=1e-5)
    reveal(mesh)
    x, y, z = TRIANGLE.T
    upright = 2 * np.c_[x, -z, y] + (10, 5, 1)
    np.testing.assert_allclose(sorted(vertices(mesh).tolist()), sorted(upright.tolist()), atol=1e-5)
    empty.matrix_world = Matrix.Translation((0, 0, 0)) @ Matrix.Rotation(math.pi / 2, 4, "Z")
    bpy.context.view_layer.update()
    turned = np.c_[-2 * sent.means[:, 1], 2 * sent.means[:, 0], 2 * sent.means[:, 2]]
    np.testing.assert_allclose(vertices(thing), turned, atol=1e-5)
    assert np.allclose(world_matrix(JOB, TO_SCENE), thing.matrix_world)  # the live view draws there too


def test_without_a_place_it_stands_where_the_backend_says(glb):
    sent = splats()
    thing, _ = deliver(sent, glb)
    np.testing.assert_allclose(vertices(thing), 2 * sent.means + (10, 0, 1), atol=1e-5)


def test_a_place_is_taken_away_with_its_collection_but_never_with_a_result():
    place()
    remove_place(JOB)
    assert not bpy.data.objects
    assert not bpy.data.collections
    place()
    deliver(splats())
    remove_place(JOB)
    assert find_object(JOB, "splats")
    assert find_object(JOB, "place")


def test_things_are_found_after_the_file_was_saved_and_opened(tmp_path):
    place()
    deliver(splats())
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert find_object(JOB, "splats") is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert find_object(JOB, "splats").parent == find_object(JOB, "place")
    assert [job for job, _ in placing.splat_objects()] == [JOB]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("a\n red\tapple", "a red apple"), ("🍎" * 40, "🍎" * 12), ("\x00\x1b", "Splatsmith"), ("  ", "Splatsmith")],
)
def test_any_prompt_gives_a_name(prompt, name):
    assert short_name(prompt, 50) == name


def test_a_result_whose_place_was_deleted_takes_its_spot_all_the_same():
    deliver(splats())
    assert free_spot(ORIGIN, 1.0) == ORIGIN + Vector((2.5, 0, 0))

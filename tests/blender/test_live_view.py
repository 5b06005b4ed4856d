"""What the graphics card is given, and where; the shader itself runs in the window test alone."""

import bpy
import numpy as np
from mathutils import Matrix
from one_job import JOB, TO_SCENE, deliver, place, splats
from samples import random_splats, write_ply

from blender_addon.scene.importers.splats import read_splats, update_splats
from blender_addon.scene.ply import read_ply
from blender_addon.scene.results import cloud_of
from blender_addon.view.live_view import LiveView, back_to_front, texels
from blender_addon.view.splat_shader import WIDTH


def test_each_splat_is_four_texels():
    cloud = cloud_of(splats(5000))
    packed = texels(cloud)
    assert packed.shape == (5, WIDTH, 4)  # 20,000 texels
    each = packed.reshape(-1, 4, 4)[:5000]
    np.testing.assert_array_equal(each[:, 0], np.c_[cloud.positions, cloud.opacities])
    np.testing.assert_array_equal(each[:, 1], cloud.rotations)
    np.testing.assert_array_equal(each[:, 2, :3], cloud.scales)
    np.testing.assert_array_equal(each[:, 3, :3], cloud.srgb)


def test_the_farthest_comes_first_also_beyond_one_row():
    cloud = cloud_of(splats(5000))
    view = Matrix.Rotation(0.5, 4, "X") @ Matrix.Rotation(1.0, 4, "Z")
    order = back_to_front(cloud.positions, np.array(view.row[2][:3], np.float32))
    assert order.shape == (2, WIDTH, 1)
    indices = order.ravel()[:5000].astype(int)
    assert sorted(indices) == list(range(5000))
    seen = cloud.positions @ np.array(view.to_3x3()).T
    assert (np.diff(seen[indices, 2]) >= -1e-6).all()  # the camera looks along -Z


def test_splats_are_drawn_where_they_will_stand_then_with_their_object():
    view, sent = LiveView(), splats()
    view.show(JOB, cloud_of(sent), TO_SCENE, live=True)
    np.testing.assert_allclose(view.place(JOB), TO_SCENE)
    empty = place(offset=(0, 5, 0))
    assert tuple(view.place(JOB).translation) == (10, 5, 1)
    thing, _ = deliver(sent)
    np.testing.assert_allclose(view.place(JOB), thing.matrix_world)
    empty.location.x += 4
    bpy.context.view_layer.update()
    assert tuple(view.place(JOB).translation) == (14, 5, 1)
    thing.hide_set(True)
    assert view.place(JOB) is None
    thing.hide_set(False)
    view.show(JOB, cloud_of(sent), TO_SCENE, live=False)
    assert view.place(JOB)
    bpy.data.objects.remove(thing)
    assert view.place(JOB) is None  # deleted: nothing is drawn any more


def test_without_a_window_nothing_is_hooked_up():
    view = LiveView()
    view.start()
    assert not view.draws
    view.stop()


def test_the_splats_of_an_opened_file_are_read_back(tmp_path):
    cloud = read_ply(write_ply(tmp_path / "splats.ply", random_splats(50)))
    thing, _ = deliver(splats())
    update_splats(thing, cloud)
    back = read_splats(thing)
    for name in ("positions", "rotations", "scales", "opacities"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name))
    np.testing.assert_allclose(back.linear_rgb, cloud.linear_rgb, atol=1e-5)
    assert read_splats(bpy.data.objects.new("Other", bpy.data.meshes.new("Other"))) is None
    assert read_splats(bpy.data.objects.new("None", None)) is None

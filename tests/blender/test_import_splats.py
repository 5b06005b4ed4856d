"""Splats as a Blender object: what the file keeps, and what Cycles shows."""

import math

import bpy
import numpy as np
import pytest
from samples import random_splats, write_ply

from blender_addon.scene.importers.splats import import_splats, native_attributes, raise_transparency_limits
from blender_addon.scene.ply import SplatCloud, read_ply

SIDE = 128


@pytest.fixture
def cloud(tmp_path):
    return read_ply(write_ply(tmp_path / "splats.ply", random_splats(30, harmonics=4)))


def one_splat(**changes):
    """One long, tilted, half-transparent splat at the origin."""
    quaternion = np.array([[0.8, 0.2, 0.5, 0.1]])
    parts = {
        "positions": np.zeros((1, 3)),
        "rotations": quaternion / np.linalg.norm(quaternion),
        "scales": np.array([[0.2, 0.1, 0.05]]),
        "opacities": np.array([0.8]),
        "sh": np.array([[[1.0, 0.0, -1.0]]]),
    }
    return SplatCloud(**{name: value.astype(np.float32) for name, value in (parts | changes).items()})


def read_attribute(data, name, field, width):
    values = np.empty(len(data.vertices) * width, np.float32)
    data.attributes[name].data.foreach_get(field, values)
    return values.reshape(-1, width)


def render(tmp_path, samples=16):
    """Linear premultiplied RGBA (SIDE,SIDE,4), first row on top, of 2 x 2 metres seen along -Z by Cycles."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    camera.data.type, camera.data.ortho_scale, camera.location.z = "ORTHO", 2.0, 5.0
    scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", samples, False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 0.01  # the centre of the pixel, as the closed form has it
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.filepath = str(tmp_path / "render.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    return np.array(image.pixels[:]).reshape(SIDE, SIDE, 4)[::-1]


def closed_form(cloud):
    """Alpha (SIDE,SIDE) of one splat at the origin: the projected covariance's Gaussian (EWA, orthographic)."""
    w, x, y, z = cloud.rotations[0]
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    covariance = (rotation * cloud.scales[0] ** 2) @ rotation.T
    at = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    points = np.stack(np.meshgrid(at, -at), -1)
    squared = np.einsum("ijk,kl,ijl->ij", points, np.linalg.inv(covariance[:2, :2]), points)
    return cloud.opacities[0] * np.exp(-0.5 * squared), squared


def test_attributes_modifier_and_material_survive_the_file(cloud, tmp_path):
    import_splats(cloud, "Ring", bpy.context.scene.collection)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "ring.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "ring.blend"))
    ring = bpy.data.objects["Ring"]
    np.testing.assert_array_equal(read_attribute(ring.data, "position", "vector", 3), cloud.positions)
    np.testing.assert_array_equal(read_attribute(ring.data, "splat_rotation", "value", 4), cloud.rotations)
    np.testing.assert_array_equal(read_attribute(ring.data, "splat_scale", "vector", 3), cloud.scales)
    rgba = read_attribute(ring.data, "splat_rgba", "color", 4)
    np.testing.assert_array_equal(rgba, np.c_[cloud.linear_rgb, cloud.opacities])
    (modifier,) = ring.modifiers
    used = [n.inputs["Material"].default_value for n in modifier.node_group.nodes if "Material" in n.inputs]
    assert used == list(ring.data.materials)


def test_each_splat_is_one_instance_of_a_cube_at_three_sigma(cloud):
    ring = import_splats(cloud, "Ring", bpy.context.scene.collection)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = []  # an instance is gone when the loop goes on
    for instance in depsgraph.object_instances:
        if instance.is_instance and instance.parent.original == ring:
            assert len(instance.object.data.vertices) == 8
            found.append((*instance.matrix_world.translation, *instance.matrix_world.to_scale()))
    expected = np.c_[cloud.positions, 3 * cloud.scales]
    np.testing.assert_allclose(sorted(found), sorted(expected.tolist()), rtol=1e-4)


def test_objects_share_the_material_and_the_nodes(cloud):
    a, b = (import_splats(cloud, name, bpy.context.scene.collection) for name in "ab")
    assert a.modifiers[0].node_group == b.modifiers[0].node_group
    assert (len(bpy.data.materials), len(bpy.data.node_groups)) == (1, 1)


def test_one_splat_has_the_alpha_and_colour_of_the_closed_form(tmp_path):
    cloud = one_splat()
    import_splats(cloud, "One", bpy.context.scene.collection)
    picture = render(tmp_path)
    alpha, squared = closed_form(cloud)
    inside = squared < 9  # three standard deviations; beyond them the cube ends
    assert inside.sum() > 200
    assert np.abs(picture[..., 3] - alpha)[inside].max() < 0.006
    assert picture[..., 3][squared > 28].max() == 0  # beyond the cube's corners
    centre = picture[SIDE // 2, SIDE // 2]
    np.testing.assert_allclose(centre[:3] / centre[3], cloud.linear_rgb[0], atol=1e-3)


def test_cycles_looks_through_thirty_splats(tmp_path):
    count, opacity = 30, 0.05
    rows = one_splat().rotations.repeat(count, 0)
    stack = one_splat(
        positions=np.c_[np.zeros((count, 2)), np.linspace(-1, 1, count)],
        rotations=rows,
        scales=np.full((count, 3), 0.3),
        opacities=np.full(count, opacity),
        sh=np.zeros((count, 1, 3)),
    )
    import_splats(stack, "Stack", bpy.context.scene.collection)
    raise_transparency_limits(bpy.context.scene)
    alpha = render(tmp_path, samples=1)[SIDE // 2, SIDE // 2, 3]
    assert math.isclose(alpha, 1 - (1 - opacity) ** count, abs_tol=0.003)


def test_the_native_layout_holds_every_harmonic(cloud):
    attributes = {attribute.name: attribute for attribute in native_attributes(cloud)}
    assert list(attributes) == ["rotation", "scale", "radiance:base", *(f"radiance:sh_{k}" for k in range(3))]
    np.testing.assert_array_equal(attributes["radiance:base"].values, np.c_[cloud.sh[:, 0], cloud.opacities])
    np.testing.assert_array_equal(attributes["radiance:sh_2"].values, cloud.sh[:, 3])

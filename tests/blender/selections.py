"""Selections with materials, as tests of meshes and colours need them."""

import bpy
import numpy as np

from blender_addon.scene.selected_mesh import selected_mesh

RED, HALF = (255, 0, 0, 255), (188, 188, 188, 255)  # sRGB of linear 0.5


def add_cube(size=2.0):
    bpy.ops.mesh.primitive_cube_add(size=size)
    return bpy.context.object


def material(name, colour):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = colour
    return made


def select(*things):
    bpy.ops.object.select_all(action="DESELECT")
    for thing in things:
        thing.select_set(True)


def told(notes):
    """The selection's mesh, once these notes are the ones that it comes with."""
    found = []
    mesh = selected_mesh(bpy.context, found)
    assert found == list(notes)
    return mesh


def seen(*notes):
    """The colours of the selection."""
    return {tuple(colour) for colour in told(notes).colours.tolist()}


def signed_volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def area(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2

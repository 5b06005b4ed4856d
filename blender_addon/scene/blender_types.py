"""Blender's data with exact types, where its stubs leave them open.

In the stubs (fake-bpy-module) much may be None or one of many types.  Each function here says in one place what the
add-on knows about it.  Nothing is checked or changed when it runs.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import bpy

# Which properties a node or a socket has depends on its kind, and the stubs know only those that all kinds have.
Node: TypeAlias = Any
Socket: TypeAlias = Any


def current_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene: Blender always has one."""
    return cast(bpy.types.Scene, context.scene)


def window_manager(context: bpy.types.Context) -> bpy.types.WindowManager:
    """The window manager: Blender always has one."""
    return cast(bpy.types.WindowManager, context.window_manager)


def mesh_of(obj: bpy.types.Object) -> bpy.types.Mesh:
    """The data of an object whose type is MESH."""
    return cast(bpy.types.Mesh, obj.data)


def data_of(obj: bpy.types.Object) -> bpy.types.ID:
    """The data of an object that is not an empty."""
    return cast(bpy.types.ID, obj.data)


def tree_of(material: bpy.types.Material | bpy.types.World) -> bpy.types.NodeTree:
    """The nodes of a material or a world that uses nodes."""
    return cast(bpy.types.NodeTree, material.node_tree)


def custom_property(holder: bpy.types.ID, key: str, default: Any = None) -> Any:
    """A custom property, or the default; in the stubs `get` returns nothing."""
    return cast(Any, holder).get(key, default)


def attribute_items(attribute: bpy.types.Attribute) -> bpy.types.bpy_prop_collection[Any]:
    """The values of an attribute; in the stubs only the subclasses of Attribute have them."""
    return cast("bpy.types.bpy_prop_collection[Any]", cast(Any, attribute).data)

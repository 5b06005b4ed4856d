"""One job as several tests need it: its id, its state, its splats, its place, and its results in the scene."""

import bpy
import numpy as np
from mathutils import Vector
from samples import random_splats

from blender_addon.net.rows import Delivery
from blender_addon.scene.placing import (
    make_place,
)
from blender_addon.scene.results import place_result
from blender_addon.shared.messages import JobState, Splats

JOB = "0123456789abcdef" * 2
TO_SCENE = ((2.0, 0.0, 0.0, 10.0), (0.0, 2.0, 0.0, 0.0), (0.0, 0.0, 2.0, 1.0), (0.0, 0.0, 0.0, 1.0))
ORIGIN = Vector((10, 0, 1))


def state(job=JOB, **changes):
    told = {
        "job": job,
        "state": "done",
        "prompt": "a red apple",
        "objective": "vdm",
        "seed": 2**40,
        "created": 1.0,
        "step": 3,
    }
    told |= {"of": 3, "has_splats": True, "has_mesh": True}
    return JobState(to_scene=TO_SCENE, **(told | changes))


def splats(count=20, seed=0, final=True, **changes):
    drawn = random_splats(count, seed=seed)
    arrays = {
        "means": drawn["means"],
        "quats": drawn["quats"] / np.linalg.norm(drawn["quats"], axis=1, keepdims=True),
        "scales": np.exp(drawn["log_scales"]),
        "opacities": 1 / (1 + np.exp(-drawn["opacity_logits"])),
        "sh": drawn["sh"],
    }
    arrays = {name: value.astype(np.float32) for name, value in (arrays | changes).items()}
    return Splats(job=JOB, step=3, final=final, to_scene=TO_SCENE, **arrays)


def place(offset=(0, 0, 0)):
    return make_place(bpy.context.scene, JOB, "a red apple", 7, Vector(offset), ORIGIN, radius=2.0)


def deliver(splats, mesh=None):
    done = place_result(bpy.context.scene, Delivery(mesh is not None, splats, mesh), state(), "0.1.0")
    bpy.context.view_layer.update()
    return done


def reveal(*things):
    """Blender moves no hidden objects."""
    for thing in things:
        thing.hide_viewport = False
    bpy.context.view_layer.update()


def vertices(thing):
    return np.array([thing.matrix_world @ vertex.co for vertex in thing.data.vertices])

"""A job from the button on, as several tests need it: pressed here, answered by the peer."""

import time

import bpy
import msgspec
import numpy as np
from one_job import state
from peer import until

from blender_addon import timer
from blender_addon.net.state import addon_state
from blender_addon.shared.messages import (
    Generate,
)

ops, IMAGE = bpy.ops.splatsmith, np.full((64, 64, 3), 200, np.uint8)


def settings():
    return bpy.context.scene.splatsmith


def ticks(condition):
    """Tick until the condition holds."""
    assert until(condition, between=lambda: (timer.tick(), time.sleep(0.002)))
    assert addon_state.notice == ""


def generate(peer, **changes):
    """Press Generate, and have the peer take the job; what it heard."""
    for name, value in {"prompt": "a red apple", **changes}.items():
        setattr(settings(), name, value)
    before = len(peer.heard_of(Generate))
    ops.generate()
    assert until(lambda: len(peer.heard_of(Generate)) == before + settings().variations)
    return peer.heard_of(Generate)[before:]


def about(generate, **changes):
    """The state of a job that was asked for."""
    told = {"job": generate.job, "state": "running", "seed": generate.fields["seed"], "has_mesh": False}
    return msgspec.structs.replace(state(), **(told | changes))


def of(message, job):
    return msgspec.structs.replace(message, job=job)


def finish(peer, job, **changes):
    """The backend runs the job to its end."""
    peer.say(about(job), about(job, state="done", **changes))

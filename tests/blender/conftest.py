"""Blender under pytest: settings in a folder of their own, an empty file for each test, and an end without a crash."""

import os
import sys
import tempfile

import numpy as np
import pytest

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="splatsmith-blender-")  # read when bpy is loaded

import bpy

_status = [0]


def pytest_sessionfinish(session, exitstatus):
    _status[0] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status[0])  # Blender's own exit handlers crash or hang in the wheels of 4.2 and 4.5


@pytest.fixture(autouse=True)
def _empty_file():
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture
def addon(_empty_file):
    """The add-on, switched on as a user does it, and off at the end."""
    bpy.ops.preferences.addon_enable(module="blender_addon")
    yield bpy.context.preferences.addons["blender_addon"].preferences
    bpy.ops.preferences.addon_disable(module="blender_addon")


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """The extension's zip for this machine."""
    from extension import build

    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def installed(archive):
    """The extension, installed from the zip for the tests of one file."""
    from extension import extension

    with extension(archive) as entry:
        yield entry


@pytest.fixture
def peer(addon, tmp_path):
    """The other end of the add-on's connection, which stands; its kits are in a folder here."""
    from peer import Peer, until

    from blender_addon import timer
    from blender_addon.net.state import addon_state

    other = Peer(kits=str(tmp_path / "kits"))
    addon.address = f"127.0.0.1:{other.port}"
    assert until(lambda: addon_state.ready and addon_state.welcome, between=timer.tick), addon_state.status
    yield other
    other.close()


@pytest.fixture
def glb(tmp_path):
    """A textured mesh as the backend sends it."""
    from one_job import JOB, TO_SCENE
    from samples import write_glb

    from blender_addon.shared.messages import Mesh

    content = np.frombuffer(write_glb(tmp_path / "mesh.glb").read_bytes(), np.uint8)
    return Mesh(job=JOB, to_scene=TO_SCENE, glb=content)


@pytest.fixture
def cube():
    from selections import add_cube

    return add_cube()


@pytest.fixture
def plane():
    """Two metres wide, its UVs once over it."""
    bpy.ops.mesh.primitive_plane_add(size=2)
    return bpy.context.object

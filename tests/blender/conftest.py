"""Blender under pytest: settings in a folder of their own, an empty file for each test, and an end without a crash."""

import os
import sys
import tempfile

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

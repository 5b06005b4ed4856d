"""The installed zip with a real backend: started by its button, a job with the embedded prior, results in the scene."""

import socket
import sys
import time
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from extension import MODULE, ROOT
from peer import until

ops = bpy.ops.splatsmith
pytestmark = pytest.mark.skipif(not list(ROOT.glob(".venv/*/python*")), reason="the backend's environment is not there")


@pytest.fixture(autouse=True)
def _empty_file():
    """Not here: a fresh start between the tests would switch the extension off."""


@pytest.fixture
def parts(installed):
    """The extension's own modules, by their names."""
    names = (
        "ui.drawing",
        "ui.job_list",
        "net.launcher",
        "view.live_view",
        "scene.placing",
        "timer",
        "net.state",
        "shared.address",
    )
    return SimpleNamespace(**{name.rpartition(".")[2]: sys.modules[f"{MODULE}.{name}"] for name in names})


@pytest.fixture
def backend(installed, parts, tmp_path, monkeypatch):
    """A backend with a data folder of its own, on a free port; nothing of it may be left."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        installed.preferences.address = f"127.0.0.1:{probe.getsockname()[1]}"
    parts.timer.tick()
    installed.preferences.backend_folder = str(ROOT)
    assert ops.start_backend() == {"FINISHED"}
    started = parts.state.addon_state.backend
    yield started
    started.stop()
    assert until(lambda: started.state == "ended", seconds=15)
    assert not parts.launcher.port_answers(parts.address.parse_address(installed.preferences.address))


def test_a_prompt_becomes_splats_and_a_mesh(backend, parts, tmp_path):
    addon_state, find_object = parts.state.addon_state, parts.placing.find_object

    def ticks(condition, seconds=180):  # a busy machine takes a minute to load the models
        came = until(condition, seconds, between=lambda: (parts.timer.tick(), time.sleep(0.01)))
        assert came, (addon_state.notice, addon_state.rows, addon_state.log_tail)

    def state():
        return addon_state.rows[parts.job_list.active_job(bpy.context.window_manager)].state

    settings = bpy.context.scene.splatsmith
    ticks(lambda: addon_state.ready and addon_state.objectives)
    assert {"sds", "jsd", "vdm"} <= {rule.name for rule in addon_state.objectives}
    settings.prompt = "x" * 2000
    ops.generate()
    ticks(lambda: addon_state.notice)
    assert "prompt" in addon_state.notice
    assert not [thing for thing in bpy.data.objects if thing.get("job")]
    settings.prompt, settings.quality, settings.seed = "a red apple", "draft", 3
    ops.generate()
    job = parts.job_list.active_job(bpy.context.window_manager)
    clouds = parts.live_view.live_view.clouds
    ticks(lambda: job in clouds and state().step >= 2)
    assert len(clouds[job].splats) > 100
    ops.cancel()
    ticks(lambda: state().state == "stopped")
    assert find_object(job, "splats") is None
    ops.import_result()
    ticks(lambda: find_object(job, "splats"))
    early = np.array([vertex.co for vertex in find_object(job, "splats").data.vertices])
    assert np.linalg.norm(early, axis=1).max() < 3
    settings.more_steps = 2
    ops.continue_job()
    ticks(lambda: state().state == "done")
    ticks(lambda: not addon_state.deliveries)
    assert parts.placing.find_collection(job)["prompt"] == "a red apple"
    assert job in parts.drawing.pictures()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "apple.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "apple.blend"))
    assert len(find_object(job, "splats").data.vertices) > 100
    assert len(find_object(job, "mesh").data.polygons) > 100
    assert [image.size[0] for image in bpy.data.images if image.name != "Render Result" and image.size[0] >= 256]
    parts.timer.tick()
    parts.job_list.choose_job(bpy.context.window_manager, job)
    ops.forget()
    ticks(lambda: not addon_state.rows)
    assert addon_state.notice == ""

"""Submit to Flamenco: pressed in Blender, taken by a manager on loopback, refused in a sentence."""

import json
import os
import socket
from pathlib import Path

import bpy
import numpy as np
import pytest
from flamenco_manager import FlamencoManager
from pressing import ops, settings
from selections import RED, material
from test_panels import drawn, refusal, texts

from blender_addon.net.state import addon_state
from blender_addon.scene.farm_folder import write_mesh
from blender_addon.scene.selected_mesh import selected_mesh
from blender_addon.ui import farm


@pytest.fixture
def manager(tmp_path):
    share = tmp_path / "share"
    share.mkdir()
    manager = FlamencoManager(share)
    yield manager
    manager.close()


@pytest.fixture
def ready(peer, addon, manager):
    """The panel with a prompt, and Flamenco's add-on with the address of the manager."""
    bpy.ops.preferences.addon_enable(module="flamenco")
    flamenco = bpy.context.preferences.addons["flamenco"].preferences
    flamenco.manager_url, settings().prompt = manager.url, "a red apple"
    yield flamenco
    addon.farm_folder = ""
    bpy.ops.preferences.addon_disable(module="flamenco")


def submitted(manager):
    """Press it; what the manager got, the folder and its job.json."""
    ops.submit_to_flamenco()
    job = manager.jobs[-1]
    folder = Path(job["settings"]["out"])
    return job, folder, json.loads((folder / "job.json").read_text(encoding="utf-8"))


def refused(manager):
    """The sentence; nothing was submitted, and nothing is left on the storage."""
    sentence = refusal(ops.submit_to_flamenco).removeprefix("Error: ").strip()
    assert (manager.jobs, list(Path(manager.storage).iterdir()), addon_state.submitted) == ([], [], "")
    assert addon_state.notice in ("", sentence)
    return sentence


def test_prompt_and_settings_become_a_job_of_our_type(ready, manager):
    settings().seed, settings().variations, settings().quality, settings().objective = 5, 3, "draft", "new"
    job, folder, fields = submitted(manager)
    assert job["settings"] == {
        "job_file": (folder / "job.json").as_posix(), "out": folder.as_posix(), "first_seed": 5, "variations": 3,
    }  # fmt: skip
    assert (job["name"], job["type"], job["type_etag"]) == ("a red apple", "splatsmith", "v1")
    assert job["submitter_platform"] in ("linux", "windows", "darwin")
    assert (job["priority"], "worker_tag" in job) == (50, False)
    assert folder.parent == Path(manager.storage)
    assert folder.name.startswith("a-red-apple-")
    expected = {"prompt": "a red apple", "objective": "new", "quality": "draft", "seed": 5, "prior": "embedded"}
    assert {name: fields[name] for name in expected} == expected
    assert str(folder) in texts(farm.SPLATSMITH_PT_farm).replace(" ", "")  # a long path is broken into lines
    assert "3 seeds from 5" in addon_state.submitted


def test_two_jobs_of_one_second_have_folders_of_their_own(ready, manager):
    folders = {submitted(manager)[1] for _ in range(3)}
    assert len(folders) == 3


def test_the_selection_lies_beside_the_job_with_its_colours(ready, manager, cube):
    cube.data.materials.append(material("Red", (1, 0.03, 0.03, 1)))
    cube.location = (3, 0, 1)
    settings().start, settings().keep_shape = "SELECTED", 0.25
    _, folder, fields = submitted(manager)
    assert (fields["init_mesh"], fields["keep_shape"]) == ("selected.ply", 0.25)
    bpy.ops.wm.ply_import(filepath=str(folder / "selected.ply"), forward_axis="Y", up_axis="Z")
    mesh = bpy.context.object.data
    places = np.array([vertex.co for vertex in mesh.vertices])
    np.testing.assert_allclose([places.min(0), places.max(0)], [(2, -1, 0), (4, 1, 2)], atol=1e-6)
    assert len(mesh.polygons) == 12
    colours = np.array([tuple(point.color_srgb) for point in mesh.color_attributes[0].data])
    expected = selected_mesh_colour(cube)
    np.testing.assert_allclose(255 * colours, np.broadcast_to(expected, colours.shape), atol=0.6)
    assert expected[0] == RED[0]


def selected_mesh_colour(obj):
    bpy.ops.object.select_all(action="DESELECT")
    obj.select_set(True)
    return selected_mesh(bpy.context).colours[0]


def test_a_mesh_without_colours_has_none_in_its_file(tmp_path, addon, cube):
    write_mesh(tmp_path / "plain.ply", selected_mesh(bpy.context))
    assert b"red" not in (tmp_path / "plain.ply").read_bytes()[:300]


def test_paths_on_the_share_are_relative_and_others_are_told(ready, manager, tmp_path):
    kit = tmp_path / "kits" / "oak"
    kit.mkdir(parents=True)
    settings().prior = str(kit)
    _, folder, fields = submitted(manager)
    assert fields["prior"] == "../../kits/oak"
    assert (folder / fields["prior"]).resolve() == kit
    settings().prior = "acme/model"  # of a hub
    assert submitted(manager)[2]["prior"] == "acme/model"
    if os.stat("/proc").st_dev != tmp_path.stat().st_dev:
        settings().prior = "/proc/version"
        assert submitted(manager)[2]["prior"] == "/proc/version"
        assert "/proc/version is not on the farm's storage: every worker must have it" in addon_state.notice


def test_the_artist_s_folder_goes_before_the_manager_s(ready, addon, manager, tmp_path):
    (tmp_path / "mine").mkdir()
    addon.farm_folder = str(tmp_path / "mine")
    assert submitted(manager)[1].parent == tmp_path / "mine"
    assert not any("shared-storage" in path for path in manager.asked)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    addon.farm_folder = "//mine"
    assert submitted(manager)[1].parent == tmp_path / "mine"


def test_priority_and_tag_are_those_of_flamenco_s_panel(ready, manager):
    bpy.context.scene.flamenco_job_priority, bpy.context.scene.flamenco_worker_tag = 80, "tag-7"
    job, _, _ = submitted(manager)
    assert (job["priority"], job["worker_tag"]) == (80, "tag-7")


def test_without_flamenco_s_add_on_there_is_nothing_to_press(peer):
    settings().prompt = "a red apple"
    assert not farm.SPLATSMITH_PT_farm.poll(bpy.context)
    assert "Enable Flamenco's add-on" in refusal(ops.submit_to_flamenco)


def test_the_panel_is_there_with_flamenco_s_add_on(ready):
    assert farm.SPLATSMITH_PT_farm.poll(bpy.context)
    operators = [item["operator"] for item in drawn(farm.SPLATSMITH_PT_farm) if "operator" in item]
    assert any("submit_to_flamenco" in operator for operator in operators)


def test_what_cannot_be_sent_greys_the_button(ready, manager):
    settings().prompt = " "
    assert "Write a prompt first" in refused(manager)
    settings().prompt, settings().start = "a red apple", "JOB"
    assert "choose another Start From" in refused(manager)
    settings().start = "BALL"
    ready.manager_url = "http://farm.example:8080"
    assert "allow online access" in refused(manager)


def test_a_manager_that_is_not_there(ready, manager):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "", "127.0.0.1", "file:///etc/hostname", "http://[", "http://127.0.0.1:x"):
        ready.manager_url = url
        sentence = refused(manager)
        assert sentence.startswith("Flamenco's manager does not answer at ")
        assert sentence.endswith("correct the address in the preferences of Flamenco's add-on.")


@pytest.mark.parametrize("other", ["another name", "no JSON"])
def test_another_program_at_the_address(ready, manager, other):
    if other == "another name":
        manager.name = "Printer"
    else:
        manager.answer = lambda _path: (200, b"<html>")
    assert "another program answers, not Flamenco's manager" in refused(manager)


def test_a_manager_without_our_job_type_or_with_an_older_one(ready, manager):
    manager.settings = None
    sentence = refused(manager)
    assert "has no job type splatsmith" in sentence
    assert "copy tools/flamenco/splatsmith.js" in sentence
    manager.settings = [{"key": "job_file", "type": "string"}]
    assert "is of another version" in refused(manager)


def test_a_job_that_the_manager_refuses_leaves_no_folder(ready, manager):
    manager.etag = "v2"  # it has changed between our two questions
    sentence = refused(manager)
    assert "refuses the job (412, rejecting job because its settings are outdated)" in sentence


def test_folders_that_cannot_be_used(ready, addon, manager, tmp_path):
    for folder, why in (
        (tmp_path / "none", "There is no folder"),
        (Path("/sys"), "Nothing can be written into /sys"),
        ("//farm", "save the file, or choose it anew"),
    ):
        addon.farm_folder = str(folder)
        assert why in refused(manager)


def test_a_selection_without_a_mesh(ready, manager):
    settings().start = "SELECTED"
    assert "No mesh object is selected" in refused(manager)

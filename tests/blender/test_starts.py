"""Start From: what each of its choices asks for, what it needs, and how a draft is told."""

import bpy
import numpy as np
import pytest
from pressing import about, generate, ops, settings, ticks
from test_panels import behind, texts

from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import Progress
from blender_addon.ui import panels
from blender_addon.ui.job_list import active_job, choose_job
from blender_addon.ui.properties import SPLATSMITH_PG_settings


def test_the_menu_is_the_same_whatever_is_selected_and_older_files_keep_their_choice(peer):
    items = SPLATSMITH_PG_settings.bl_rna.properties["start"].enum_items
    expected = ["AUTOMATIC", "BALL", "DRAFT", "SHAP_E", "SELECTED", "JOB"]
    for _ in range(2):
        assert [item.identifier for item in items] == expected
        assert all(item.description for item in items)
        assert any(".start" in name for name in behind("rna"))
        bpy.ops.mesh.primitive_cube_add()
    assert items["AUTOMATIC"].value == 0  # "Nothing" of older files
    assert items["SELECTED"].value == 1


@pytest.mark.parametrize(
    ("choice", "sent"), [("AUTOMATIC", None), ("BALL", "sphere"), ("DRAFT", "draft"), ("SHAP_E", "shap-e")]
)
def test_a_choice_is_sent_as_the_job_s_start(peer, choice, sent):
    (job,) = generate(peer, start=choice)
    assert job.fields.get("start") == sent
    assert "keep_shape" not in job.fields
    assert (job.mesh, job.start_from) == (None, None)
    assert not any("keep_shape" in name for name in behind("rna"))


@pytest.mark.parametrize(("choice", "sent"), [("SPLATS", None), ("FIELD", "field")])
def test_the_scene_is_sent_where_it_is_a_field(peer, choice, sent):
    items = SPLATSMITH_PG_settings.bl_rna.properties["scene"].enum_items
    assert [(item.identifier, item.value) for item in items] == [("SPLATS", 0), ("FIELD", 1)]
    (job,) = generate(peer, scene=choice)
    assert job.fields.get("scene") == sent


def test_the_chosen_job_is_started_from_beside_where_it_stands(peer):
    (source,) = generate(peer, prompt="a chair")
    small = ((0.1, 0, 0, 3), (0, 0.1, 0, 0), (0, 0, 0.1, 0), (0, 0, 0, 1))
    find_object(source.job, "place")["splatsmith_radius"] = 0.1
    settings().start = "JOB"
    with pytest.raises(RuntimeError, match="choose one in the list that has made splats"):
        ops.generate()
    peer.say(about(source, state="done", has_splats=True, to_scene=small))
    ticks(lambda: addon_state.rows[source.job].state.has_splats)
    choose_job(bpy.context.window_manager, source.job)
    assert any("keep_shape" in name for name in behind("rna"))
    jobs = generate(peer, prompt="a blue chair", start="JOB", keep_shape=0.25, variations=2)
    assert [job.start_from for job in jobs] == [source.job] * 2
    assert [job.fields["keep_shape"] for job in jobs] == [0.25] * 2
    assert not any("start" in job.fields for job in jobs)
    places = [np.array(find_object(job.job, "place").matrix_world.translation) for job in (source, *jobs)]
    assert all(np.linalg.norm(a - b) > 0.19 for a, b in ((places[0], places[1]), (places[1], places[2])))
    assert active_job(bpy.context.window_manager) == jobs[0].job


def test_without_any_job_there_is_nothing_to_start_from(peer):
    settings().prompt, settings().start = "a chair", "JOB"
    with pytest.raises(RuntimeError, match="choose one in the list that has made splats"):
        ops.generate()


def test_a_draft_is_told_before_the_job_s_own_steps(peer):
    (job,) = generate(peer, start="DRAFT")
    peer.say(about(job, of=5000, step=0))
    peer.say(Progress(job=job.job, stage="draft", step=50, of=200, seconds_left=9, metrics={}))
    ticks(lambda: addon_state.rows[job.job].stage == "draft")
    assert "draft step 50 of 200" in texts(panels.SPLATSMITH_PT_jobs)
    assert addon_state.rows[job.job].share == 0.25
    peer.say(about(job, of=5000, step=0, warnings=("x",)))  # other news in between
    ticks(lambda: addon_state.rows[job.job].state.warnings)
    assert "draft step 50 of 200" in texts(panels.SPLATSMITH_PT_jobs)
    peer.say(Progress(job=job.job, step=1, of=5000, seconds_left=900, metrics={}))
    ticks(lambda: addon_state.rows[job.job].state.step == 1)
    assert "draft" not in texts(panels.SPLATSMITH_PT_jobs)
    peer.say(Progress(job=job.job, stage="draft", step=60, of=200, seconds_left=9, metrics={}))
    ticks(lambda: addon_state.rows[job.job].stage == "draft")
    peer.say(about(job, state="stopped", of=5000, step=0))
    ticks(lambda: addon_state.rows[job.job].ended)
    assert "draft" not in texts(panels.SPLATSMITH_PT_jobs)


def test_whose_objects_a_start_was_made_of_is_drawn(peer):
    (job,) = generate(peer)
    line = "Started from Oak chair by Scopia (CC-BY-3.0), 61 %"
    peer.say(about(job, state="done", credits=(line,)))
    ticks(lambda: addon_state.rows[job.job].state.credits)
    said = texts(panels.SPLATSMITH_PT_jobs)
    assert line in said
    assert "Made of parts of" not in said


def test_a_lora_is_for_image_models_alone(peer):
    drawn = "SPLATSMITH_PG_settings.lora"
    settings().lora, settings().lora_weight = "//styles/clay.safetensors", 0.75
    (job,) = generate(peer, prompt="a chair")
    assert "loras" not in job.fields  # the prior is the embedded kit
    assert not any(drawn in name for name in behind("rna"))
    (job,) = generate(peer, prompt="a chair", prior="some/model")
    file = bpy.path.abspath("//styles/clay.safetensors")
    assert job.fields["loras"] == [{"file": file, "weight": 0.75}]
    assert any(drawn in name for name in behind("rna"))
    settings().lora = ""
    (job,) = generate(peer, prompt="a chair", prior="some/model")
    assert "loras" not in job.fields

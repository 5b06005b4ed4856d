"""The sidebar, drawn into a real layout of Blender's and read back from it."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from one_job import splats
from peer import until
from pressing import IMAGE, about, finish, generate, of, ticks

from blender_addon import registration, timer
from blender_addon.net.launcher import LauncherError
from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import Detail, Error, FetchDetail, Progress
from blender_addon.ui import connect as link
from blender_addon.ui import kit_panel, panels, setting_operators
from blender_addon.ui.drawing import duration, pictures
from blender_addon.ui.job_list import active_job
from blender_addon.ui.properties import SPLATSMITH_PG_settings

ops = bpy.ops.splatsmith


def drawn(*classes):
    """Every item of the panels: what it is called, its tooltip, and the property or operator behind it."""
    manager = bpy.context.window_manager
    (window,) = manager.windows
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    with bpy.context.temp_override(window=window, area=area, region=region):
        layout = manager.popmenu_begin__internal("Test", icon="NONE").layout  # never shown: there is no window
        for panel in classes or (*panels.CLASSES[1:], *kit_panel.CLASSES):
            panel.draw(SimpleNamespace(layout=layout), bpy.context)
        return list(leaves(layout.introspect()))


def leaves(items):
    for item in items:
        if "items" in item:
            yield from leaves(item["items"])
        else:
            yield item


def texts(*classes):
    """What can be read, long sentences over several labels put together again."""
    return " ".join(" ".join(item.get("draw_string", "") for item in drawn(*classes)).split())


def behind(key):
    return [item[key] for item in drawn() if key in item]


def refusal(operator, **properties):
    with pytest.raises(RuntimeError) as caught:
        operator(**properties)
    return str(caught.value)


def test_everything_is_there_before_a_backend_answers(addon):
    timer.tick()
    said = texts()
    assert addon_state.status.text.split()[0] in said
    assert "Start Backend" in said
    assert "Jobs appear here" in said
    assert "bpy.ops.splatsmith.generate()" in behind("operator")
    shown = {name.split(".")[1].split("[")[0] for name in behind("rna") if name.startswith("SPLATSMITH_PG_settings")}
    hidden = {"objective_name", "quality_name", "options", "keep_shape", "name", "kit", "lora", "lora_weight"}
    hidden |= {"particles"}  # of objectives that take them
    assert shown == set(SPLATSMITH_PG_settings.bl_rna.properties.keys()) - {"rna_type"} - hidden


def test_the_objective_s_options_are_drawn_the_first_few_above_the_fold(peer):
    above, below = texts(panels.SPLATSMITH_PT_main), texts(panels.SPLATSMITH_PT_more)
    assert all(name in above for name in ("Strength", "Rule", "Steps"))
    assert "Guided" in below
    assert "Guided" not in above
    tip = setting_operators.SPLATSMITH_OT_reset_option.description(bpy.context, SimpleNamespace(name="strength"))
    assert tip == "How strongly it pulls.  Press to go back to the default, 7.5"
    assert any("particles" in name for name in behind("rna"))
    bpy.context.scene.splatsmith.objective = "new"
    assert "Rule" not in texts()
    assert not any("particles" in name for name in behind("rna"))
    bpy.context.scene.splatsmith.start = "SELECTED"
    assert any("keep_shape" in name for name in behind("rna"))


def test_every_property_and_every_button_has_a_tooltip(addon):
    classes = [cls for module in registration.MODULES for cls in module.CLASSES]
    groups = [cls for cls in classes if issubclass(cls, bpy.types.PropertyGroup)]
    buttons = [getattr(bpy.types, cls.__name__) for cls in classes if issubclass(cls, bpy.types.Operator)]
    assert (len(groups), len(buttons)) == (5, 26)
    every = {*bpy.types.Operator.bl_rna.properties.keys(), *bpy.types.PropertyGroup.bl_rna.properties.keys()}
    for cls in (*groups, *buttons):
        for name, property in cls.bl_rna.properties.items():
            assert name in every or property.description, f"{cls.__name__}.{name}"
    for cls in buttons:
        tip = getattr(ops, cls.bl_idname.split(".")[1]).get_rna_type().description
        assert tip, cls.__name__
        assert not tip.endswith("."), cls.__name__  # Blender adds one


def test_a_job_is_drawn_with_its_picture_progress_and_reason(peer):
    (job,) = generate(peer, prompt="a red apple", seed=12)
    peer.say(about(job), Progress(job=job.job, step=1, of=3, seconds_left=75, metrics={}))
    ticks(lambda: addon_state.rows[job.job].state.step == 1)
    said = texts(panels.SPLATSMITH_PT_jobs)
    for text in ("a red apple · 12", "Running", "step 1 of 3", "1 min 15 s left", "Cancel", "Run Again"):
        assert text in said
    peer.say(about(job, state="failed", text="The card has too little memory.", detail="Traceback"))
    ticks(lambda: addon_state.rows[job.job].ended)
    said = texts(panels.SPLATSMITH_PT_jobs)
    assert all(word in said for word in ("Failed", "too little", "Copy Details"))
    peer.say(Error(text="The disk is full."))
    assert until(lambda: addon_state.notice, between=timer.tick)
    assert "The disk is full." in texts(panels.SPLATSMITH_PT_main)


def test_the_refinement_of_a_mesh_is_asked_for_and_its_steps_are_shown(peer):
    (job,) = generate(peer)
    assert "mesh" not in job.fields.get("recipe", {})
    (job,) = generate(peer, refine_steps=40)
    assert job.fields["recipe"]["mesh"] == {"refine_steps": 40}
    assert "Refine Mesh" in texts(panels.SPLATSMITH_PT_more)
    told = Progress(job=job.job, stage="mesh", step=10, of=40, seconds_left=75, metrics={})
    peer.say(about(job, state="finishing", step=3, of=3), told)
    ticks(lambda: addon_state.rows[job.job].stage == "mesh")
    row = addon_state.rows[job.job]
    assert (row.share, row.state.step, row.taking_steps) == (0.25, 3, True)
    said = texts(panels.SPLATSMITH_PT_jobs)
    for text in ("Finishing", "mesh step 10 of 40", "1 min 15 s left"):
        assert text in said


def test_the_traceback_of_a_listed_job_is_fetched_to_be_copied(peer):
    (job,) = generate(peer)
    peer.say(about(job, state="failed", text="It failed.", has_detail=True))
    ticks(lambda: addon_state.rows[job.job].ended)
    assert "Copy Details" in texts(panels.SPLATSMITH_PT_jobs)
    ops.copy_details()
    assert until(lambda: peer.heard_of(FetchDetail), between=timer.tick)[0].job == job.job
    peer.say(Detail(job=job.job, text="Traceback: line 7"))
    ticks(lambda: addon_state.rows[job.job].state.detail == "Traceback: line 7")
    assert addon_state.copying == ""
    ops.copy_details()  # it is here now, so the backend is not asked again
    assert len(peer.heard_of(FetchDetail)) == 1


def test_splats_or_mesh_can_be_chosen_once_both_are_there(peer, glb):
    (job,) = generate(peer)
    assert "Import a result with a mesh first" in refusal(ops.show_result, what="mesh")
    finish(peer, job, has_mesh=True)
    ticks(lambda: job.job in addon_state.deliveries)
    peer.say(of(splats(), job.job), of(glb, job.job))
    ticks(lambda: find_object(job.job, "mesh"))
    assert "Splats" in texts(panels.SPLATSMITH_PT_jobs)
    assert "Import Again" in texts(panels.SPLATSMITH_PT_jobs)
    ops.show_result(what="mesh")
    assert find_object(job.job, "splats").hide_render


def test_a_grey_button_says_why(peer):
    settings = bpy.context.scene.splatsmith
    settings.prompt = "  "
    assert "Write a prompt first" in refusal(ops.generate)
    assert "Choose a job in the list first" in refusal(ops.cancel)
    assert "Only a backend that this Blender started" in refusal(ops.stop_backend)
    assert "answers already" in refusal(ops.start_backend)
    (job,) = generate(peer)
    assert active_job(bpy.context.window_manager) == job.job
    assert "has not ended yet" in refusal(ops.continue_job)
    assert "Cancel the job first" in refusal(ops.forget)
    peer.say(about(job, state="stopped", has_splats=False))
    ticks(lambda: addon_state.rows[job.job].ended)
    assert "This job has ended" in refusal(ops.cancel)
    assert "before it had a result" in refusal(ops.import_result)


def test_without_a_backend_the_buttons_say_so(addon):
    bpy.context.scene.splatsmith.prompt = "a chair"
    assert until(lambda: "No backend answers at" in addon_state.status.text, between=timer.tick)
    assert addon_state.status.text in refusal(ops.generate)
    addon.backend_folder = "/nowhere"
    assert "There is no backend in" in refusal(ops.start_backend)
    addon.backend_folder = ""
    with pytest.raises(LauncherError, match="Choose the folder"):
        link.start_backend(bpy.context)


def test_pictures_are_kept_as_blender_draws_them(addon):
    image = np.zeros((40, 100, 3), np.uint8)
    image[0, 0] = 255, 128, 1  # on top, to the left
    pictures().show("job", image)
    kept = pictures()._previews["job"]
    assert tuple(kept.image_size) == (100, 40)
    pixels = np.array(kept.image_pixels_float).reshape(40, 100, 4)
    np.testing.assert_allclose(pixels[-1, 0], (1, 128 / 255, 1 / 255, 1), atol=1e-6)
    assert pixels[:-1, :, :3].max() == 0
    assert max(kept.icon_size) <= 32
    pictures().show("job", IMAGE)
    assert tuple(kept.image_size) == (64, 64)
    with pytest.raises(ValueError, match="cannot be shown"):
        pictures().show("job", np.zeros((0, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (75, "1 min 15 s"), (7260, "2 h 1 min"), (-3, "0 s")]
)
def test_durations_read_well(seconds, said):
    assert duration(seconds) == said

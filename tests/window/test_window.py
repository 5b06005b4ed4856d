"""A real Blender with a window: what an artist does with Splatsmith, with mouse and keys, from the first prompt on.

The tests are chapters of one session, in the order of the file; screenshots of each are kept in work/window.
"""

import time

import pytest
from desk import wait_for
from driven import Blender

PROMPT = "a wooden chair"
LOOK = """
from bl_ext.user_default.splatsmith.view.live_view import live_view
from bl_ext.user_default.splatsmith.net.state import addon_state
settings = lambda: bpy.context.scene.splatsmith
state = lambda job: addon_state.rows[job].state
def chosen():
    manager = bpy.context.window_manager
    return manager.splatsmith_jobs[manager.splatsmith_active].name if manager.splatsmith_jobs else ""
results = lambda job: sorted(t.get("splatsmith_role") for c in bpy.data.collections if c.get("splatsmith_job") == job
                             for t in c.all_objects)
"""
AREAS = "bpy.context.window_manager.windows[0].screen.areas"
SPACE = f"next(a for a in {AREAS} if a.type == 'VIEW_3D').spaces.active"
VIEW = f"[v for row in {SPACE}.region_3d.view_matrix for v in row]"


@pytest.fixture(scope="module")
def shop(desk, extension, port):
    """The Blender of this session; a test may put another in its place."""
    return Shop(desk, port)


class Shop:
    def __init__(self, desk, port):
        self.desk, self.port, self.jobs = desk, port, []
        self.open()

    def open(self):
        """Start Blender, with the backend's address as in its preferences."""
        self.blender = Blender(self.desk)
        self.blender.do(LOOK)
        self.blender.do(
            "preferences = bpy.context.preferences.addons['bl_ext.user_default.splatsmith'].preferences\n"
            f"preferences.address = '127.0.0.1:{self.port}'\n"
            "for thing in list(bpy.data.objects): bpy.data.objects.remove(thing)\n"
            f"space = {SPACE}; space.region_3d.view_distance, space.shading.color_type = 5, 'TEXTURE'"
        )
        self.blender.open_sidebar("Splatsmith")
        wait_for("the backend's welcome", lambda: self.blender.ask("addon_state.ready"), 60)

    def state(self, job):
        return self.blender.ask(f"state({job!r}).state")

    def step(self, job):
        return self.blender.ask(f"state({job!r}).step")

    def splats(self, job):
        """How many splats of a job the viewport draws."""
        return self.blender.ask(f"len(live_view.clouds[{job!r}].splats) if {job!r} in live_view.clouds else 0")


def test_the_panel_is_there(shop):
    shop.desk.screenshot("1-panel")
    assert "splatsmith.generate" in shop.blender.copied_at(*shop.blender.find("splatsmith.generate"), pause=0.5)


def test_a_prompt_is_typed_and_splats_stream_in(shop):
    shop.blender.write("splatsmith.prompt", PROMPT)
    assert shop.blender.ask("settings().prompt") == PROMPT
    shop.blender.do("settings().quality_name = 'high'")  # so long that it can be stopped by hand
    shop.blender.press("splatsmith.generate")
    began = time.monotonic()
    job = wait_for("a job in the list", lambda: shop.blender.ask("chosen()"), 60)
    shop.jobs.append(job)
    wait_for("splats in the viewport", lambda: shop.splats(job), 60)
    print(f"first splats after {time.monotonic() - began:.1f} s")
    first = shop.step(job)
    wait_for("more steps", lambda: shop.step(job) > first, 60)
    shop.desk.screenshot("2-first-splats")


def test_the_view_turns_while_splats_stream(shop):
    before, step = shop.blender.ask(VIEW), shop.step(shop.jobs[0])
    shop.blender.orbit()
    wait_for("more steps", lambda: shop.step(shop.jobs[0]) > step, 60)
    assert shop.blender.ask(VIEW) != before
    shop.desk.screenshot("3-orbited")


def test_cancel_stops_the_job(shop):
    shop.blender.press("splatsmith.cancel")
    began = time.monotonic()
    wait_for("the job to stop", lambda: shop.state(shop.jobs[0]) == "stopped", 60)
    print(f"stopped {time.monotonic() - began:.1f} s after the click")
    shop.desk.screenshot("4-cancelled")


def test_a_job_is_done_and_imported(shop):
    shop.blender.do("settings().quality_name, settings().seed, settings().auto_import = 'draft', 3, False")
    shop.blender.press("splatsmith.generate")
    wait_for("another job", lambda: shop.blender.ask("chosen()") != shop.jobs[0], 60)
    job = shop.blender.ask("chosen()")
    shop.jobs.append(job)
    wait_for("half of it", lambda: shop.step(job) > 60, 400, every=1)
    shop.blender.show_all()
    shop.desk.screenshot("5-half-way")
    wait_for("its end", lambda: shop.state(job) in ("done", "failed"), 400, every=1)
    assert shop.state(job) == "done"
    assert shop.blender.ask(f"results({job!r})") == ["place"]
    shop.blender.press("splatsmith.import_result")
    wait_for("the result", lambda: shop.blender.ask(f"results({job!r})") == ["mesh", "place", "splats"], 60)
    shop.desk.screenshot("6-imported")


def test_an_import_is_one_undo_step(shop):
    job = shop.jobs[1]
    shop.blender.move(400, 400)
    shop.blender.mouse("key", "ctrl+z")
    wait_for("undo", lambda: shop.blender.ask(f"results({job!r})") == ["place"], 60)
    shop.blender.mouse("key", "ctrl+shift+z")
    wait_for("redo", lambda: shop.blender.ask(f"results({job!r})") == ["mesh", "place", "splats"], 60)


def test_the_mesh_is_shown_in_place_of_the_splats(shop):
    shop.blender.press("what='mesh'")
    hidden = "{t.get('splatsmith_role'): t.hide_viewport for t in bpy.data.objects}"
    wait_for("the mesh", lambda: shop.blender.ask(hidden)["splats"], 60)
    assert not shop.blender.ask(hidden)["mesh"]
    shop.desk.screenshot("7-mesh")


def test_a_restarted_blender_imports_the_earlier_result(shop):
    shop.blender.kill()
    shop.open()
    job = shop.jobs[1]
    wait_for("the list of jobs", lambda: shop.blender.ask(f"{job!r} in addon_state.rows"), 60)
    shop.blender.do(f"bpy.context.window_manager.splatsmith_active = list(addon_state.rows).index({job!r})")
    shop.blender.press("splatsmith.import_result")
    wait_for("the result", lambda: shop.blender.ask(f"results({job!r})") == ["mesh", "splats"], 60)
    wait_for("its splats in the viewport", lambda: shop.splats(job), 60)
    shop.blender.show_all()
    shop.desk.screenshot("8-restarted")

"""What no test run has the time for: Blender killed at 20 random moments of a job; 50,000 splats while the view turns.

SPLATSMITH_BLENDER_ROOT=work/blender-root-trixie python -m pytest -s tests/window/stress.py
"""

import random
import time

import psutil
from desk import wait_for
from test_window import Shop

from tools.bench_addon import HERTZ, Stream

KILLS = 20
MESSAGES = "bl_ext.user_default.splatsmith.shared.messages"
COUNT = """
import time
from bl_ext.user_default.splatsmith.view.live_view import LiveView
drawn, seen, draw_all = [], {}, LiveView._draw_all
def timed(self):
    began = time.perf_counter()
    draw_all(self)
    drawn.append((began, time.perf_counter() - began))
    seen.update({id(cloud): cloud for cloud in self.clouds.values()})  # kept, so that no id is given twice
LiveView._draw_all = timed
"""


def test_blender_killed_at_random_moments(desk, extension, port):
    shop, jobs, found = Shop(desk, port), [], 0
    for _ in range(KILLS):
        shop.blender.do("settings().prompt, settings().quality_name = 'a red apple', 'draft'")
        shop.blender.do("bpy.ops.splatsmith.generate()")
        job = wait_for("a job in the list", lambda: shop.blender.ask("chosen()"), 30)
        pause = random.uniform(0, 6)
        time.sleep(pause)
        shop.blender.kill()
        assert not [p for p in psutil.process_iter(["name"]) if p.info["name"].startswith("blender")]
        shop.open()
        wait_for("the list of jobs", lambda: shop.blender.ask("len(addon_state.rows)"), 60)
        if shop.blender.ask(f"{job!r} in addon_state.rows"):
            found += 1
            jobs.append(job)
            step = shop.step(job)
            wait_for("the job to go on", lambda job=job, step=step: shop.step(job) > step, 60)
            shop.blender.do(
                f"addon_state.client.send(__import__('{MESSAGES}', fromlist=['Cancel']).Cancel(job={job!r}))"
            )
            wait_for("the job to stop", lambda job=job: shop.state(job) == "stopped", 60)
        print(f"killed after {pause:.1f} s: {shop.state(job) if job in jobs else 'had not been sent yet'}", flush=True)
    for job in jobs:
        assert shop.blender.ask(f"state({job!r}).has_splats or state({job!r}).step == 0")
    print(f"{found} of {KILLS} jobs had reached the backend; all of these went on and kept their splats")
    shop.blender.kill()


def test_fifty_thousand_splats_stream_while_the_view_turns(desk, extension):
    stream = Stream(50_000)
    stream.start()
    shop = Shop(desk, stream.port)
    shop.blender.do("settings().prompt = 'a ball'; bpy.ops.splatsmith.generate()")
    job = wait_for("a job in the list", lambda: shop.blender.ask("chosen()"), 30)
    wait_for("splats in the viewport", lambda: shop.splats(job) == 50_000, 60)
    shop.blender.do(COUNT)
    sent, began = stream.sent, time.monotonic()
    while time.monotonic() < began + 10:
        shop.blender.orbit()
    took, sent = time.monotonic() - began, stream.sent - sent
    drawn = sorted(seconds for _, seconds in shop.blender.ask("drawn"))
    seen = shop.blender.ask("len(seen)")
    print(f"{sent / took:.1f} snapshots/s of {HERTZ} sent, {seen / took:.1f} drawn; {len(drawn) / took:.1f} redraws/s")
    print(
        f"the add-on's part of a redraw: median {1e3 * drawn[len(drawn) // 2]:.1f} ms, worst {1e3 * drawn[-1]:.1f} ms"
    )
    stream.open = False
    shop.blender.kill()

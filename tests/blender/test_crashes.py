"""What once ended the whole process, many times over: imports under a stream of news, and goodbyes in a stream.

Both crashes hang on microseconds, so these tests count on numbers: with the override every one of six runs ended before
its 200 imports, without lingering four of six before their 60 goodbyes (tests/addon/goodbyes.py meets that each time).
"""

import threading

import bpy
import msgspec
import pytest
from one_job import splats
from pressing import about, finish, generate, of, ticks

from blender_addon.net.state import addon_state
from blender_addon.scene.placing import find_object
from blender_addon.shared.messages import Progress
from blender_addon.view.live_view import live_view

NEWS = Progress(job="f" * 32, step=1, of=3, seconds_left=1.0, metrics={"loss": 1.0})
SNAPSHOT = msgspec.structs.replace(splats(500_000), final=False)


@pytest.fixture
def news(peer):
    """Another job's progress, without a pause, so that the client's thread is awake."""
    ended = threading.Event()

    def stream():
        while not ended.wait(0.004):
            if peer.waiting < 20:
                peer.say(*[NEWS] * 10)

    thread = threading.Thread(target=stream, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_200_results_are_placed_while_news_streams(peer, news):
    for number in range(200):
        (job,) = generate(peer, seed=number)
        finish(peer, job)
        ticks(lambda: addon_state.deliveries)
        peer.say(of(splats(200), job.job))
        ticks(lambda job=job: find_object(job.job, "splats"))
        for table in (bpy.data.collections, bpy.data.objects):
            for thing in list(table):
                table.remove(thing)


@pytest.mark.parametrize("turn", range(60))
def test_the_backend_and_the_add_on_leave_while_splats_stream(peer, turn):
    (job,) = generate(peer)
    peer.say(about(job))
    ticks(lambda: addon_state.rows[job.job].confirmed)
    peer.say(*[of(SNAPSHOT, job.job)] * 6)  # most of them are still on their way when both ends leave
    ticks(lambda: job.job in live_view.clouds)

"""The add-on's part of `build.py bench`, in Blender's Python: the codec, and a tick while splats stream at 5 Hz.

A thread stands for the backend on a real socket; the add-on is switched on and its own timer function is called, as
Blender's window would call it.  What is drawn on a graphics card is not in here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from shared.codec import Frame, decode_answer, decode_request, encode
from shared.messages import (
    PROTOCOL_VERSION,
    Generate,
    Hello,
    Jobs,
    JobState,
    Message,
    Objective,
    Ping,
    Pong,
    Preview,
    Splats,
    Welcome,
)

COUNTS = (50_000, 500_000)
HERTZ = 5.0
IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
WELCOME = Welcome(
    protocol=PROTOCOL_VERSION,
    version="0",
    objectives=(Objective(name="vdm", title="VDM", description="", options=()),),
    qualities=("normal",),
    devices=("cpu",),
)


def some_splats(job: str, count: int) -> Splats:
    """Small splats all over the unit ball."""
    rng = np.random.default_rng(0)
    arrays = {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "sh": (count, 1, 3)}
    drawn = {name: rng.standard_normal(shape, np.float32) for name, shape in arrays.items()}
    drawn["quats"] /= np.linalg.norm(drawn["quats"], axis=1, keepdims=True)
    drawn["means"] *= rng.random((count, 1), np.float32) / np.linalg.norm(drawn["means"], axis=1, keepdims=True)
    drawn["scales"] = np.full((count, 3), 0.01, np.float32)
    opacities = rng.random(count, np.float32)
    return Splats(job=job, step=1, final=False, to_scene=IDENTITY, opacities=opacities, **drawn)


def running(job: str) -> JobState:
    """What the backend says of a job that has begun."""
    return JobState(
        job=job, state="running", prompt="", objective="vdm", seed=0, created=0, step=0, of=9, to_scene=IDENTITY
    )


def codec_row(count: int, rounds: int = 20) -> dict[str, Any]:
    """Encoding and decoding, and both with a trip over the loopback, in GB/s."""
    message = some_splats("0" * 32, count)
    frames = encode(message)
    size = sum(len(frame) for frame in frames)
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        there.connect(f"tcp://127.0.0.1:{here.bind_to_random_port('tcp://127.0.0.1')}")

        def travel() -> None:
            here.send_multipart(encode(message), copy=False)
            decode_answer([frame.buffer for frame in there.recv_multipart(copy=False)])

        encoding, decoding = seconds(lambda: encode(message), rounds), seconds(lambda: decode_answer(frames), rounds)
        travelling = seconds(travel, rounds)
    took = {"encode ms": 1e3 * encoding, "decode ms": 1e3 * decoding, "with loopback ms": 1e3 * travelling}
    return {"splats": count, "MB": size / 1e6, **took, "loopback GB/s": size / travelling / 1e9}


def seconds(work: Any, rounds: int) -> float:
    """The median of several rounds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


class Stream(threading.Thread):
    """A backend that greets, takes one job, and sends its splats and a picture five times a second."""

    def __init__(self, count: int) -> None:
        super().__init__(daemon=True)
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self.port: int = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.count, self.sent, self.open = count, 0, True
        self.frames: list[list[Frame]] = []

    def run(self) -> None:
        """Until `open` is taken away; the socket is this thread's."""
        client, due = b"", 0.0
        while self.open:
            if self.socket.poll(5):
                client, *request = self.socket.recv_multipart()
                self._answer(client, decode_request(request))
            if self.frames and time.monotonic() >= due:
                due = time.monotonic() + 1 / HERTZ
                for frames in self.frames:
                    self.socket.send_multipart([client, *frames], copy=False)
                self.sent += 1
        self.socket.close(linger=60_000)

    def _answer(self, client: bytes, message: Message) -> None:
        match message:
            case Hello():
                self._say(client, WELCOME, Jobs(jobs=()))
            case Ping():
                self._say(client, Pong(token=message.token))
            case Generate():
                self._say(client, running(message.job))
                picture = Preview(job=message.job, step=1, image=np.zeros((256, 256, 3), np.uint8))
                self.frames = [encode(some_splats(message.job, self.count)), encode(picture)]

    def _say(self, client: bytes, *messages: Message) -> None:
        for message in messages:
            self.socket.send_multipart([client, *encode(message)])


def tick_row(count: int, for_seconds: float = 6.0) -> dict[str, Any]:
    """How long ticks take while splats stream: those that took a message or more, and all."""
    import bpy

    context: Any = bpy.context  # the stubs do not know the add-on's properties and operators
    operators: Any = bpy.ops
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="blender_addon")
    from blender_addon import timer
    from blender_addon.net.state import addon_state
    from blender_addon.view.live_view import back_to_front, live_view, texels

    stream = Stream(count)
    stream.start()
    context.preferences.addons["blender_addon"].preferences.address = f"127.0.0.1:{stream.port}"
    while not (addon_state.ready and addon_state.welcome):
        timer.tick()
    context.scene.splatsmith.prompt = "a ball"
    operators.splatsmith.generate()
    took, busy, end = [], [], time.monotonic() + for_seconds
    while time.monotonic() < end:
        before = {job: id(cloud) for job, cloud in live_view.clouds.items()}
        began = time.perf_counter()
        timer.tick()
        took.append(time.perf_counter() - began)
        if before != {job: id(cloud) for job, cloud in live_view.clouds.items()}:
            busy.append(took[-1])
        time.sleep(0.01)
    (cloud,) = live_view.clouds.values()
    towards = np.array([0.6, 0.0, 0.8], np.float32)
    sorting = seconds(lambda: back_to_front(cloud.splats.positions, towards), 5)
    packing = seconds(lambda: texels(cloud.splats), 5)
    bpy.ops.preferences.addon_disable(module="blender_addon")
    stream.open = False
    stream.join()
    return {
        "splats": count,
        "snapshots": stream.sent,
        "taken": len(busy),
        "tick median ms": 1e3 * statistics.median(took),
        "tick with splats, median ms": 1e3 * statistics.median(busy),
        "worst ms": 1e3 * max(took),
        "at a redraw: sort ms": 1e3 * sorting,
        "pack ms": 1e3 * packing,  # after a new snapshot
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of one shape, as text."""
    cells = [list(rows[0])] + [[f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def main() -> None:
    """Measure, print, and add the figures to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    file = parser.parse_args().json
    os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="splatsmith-bench-")
    rows = {"codec": [codec_row(count) for count in COUNTS], "tick": [tick_row(count) for count in COUNTS]}
    for name, found in rows.items():
        print(f"\nAdd-on: {name}\n{table(found)}")
    if file is not None:
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps(known | {"addon": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
    os._exit(0)  # Blender's own exit handlers crash or hang in the wheels of 4.2 and 4.5

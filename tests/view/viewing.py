"""`python -m backend view` in a process of its own, what it sends to a browser, and job folders for it to show."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import torch
import viser
import zstandard
from websockets.sync.client import connect

from backend.job.job import make_job
from backend.run.events import StepDone
from backend.run.folder import JobFolder
from backend.run.history import History
from backend.scenes.ply import write_ply
from backend.scenes.splats import Splats
from backend.view.page import address_of, close_page, open_page
from backend.view.results_page import ResultsPage

ROOT = Path(__file__).parents[2]
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, -3.0, 0.0), "fov": 0.7, "near": 0.1,
    "far": 9.0, "image_height": 600, "image_width": 800, "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0),
}  # fmt: skip
PATIENCE = 300.0  # seconds; the machine may be busy


@contextmanager
def viewing(*what, command=("-m", "backend"), port="0"):
    """The program while the block runs: yields its address.  It must end well at Ctrl-C."""
    words = [sys.executable, *command, "view", *map(str, what), "--no-browser", "--port", port]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(words, cwd=ROOT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, **output)
    told = []
    try:
        while not (found := re.search(r"is shown at (http://\S+/) until", told[-1] if told else "")):
            told.append(process.stdout.readline())
            assert told[-1], told
        yield found[1]
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
        assert (process.returncode, rest.replace("(viser) Server stopped\n", "")) == (0, ""), rest
    finally:
        process.kill()
        process.communicate()


@contextmanager
def shown_here(root):
    """The page of results in this process, which is quicker; yields its address."""
    page, stopping = ResultsPage(root), threading.Event()
    server = open_page("127.0.0.1", 0, page.title)
    page.open(server)

    def update():
        while not stopping.wait(0.1):
            page.update()

    thread = threading.Thread(target=update)
    thread.start()
    try:
        yield address_of("127.0.0.1", server.get_port())
    finally:
        stopping.set()
        thread.join()
        close_page(server)


class Page:
    """What a browser that has just opened the page, and keeps it open, has been sent."""

    def __init__(self, socket):
        self.socket, self.messages, self.bytes = socket, [], 0

    def listens(self, found):
        """Wait until a message, new or old, is what is looked for."""
        end, at = time.monotonic() + PATIENCE, 0
        while time.monotonic() < end:
            for message in self.messages[at:]:
                if answer := found(message):
                    return answer
            at = len(self.messages)
            try:
                self._take(self.socket.recv(timeout=1.0))
            except TimeoutError:
                continue
        raise AssertionError(f"nothing came in {[one['type'] for one in self.messages]}")

    def hears(self, *words):
        """Wait for a text with these words in it."""
        return self.listens(lambda message: all(word in str(message) for word in words) and message)

    def splats(self, count):
        """Wait for so many splats; how many bytes they are."""
        return self.listens(lambda message: message["size"] == 32 * count and message)

    def sets(self, label, value=True):
        """Press the first button that has this label, or move the slider to a value."""
        named = (one["uuid"] for one in self.messages if one.get("props", {}).get("label") == label)
        update = {"type": "GuiUpdateMessage", "uuid": next(named), "updates": {"value": value}}
        self.socket.send(msgspec.msgpack.encode(update))

    def forget(self):
        """Look only at what comes from now on."""
        self.messages.clear()

    def _take(self, frame):
        self.bytes += len(frame)
        packed = int.from_bytes(frame[8:16], "little")
        decoded = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(frame[16 : 16 + packed]))
        for message in decoded["messages"]:
            buffer = message.get("props", message.get("updates", {})).get("buffer")
            message["size"] = decoded["binaryBufferLengths"][buffer["__binary_index"]] if buffer else 0
            self.messages.append(message)


@contextmanager
def opened(address):
    """The page as a browser gets it."""
    protocol = f"viser-v{viser.__version__}"
    with connect(address.replace("http", "ws"), subprotocols=[protocol], max_size=None) as socket:
        socket.send(msgspec.msgpack.encode(CAMERA))  # whoever has sent none counts as not there yet
        yield Page(socket)


def ball(count, size=0.5, colour=(1.0, -1.0, -1.0)):
    """Splats in a ball of one colour."""
    rng = torch.Generator().manual_seed(count)
    means = torch.nn.functional.normalize(torch.randn(count, 3, generator=rng), dim=1)
    means *= size * torch.rand(count, 1, generator=rng) ** (1 / 3)
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(count, 1)
    sh = torch.tensor(colour).repeat(count, 1, 1)
    return Splats(means, quats, torch.full((count, 3), -2.8), torch.full((count,), 2.0), sh)


class Scene:
    """What a history is kept of."""

    def __init__(self, splats):
        self.now = splats

    def splats(self):
        return self.now


def job(path, seed=0, prompt="a red ball", steps=(10, 20), of=40, done=300):
    """The folder of a run: splats of these steps, 100 more each time, and with `done` the finished ones."""
    folder = JobFolder(path)
    folder.begin(make_job({"prompt": prompt, "seed": seed, "recipe": {"steps": of}}))
    for number, at in enumerate(steps):
        more(folder, at, 100 * (number + 1), of)
    if done:
        folder.log(StepDone(of, of, 0.0, {"t": 20.0}))
        write_ply(ball(done), path / "splats.ply")
        folder.write_metrics({"steps": of})
    return folder


def more(folder, step, count, of=40):
    """Another step of the run."""
    folder.log(StepDone(step, of, 1.0, {"t": 900.0 - step, "gradient_norm": 2.5}))
    History(folder).keep(step, Scene(ball(count)))

"""How many snapshots the server passes on: python tests/server/snapshot_cost.py [--help].

Everything is real but the worker: in its place a process sends the same splats as fast as its pipe takes them.
"""

import argparse
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import numpy as np
import zmq
from msgspec.structs import replace
from serving import Person, until

from backend.service.available_priors import AvailablePriors
from backend.service.capabilities import welcome
from backend.service.executors.pipes import read_frames, write_frames
from backend.service.jobs import Jobs
from backend.service.server import Server, router
from blender_addon.shared import messages as m
from shared import messages as ours
from shared.codec import decode, encode
from shared.waker import Waker

PLACE = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


def snapshot(job, count):
    """Splats as a worker sends them."""
    values = np.zeros((count, 14), np.float32)
    parts = {"means": values[:, :3], "quats": values[:, 3:7], "scales": values[:, 7:10], "opacities": values[:, 10]}
    arrays = {name: np.ascontiguousarray(part) for name, part in parts.items()}
    sh = np.ascontiguousarray(values[:, 11:].reshape(count, 1, 3))
    return ours.Splats(job=job, step=0, final=False, to_scene=PLACE, sh=sh, **arrays)


def flood(job, count):
    """The process in the worker's place."""
    message = snapshot(job, count)
    for step in range(1 << 31):
        write_frames(sys.stdout.buffer, encode(replace(message, step=step)))


class Flood:
    """An executor of one task, whose process never stops sending."""

    def __init__(self, count):
        self.trouble, self._count = ours.Trouble(), count
        self._waker, self._inbox, self._process = Waker(), queue.SimpleQueue(), None

    def submit(self, task):
        command = [sys.executable, __file__, "--flood", task.job, "--splats", str(self._count)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        """As the reader of a worker's pipe does."""
        while (frames := read_frames(self._process.stdout)) is not None:
            self._inbox.put(decode(frames, ours.Splats))
            self._waker.wake()

    def events(self):
        self._waker.clear()
        return [self._inbox.get() for _ in range(self._inbox.qsize())]

    def fileno(self):
        return self._waker.fileno()

    def show(self, job, watched):
        """It sends either way."""

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def serve(folder, count):
    """The server; it prints its port."""
    socket = router(zmq.Context())
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    available = AvailablePriors(folder / "kits", ())
    server = Server(socket, Jobs(folder), Flood(count), welcome(str(available.folder)), available)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    print(port, flush=True)
    server.run()


class Place:
    """What a Person needs to know of a server."""

    def __init__(self, folder, count):
        command = [sys.executable, __file__, "--serve", folder, "--splats", str(count)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port, self.key = int(self.process.stdout.readline()), ""


def arrived(persons, seconds):
    """The snapshots that each of them gets."""
    counts = [0] * len(persons)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for index, person in enumerate(persons):
            counts[index] += sum(isinstance(message, m.Splats) for message in person.client.receive())
        time.sleep(0.0005)
    return counts


def measure(count, watchers, seconds):
    """Print what arrives."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder, count)
        persons = [Person(place) for _ in range(watchers)]
        job = persons[0].generates(100_000)
        for person in persons:
            person.client.send(m.Watch(jobs=(job,)))
            person.waits(m.Splats, job)
        busy = os.times()
        counts = arrived(persons, seconds)
        busy = sum(os.times()[:2]) - sum(busy[:2])
        size = sum(len(memoryview(frame).cast("B")) for frame in encode(snapshot(job, count)))
        each = ", ".join(f"{number / seconds:.0f}" for number in counts)
        print(f"{count} splats ({size / 1e6:.2f} MB), {watchers} watchers: {each} snapshots/s;", end=" ")
        print(f"the clients took {busy / seconds:.0%} of a core; load of the machine {os.getloadavg()[0]:.1f}")
        for person in persons:
            person.client.stop()
        place.process.terminate()
        until(lambda: place.process.poll() is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splats", type=int, default=50_000)
    parser.add_argument("--watchers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--flood", help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.flood:
        flood(args.flood, args.splats)
    elif args.serve:
        serve(args.serve, args.splats)
    else:
        measure(args.splats, args.watchers, args.seconds)


if __name__ == "__main__":
    main()

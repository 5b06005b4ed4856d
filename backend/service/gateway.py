"""The process that knows the cluster: python -m backend.service.gateway ADDRESS, with the worker's pipes.

Ray ends the process that uses it when its node dies, so that process is this child and not the server.  The jobs are
detached from it: the next gateway finds them by their runs.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import signal
import sys
import threading
from typing import IO

from backend.service.executors import ClusterCommand, Kill, Ready, Room, Show, Stop, Task
from backend.service.executors.pipes import read_frames, write_frames
from backend.service.executors.ray import RayJobs
from backend.service.executors.ray_nodes import ClusterError, connect
from shared.codec import decode, encode
from shared.messages import Message, Trouble
from shared.waker import Waker

LOOK = 1.0  # seconds between looks at the nodes

Command = Task | Stop | Kill | Show


class Gateway:
    """Carries commands from the server to the jobs, and what they tell back."""

    def __init__(self, commands: IO[bytes], output: IO[bytes], jobs: RayJobs) -> None:
        self.jobs, self._output = jobs, output
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._waker = Waker()
        self._places, self._trouble = -1, ""
        threading.Thread(target=self._listen, args=(commands,), daemon=True).start()

    def run(self) -> None:
        """Until the input ends."""
        self._send(Ready())
        while True:
            self._tell_of_nodes()
            select.select([self._waker.fileno(), self.jobs.waker.fileno()], [], [], LOOK)
            self._waker.clear()
            while not self._commands.empty():
                self._do(self._commands.get())
            for event in self.jobs.events():
                self._send(event)

    def _do(self, command: Command) -> None:
        match command:
            case Task():
                self.jobs.submit(command)
            case Stop(job=job):
                self.jobs.stop(job)
            case Kill(job=job):
                self.jobs.kill(job)
            case Show(job=job, watched=watched):
                self.jobs.show(job, watched)

    def _tell_of_nodes(self) -> None:
        """Tell for how many jobs there is room, and which nodes are not used, if that has changed."""
        nodes = self.jobs.nodes
        nodes.look()
        misfits = sorted(nodes.misfits().values())
        trouble = f"{len(misfits)} of {nodes.count} nodes are not used: {misfits[0]}" if misfits else ""
        if trouble != self._trouble:
            self._trouble = trouble
            self._send(Trouble(text=trouble, detail="\n".join(misfits)))
        if (places := nodes.places()) != self._places:
            self._places = places
            self._send(Room(places=places))

    def _send(self, message: Message) -> None:
        try:
            write_frames(self._output, encode(message))
        except BrokenPipeError:
            os._exit(0)

    def _listen(self, pipe: IO[bytes]) -> None:
        """Runs in a thread."""
        while (frames := read_frames(pipe)) is not None:
            self._commands.put(decode(frames, ClusterCommand))
            self._waker.wake()
        os._exit(0)  # our parent is gone; the jobs go on


def main(address: str) -> int:
    """Connect and carry messages; 1 where the cluster cannot be used, and the last line on stderr says why."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the server to handle
    commands = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.chdir(os.sep)  # Ray has the nodes import from the folder that we are in: they are to use their own program
    try:
        connect(address)
    except ClusterError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    Gateway(commands, output, RayJobs()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

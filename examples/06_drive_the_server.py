"""# Driving the server from Python

What Blender does, in sixty lines.  `blender_addon.net.client.Client` needs no Blender: a thread that keeps the
connection up, a `send` that survives a lost line, and a `receive` that never waits.  The messages are the structs of
`shared/messages.py`; an order has an id of its own, and is carried out once however often it is sent.

A job's small news (`Progress`, `JobState`) comes to every client; pictures and splats come to those that `Watch` it.
`Fetch` brings the results as arrays: nothing has to be read from a disk.

This script stops the job on its way, after STEPS steps.  What a stopped job has is kept, and `Continue` would go on
with it.  Without the `Cancel` it would go on to its textured mesh.

    STEPS=200 python -m examples.06_drive_the_server       # makes out/driven.npz, and out/served/JOB
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from blender_addon.net.client import Client
from blender_addon.shared import messages as m

STEPS = int(os.environ.get("STEPS", "200"))


@contextmanager
def backend(jobs: Path) -> Iterator[str]:
    """A server of our own while the block runs; its address stands in the first line that it prints."""
    command = [sys.executable, "-m", "backend", "serve", "--port", "0", "--jobs", str(jobs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.findall(r"listens on (\S+);", process.stdout.readline() if process.stdout else "")[0]
        finally:
            process.terminate()


def news(client: Client) -> Iterator[m.FromServer]:
    """Every message from now on, without an end."""
    while True:
        yield from client.receive()
        time.sleep(0.02)


if __name__ == "__main__":
    with backend(Path("out/served")) as address:
        client, job = Client(address), m.new_job_id()
        client.start()
        recipe = {"steps": STEPS + 200, "views": 2}
        fields = {"prompt": "a red apple", "objective": "sds", "quality": "draft", "recipe": recipe}
        client.send(m.Watch(jobs=(job,)))
        client.send(m.Generate(job=job, fields=fields))
        cancelled = False
        for message in news(client):
            if isinstance(message, m.Progress):
                print(f"step {message.step} of {message.of}")
                # Of progress that nobody has received yet only the newest is kept, so STEPS itself may be missed.
                if message.step >= STEPS and not cancelled:
                    client.send(m.Cancel(job=job))
                    cancelled = True
            elif isinstance(message, m.Error):
                sys.exit(message.text)
            elif isinstance(message, m.JobState) and message.state in m.ENDED:
                print(f"{message.state} {message.text}")
                client.send(m.Fetch(job=job))
            elif isinstance(message, m.Splats) and message.final:
                np.savez("out/driven.npz", means=message.means, scales=message.scales, sh=message.sh)
                break
        client.stop()

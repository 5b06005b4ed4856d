"""A client that asks for one thing after the other, and prints each job that the backend has taken: `busy.py PORT`."""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from blender_addon.net.client import Client
from blender_addon.shared import messages as m
from tests.small import MESH

RECIPE = {
    "steps": 2,
    "views": 1,
    "splats": {"initial_count": 400, "growth": "none"},
    "mesh": MESH,
    "checkpoint_every": 1,
}

if __name__ == "__main__":
    client, jobs = Client(sys.argv[1]), []
    client.start()
    while True:
        job = m.new_job_id()
        client.send(m.Generate(job=job, fields={"prompt": "a red apple", "recipe": RECIPE}))
        jobs.append(job)
        client.send(m.Watch(jobs=tuple(jobs[-2:])))
        chosen = random.choice(jobs)
        client.send(random.choice((m.Cancel(job=chosen), m.Continue(job=chosen, steps=2), m.Fetch(job=chosen))))
        for message in client.receive():
            if isinstance(message, m.JobState):
                print(message.job, flush=True)
        time.sleep(1)

"""What a Ping costs while a job runs, others wait, and clients look on: python tests/server/ping_cost.py [--help]."""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
import zmq
from serving import Person, Stranger, serving

from blender_addon.shared import messages as m
from shared import messages as ours


def pings(stranger, count):
    """Milliseconds of each Ping."""
    found = []
    for token in range(count):
        began = time.perf_counter()
        stranger.sends(ours.Ping(token=token))
        while not isinstance(stranger.hears(), ours.Pong):
            pass
        found.append(1e3 * (time.perf_counter() - began))
        time.sleep(0.02)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, count in (("jobs", 100), ("watchers", 3), ("pings", 300)):
        parser.add_argument(f"--{name}", type=int, default=count)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "jobs") as backend:
        persons = [Person(backend) for _ in range(args.watchers)]
        jobs = [persons[0].generates(100_000) for _ in range(args.jobs)]
        persons[0].waits(m.Progress, jobs[0])
        for person in persons:
            person.client.send(m.Watch(jobs=tuple(jobs)))
        context = zmq.Context()
        stranger = Stranger(backend.port, context)
        stranger.sends(ours.Hello(protocol=ours.PROTOCOL_VERSION, version="ping"))
        found = sorted(pings(stranger, args.pings))
        last = found[int(0.99 * len(found))]
        print(f"{args.jobs} jobs, {args.watchers} watchers: a Ping takes", end=" ")
        print(f"{statistics.median(found):.2f} ms (median), {last:.2f} ms (99 of 100), {found[-1]:.2f} ms (worst)")
        context.destroy(linger=0)
        for person in persons:
            person.client.stop()


if __name__ == "__main__":
    main()

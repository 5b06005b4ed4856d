"""What no test has the time for: python tests/server/stress.py [--help].

Prints, after each kind of abuse, what the server holds: memory, files, processes, threads.  Then kills the worker and
the server at random moments, and sees that every job goes on or fails with a sentence and that no result is lost.
"""

import argparse
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

import psutil
import zmq

sys.path.insert(0, str(Path(__file__).parents[2]))
from serving import Backend, Person, Stranger, gone, kill, until

from blender_addon.shared import messages as m
from shared import messages as ours

HELLO = ours.Hello(protocol=ours.PROTOCOL_VERSION, version="stress")


def held(backend, what):
    """One line of figures."""
    process = psutil.Process(backend.process.pid)
    children = process.children(recursive=True)
    memory = [round(p.memory_info().rss / 1e6) for p in (process, *children)]
    print(
        f"{what:32} {memory} MB, {process.num_fds()} files, {len(children)} children, {process.num_threads()} threads"
    )


def connects(backend, count):
    began = time.monotonic()
    for _ in range(count):
        context = zmq.Context()
        stranger = Stranger(backend.port, context)
        stranger.sends(HELLO)
        assert isinstance(stranger.hears(), ours.Welcome)
        context.destroy(linger=0)
    held(backend, f"{count} connects, {time.monotonic() - began:.0f} s")


def malformed(backend, count):
    context = zmq.Context()
    stranger = Stranger(backend.port, context)
    stranger.sends(HELLO)
    began = time.monotonic()
    stranger.hears(), stranger.hears()
    for _ in range(count):
        stranger.says(*(secrets.token_bytes(random.randrange(2000)) for _ in range(random.randint(1, 4))))
        assert isinstance(stranger.hears(), ours.Error)
    context.destroy(linger=0)
    held(backend, f"{count} malformed, {time.monotonic() - began:.0f} s")


def cancels(backend, person, count):
    waits = []
    for _ in range(count):
        job = person.generates(100_000)
        person.waits(m.Progress, job)
        person.asks(m.Cancel(job=job))
        began = time.monotonic()
        person.waits(m.JobState, job)
        waits.append(time.monotonic() - began)
        person.waits(m.JobState, job, state="stopped")
        person.asks(m.Forget(job=job))
        person.waits(m.Removed, job)
    waits.sort()
    held(backend, f"{count} cancelled jobs")
    print(f"cancel answered: median {1e3 * waits[count // 2]:.1f} ms, worst {1e3 * waits[-1]:.1f} ms")


def worker_kills(backend, person, count):
    for turn in range(count):
        job = person.generates(100_000)
        person.waits(m.JobState, job, state="running")
        victim = backend.worker
        time.sleep(random.uniform(0, 10))
        kill(victim)
        text = person.waits(m.JobState, job, state="failed").text
        assert "SIGKILL" in text, text
        person.asks(m.Forget(job=job))
        person.waits(m.Removed, job)
        print(f"worker kill {turn + 1}: {text}")
    held(backend, f"{count} kills of the worker")


def server_kills(backend, person, count, done):
    job = person.generates(100_000)
    for turn in range(count):
        moment = random.uniform(0, 8)
        time.sleep(moment)
        worker = backend.worker
        kill(backend.process)
        backend.process.wait()
        until(lambda pid=worker.pid: gone(pid))
        person.listen()
        person.heard.clear()
        backend = Backend(backend.jobs, ("--port", backend.port))
        states = {state.job: state.state for state in person.waits(m.Jobs).jobs}
        assert states[done] == "done", states
        assert states[job] in ("queued", "running"), states
        person.asks(m.Fetch(job=done))
        person.waits(m.Mesh, done)
        step = person.waits(m.Progress, job).step
        print(f"server kill {turn + 1} after {moment:.1f} s: goes on at step {step}")
    person.asks(m.Cancel(job=job))
    person.waits(m.JobState, job, state="stopped")
    return backend


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, count in (("connects", 1000), ("malformed", 10_000), ("cancels", 100), ("kills", 20)):
        parser.add_argument(f"--{name}", type=int, default=count)
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as folder:
        backend = Backend(Path(folder))
        person = Person(backend)
        done = person.generates(1)
        person.waits(m.JobState, done, state="done")
        held(backend, "one job done")
        for count in (args.connects // 10, args.connects):
            connects(backend, count)
        for count in (args.malformed // 10, args.malformed):
            malformed(backend, count)
        for count in (args.cancels // 10, args.cancels):
            cancels(backend, person, count)
        worker_kills(backend, person, args.kills)
        backend = server_kills(backend, person, args.kills, done)
        person.client.stop()
        backend.end()
    print("nothing left running")


if __name__ == "__main__":
    main()

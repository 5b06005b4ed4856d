"""A cluster of Ray on loopback, in a network and a process tree of its own, with cards that are only counted.

    python tests/server/ray_farm.py [MOMENTS [SEED]]

runs eight jobs on two nodes, kills a worker, the gateway, a node and the server at so many random moments each, and
compares what comes out with undisturbed runs.
"""

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PORT = 6399
INSIDE = "SPLATSMITH_FARM_INSIDE"  # in the environment of the program that is inside
CARDS = 2  # of a node
STEPS, MORE_STEPS = 40, 60  # of a job, and for each further moment
JOBS = 8
PAUSE = 4.0  # seconds before a kill, at most; three times as long where there are several moments
SEEDS = 2  # of the jobs; those with the same one must be alike
KINDS = ("worker", "gateway", "node", "server")
RESULTS = ("splats.ply", "mesh.glb", "turntable.png")
# Steps that take long enough to say within which one a cancel came.
SLOW_STEPS = {"steps": 100_000, "views": 4, "stages": [{"side": 128}], "splats": {"initial_count": 4000}}
QUICK_DEATHS = {  # of nodes, to the head
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
FEW_PROCESSES = {"RAY_prestart_worker_first_driver": "0", "RAY_enable_worker_prestart": "0"}


def unshared():
    """The command before one that is to run in a network of its own."""
    return ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-n", "-p", "-f", "--mount-proc", "--kill-child"]


def inside(folder, moments, seed, jobs=JOBS):
    """The finished process of this program in there."""
    environment = (
        os.environ
        | QUICK_DEATHS
        | FEW_PROCESSES
        | {INSIDE: "1", "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    )
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    command = [*unshared(), sys.executable, __file__, str(folder), str(moments), str(seed), str(jobs)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Farm:
    """Two nodes with our program and one with another version of it, a server, and who sends jobs."""

    def __init__(self, folder, say):
        self.folder, self.say, self.jobs = folder, say, folder / "jobs"
        self.ray_start("--head", "--port", PORT, "--include-dashboard=false", f"--temp-dir={folder / 'r'}", node=1)
        self.ray_start("--address", f"127.0.0.1:{PORT}", node=2)
        self.ray_start("--address", f"127.0.0.1:{PORT}", node=3, program=another_version(folder / "other"))
        self.where = ("--cluster", f"127.0.0.1:{PORT}")
        self.backend = Backend(self.jobs, ("--port", "0", *self.where))
        self.person = Person(self.backend)

    def ray_start(self, *options, node, program=ROOT):
        paths = os.pathsep.join([str(program), os.environ.get("PYTHONPATH", "")])
        resources = (f"--num-gpus={CARDS}", f"--num-cpus={CARDS}", "--object-store-memory=100000000")
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-ip-address=127.0.0.{node}"]
        command += [*map(str, options), *resources, "--disable-usage-stats"]
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": paths},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def steps(self, job):
        """Those that its log has, in order."""
        with suppress(FileNotFoundError):
            lines = (self.jobs / job / "events.jsonl").read_text().splitlines()
            return [json.loads(line)["step"] for line in lines if '"progress"' in line]
        return []

    def kill(self, kind):
        """kill -9 of one, and what a studio would start again by hand."""
        if kind == "worker":
            kill(random.choice(until(lambda: named("ray::OneJob"))))
        elif kind == "gateway":
            kill(self.gateway())
        elif kind == "node":
            kill(next(process for process in named("raylet/raylet") if "127.0.0.2" in " ".join(process.cmdline())))
            self.ray_start("--address", f"127.0.0.1:{PORT}", node=2)
        else:
            gateway = self.gateway()
            kill(self.backend.process)
            self.backend.process.wait()
            self.backend.process.stdout.close()
            until(lambda: gone(gateway.pid))
            self.backend = Backend(self.jobs, ("--port", self.backend.port, *self.where))

    def gateway(self):
        children = psutil.Process(self.backend.process.pid).children
        return until(lambda: next((c for c in children() if "backend.service.gateway" in c.cmdline()), None))

    def end(self):
        self.person.client.stop()
        self.backend.process.terminate()
        assert self.backend.process.wait(30) == 0


def named(text):
    """The processes that have this in their command line."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if text in " ".join(process.cmdline()):
                found.append(process)
    return found


def another_version(folder):
    """A copy of the program with one file more."""
    for room in ("backend", "shared"):
        (folder / room).mkdir(parents=True)
        for path in (ROOT / room).iterdir():
            (folder / room / path.name).symlink_to(path)
    (folder / "backend" / "more.py").write_text("")
    return folder


def one_writer(steps):
    """Whether a log is that of one process after the other: from a step to the next, or back to a checkpoint."""
    return all(after <= before + 1 for before, after in pairwise(steps))


def undisturbed(spec, folder):
    """The results of the same job in one go, as bytes."""
    from backend.run.folder import JobFolder
    from backend.run.session import Session

    session = Session.begin(JobFolder(spec).job(), JobFolder(folder))
    for _ in session.steps(session.job.recipe.steps):
        pass
    session.save()
    for _ in session.results():
        pass
    return {name: (folder / name).read_bytes() for name in RESULTS}


def cancel_within_a_step(farm):
    person, job = farm.person, farm.person.generates(1, seed=99, recipe=SLOW_STEPS)
    until(lambda: farm.steps(job))
    at = len(farm.steps(job))
    until(lambda: len(farm.steps(job)) > at)  # a step has just begun
    at = farm.steps(job)[-1]
    person.asks(m.Cancel(job=job))
    state = person.waits(m.JobState, job, state="stopped")
    farm.say(f"cancelled at step {at}, stopped after {state.step}")
    assert state.step <= at + 1
    assert farm.steps(job)[-1] == state.step


def trial(folder, moments, seed, count, say):
    """So many jobs under attack."""
    random.seed(seed)
    began = time.monotonic()

    def tell(text):
        say(f"{time.monotonic() - began:6.1f} s  {text}")

    farm = Farm(folder, tell)
    tell("the farm is up")
    person = farm.person
    trouble = until(lambda: (person.listen(), [t for t in person.heard if "not used" in getattr(t, "text", "")])[1])[0]
    assert trouble.text.startswith("1 of 3 nodes are not used: The node 127.0.0.3 has Splatsmith 0.1.0-")
    recipe = {"checkpoint_every": 7}
    steps = STEPS + MORE_STEPS * (moments - 1)
    jobs = [person.generates(steps, recipe=recipe, seed=number % SEEDS) for number in range(count)]
    until(lambda: sum(bool(farm.steps(job)) for job in jobs) >= 2)
    running = sum(bool(farm.steps(job)) for job in jobs)
    tell(f"{running} run side by side")
    for number in range(moments * len(KINDS)):
        kind, pause = KINDS[number % len(KINDS)], random.uniform(0, PAUSE if moments == 1 else 3 * PAUSE)
        time.sleep(pause)
        farm.kill(kind)
        ended = sum((farm.jobs / job / "outcome.json").exists() for job in jobs)
        tell(f"killed the {kind} after {pause:.1f} s; {ended} of {len(jobs)} have ended")
    states = [person.waits(m.JobState, job, state="done") for job in jobs if not failed(person, job)]
    if len(states) < len(jobs):
        tell((farm.jobs / "gateway.log").read_text()[-8000:])
    assert len(states) == len(jobs), [failed(person, job) for job in jobs]
    tell("all have ended")
    cancel_within_a_step(farm)
    lost = sum(any("was lost" in warning for warning in state.warnings) for state in states)
    again = sum(steps != sorted(set(steps)) for steps in map(farm.steps, jobs))
    tell(f"{lost} of {len(jobs)} had another process after the first, {again} took steps again")
    assert all(one_writer(farm.steps(job)) for job in jobs)
    farm.end()
    whole = [undisturbed(farm.jobs / job, folder / f"whole-{job}") for job in jobs[:SEEDS]]
    for number, job in enumerate(jobs):
        for name, content in whole[number % SEEDS].items():
            assert (farm.jobs / job / name).read_bytes() == content, (job, name)
    tell("the same bytes as undisturbed; none had two writers")


def failed(person, job):
    """Why a job has failed, once it has ended."""

    def ended():
        person.listen()
        states = [s for s in person.heard if isinstance(s, m.JobState) and s.job == job and s.state in m.ENDED]
        return states[-1] if states else None

    state = until(ended)
    return state.text if state.state != "done" else ""


if __name__ == "__main__" and INSIDE not in os.environ:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    numbers = [int(number) for number in sys.argv[1:]] or [1]
    folder = tempfile.mkdtemp(prefix="farm-")
    process = inside(folder, numbers[0], numbers[1] if numbers[1:] else random.randrange(10**6))
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
        sys.exit(process.wait())
    finally:
        process.kill()  # and with it all that is inside
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
elif __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    import psutil
    import serving
    from serving import Backend, Person, gone, kill, until

    from blender_addon.shared import messages as m

    serving.PATIENCE = 600.0  # eight jobs at a time, on a busy machine
    trial(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), lambda text: print(text, flush=True))

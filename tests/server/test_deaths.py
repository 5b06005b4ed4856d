"""kill -9 of the worker and of the server: a job goes on or fails with a sentence, and nothing is left running."""

from kills import besiege
from serving import Backend, Person, gone, kill, until

from blender_addon.shared import messages as m


def test_the_job_survives_the_death_of_each_process(tmp_path):
    backend = Backend(tmp_path)
    person = Person(backend)
    done = person.generates(1)
    person.waits(m.JobState, done, state="done")

    # The worker dies: its job fails with a sentence, the next one runs in a new worker, and the failed one goes on.
    victim = backend.worker
    failed = person.generates(100_000)
    person.waits(m.Progress, failed, step=2)
    waiting = person.generates(100_000)
    kill(victim)
    state = person.waits(m.JobState, failed, state="failed")
    assert "SIGKILL" in state.text
    assert state.text.endswith(".")
    person.waits(m.Progress, waiting)
    assert backend.worker.pid != victim.pid
    person.asks(m.Continue(job=failed, steps=100_000))
    person.waits(m.JobState, failed, state="queued")
    person.asks(m.Cancel(job=waiting))
    assert person.waits(m.Progress, failed).step > 2

    # The server dies, and its worker with it; the client says so, and goes on by itself with the next server.
    victim = backend.worker
    kill(backend.process)
    backend.process.wait()
    until(lambda: gone(victim.pid))
    until(lambda: person.client.status.state == "unreachable")
    assert "start" in person.client.status.text
    person.asks(m.Fetch(job=done))
    last = max((message.step for message in person.heard if isinstance(message, m.Progress)), default=3)
    backend = Backend(tmp_path, ("--port", backend.port))
    assert {state.job for state in person.waits(m.Jobs).jobs} == {done, failed, waiting}
    assert person.client.status.state == "ready"
    person.waits(m.Splats, done, final=True)
    assert person.waits(m.Progress, failed).step >= last
    person.client.stop()
    backend.end()


def test_kills_at_random_moments_lose_nothing_and_leave_nothing(tmp_path):
    """Three of the moments of which `kills.py` takes fifty."""
    siege = besiege(tmp_path, 3, 2.0)
    assert len(siege.taken) > 1

"""Orders over a lossy connection: each is carried out once, however often it is sent."""

import shutil
import time

import pytest
from relay import Relay
from serving import Backend, Person, Stranger, kill, serving, until

from blender_addon.shared import messages as m
from shared import messages as ours

HELLO = ours.Hello(protocol=ours.PROTOCOL_VERSION, version="1")


@pytest.fixture
def relay(backend):
    relay = Relay(backend.port)
    yield relay
    relay.close()


@pytest.fixture
def far(relay):
    """A client behind a lossy connection."""
    person = Person(relay)
    person.waits(m.Jobs)
    yield person
    person.client.stop()


def settled(person):
    """Wait until the backend has taken all requests of the person."""

    def taken():
        asked = person.client._requests._requests.values()
        return not any(isinstance(request.message, m.Order) for request in asked)

    until(lambda: person.client.status.state == "ready" and taken())


def state_of(person, job):
    person.asks(m.ListJobs())
    return next(state for state in person.waits(m.Jobs).jobs if state.job == job)


def test_orders_whose_answer_was_lost_are_carried_out_once(backend, relay, far, other):
    job = far.generates(100_000)
    far.waits(m.Progress, job)
    worker = backend.worker.pid

    # Cancel, taken, its answer lost with the line: the second one would kill the worker in the middle of a step.
    relay.holds.add("answers")
    far.asks(m.Cancel(job=job))
    other.waits(m.JobState, job, text="Stopping after this step; cancel again to stop at once.")
    relay.cut()
    settled(far)
    stopped = other.waits(m.JobState, job, state="stopped")
    assert stopped.has_splats
    assert backend.worker.pid == worker

    # Continue, done to its end, its answer lost: the second one would go on for two steps more.
    relay.holds.add("answers")
    far.asks(m.Continue(job=job, steps=2))
    other.waits(m.JobState, job, state="done", step=stopped.step + 2)
    relay.cut()
    settled(far)
    assert (state_of(other, job).state, state_of(other, job).of) == ("done", stopped.step + 2)

    # Forget, done, its answer lost: what is gone already is no reason for an error.
    relay.holds.add("answers")
    far.asks(m.Forget(job=job))
    until(lambda: not (backend.jobs / job).exists())
    relay.cut()
    settled(far)
    far.listen()
    assert not [message for message in far.heard if isinstance(message, m.Error)]


def test_orders_that_never_arrived_are_carried_out_in_their_order(relay, far, other):
    job = far.generates(1)
    far.waits(m.JobState, job, state="done")
    relay.holds.add("requests")
    far.asks(m.Continue(job=job, steps=100_000))
    far.client.send(m.Cancel(job=job))
    time.sleep(0.2)
    relay.cut()
    settled(far)
    stopped = other.waits(m.JobState, job, state="stopped")
    assert stopped.of == 100_001


def test_an_order_is_known_after_the_server_was_killed(tmp_path, context):
    backend = Backend(tmp_path)
    person = Person(backend)
    job, order = person.generates(1), m.Continue(job="0" * 32, steps=3)
    person.waits(m.JobState, job, state="done")
    order = m.Continue(job=job, steps=3)
    person.asks(order)
    person.waits(m.JobState, job, state="done", step=4)
    going = person.generates(100_000)
    person.waits(m.Progress, going)
    person.asks(m.Cancel(job=going))
    until(lambda: b'"stopping":true' in (tmp_path / going / "state.json").read_bytes() or stopped(tmp_path, going))
    kill(backend.process)
    backend.process.wait()
    person.client.stop()
    with serving(tmp_path) as backend:
        stranger = Stranger(backend.port, context)
        stranger.sends(HELLO)
        stranger.sends(ours.Continue(job=job, steps=3, id=order.id))
        heard = []
        until(lambda: heard.append(stranger.hears()) or heard[-1].__class__ is ours.Taken)
        (listed,) = (message for message in heard if isinstance(message, ours.Jobs))
        assert {state.job: (state.state, state.of) for state in listed.jobs}[job] == ("done", 4)
        assert {state.job: state.state for state in listed.jobs}[going] == "stopped"
        stranger.sends(ours.Ping(token=7))
        assert isinstance(stranger.hears(), ours.Pong)  # nothing has begun again


def stopped(jobs, job):
    return b'"state":"stopped"' in (jobs / job / "state.json").read_bytes()


def test_a_client_that_was_silent_for_long_is_asked_for_hello_again(tmp_path, context):
    with serving(tmp_path, silence=3.0) as backend:
        stranger = Stranger(backend.port, context)
        stranger.sends(HELLO)
        assert [type(stranger.hears()) for _ in range(3)] == [ours.Welcome, ours.Priors, ours.Jobs]
        time.sleep(5)
        stranger.sends(ours.Ping(token=1))
        assert isinstance(stranger.hears(), ours.SayHello)
        stranger.sends(HELLO)
        assert isinstance(stranger.hears(), ours.Welcome)

        relay = Relay(backend.port)
        person = Person(relay)
        person.waits(m.Jobs)
        relay.holds.add("requests")
        job = person.generates(100_000)  # long, as news that falls into a silence is not told again
        time.sleep(4.5)
        relay.holds.clear()
        person.waits(m.Progress, job)
        person.waits(m.Preview, job)  # it watches again, too
        assert not [message for message in person.heard if isinstance(message, m.Error)]
        person.client.stop()
        relay.close()


def test_a_job_whose_folder_was_deleted_by_hand_can_be_forgotten(backend, person):
    job = person.generates(1)
    person.waits(m.JobState, job, state="done")
    shutil.rmtree(backend.jobs / job)
    person.asks(m.Forget(job=job))
    person.waits(m.Removed, job)
    settled(person)
    person.asks(m.Forget(job=job))  # and once more, by whoever has it still in the list
    settled(person)
    assert not [message for message in person.heard if isinstance(message, m.Error)]

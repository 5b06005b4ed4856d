"""A thousand jobs, many of them failed with much to say: all are listed, to whoever says Hello, as often as it does."""

import shutil

import numpy as np
from serving import Person, Stranger, serving, until

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service.executors import Task
from backend.service.job_entry import LONGEST_DETAIL, MOST_CREDITS
from backend.service.jobs import Jobs
from backend.service.worker import run_task
from blender_addon.net.state import AddonState
from shared import messages as ours
from shared.codec import encode

COUNT, FAILED = 1000, 400
HELLO = ours.Hello(protocol=ours.PROTOCOL_VERSION, version="1")


def shelve(root):
    """The folders of as many jobs, as a server leaves them; their ids, the newest first."""
    jobs, spec = Jobs(root), make_job({"prompt": "a cup"})
    for job, changes in (("a" * 32, {"state": "done"}), ("b" * 32, {"state": "failed", "detail": "x" * 7900})):
        jobs.folder(job).begin(spec)
        jobs.add(job, spec).update(created=0.0, **changes)
    jobs["a" * 32].keep_thumbnail(np.full((192, 192, 3), 9, np.uint8))
    ids = [f"{number:032x}" for number in range(COUNT)]
    for number, job in enumerate(ids):
        shutil.copytree(root / (("b" if number < FAILED else "a") * 32), root / job)
        state = (root / job / "state.json").read_text().replace('"created":0.0', f'"created":{number}.0')
        (root / job / "state.json").write_text(state)
    for job in ("a" * 32, "b" * 32):
        shutil.rmtree(root / job)
    return ids[::-1]


def listed(heard):
    """The ids of the last whole list."""
    first = max(place for place, message in enumerate(heard) if isinstance(message, ours.Jobs) and message.page == 0)
    pages = [message for message in heard[first:] if isinstance(message, ours.Jobs)]
    assert [page.page for page in pages] == list(range(len(pages)))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    return [state.job for page in pages for state in page.jobs]


def test_a_thousand_jobs_are_listed_and_the_server_lives(tmp_path, context):
    ids = shelve(tmp_path)
    with serving(tmp_path) as backend:
        stranger = Stranger(backend.port, context)
        for _ in range(3):
            stranger.sends(HELLO)
            heard = []
            until(lambda heard=heard: heard.append(stranger.hears()) or getattr(heard[-1], "last", False))
            assert listed(heard) == ids
        last = heard[-1].jobs[-1]
        assert (last.detail, last.has_detail) == ("", True)
        stranger.sends(ours.FetchDetail(job=last.job))
        assert stranger.hears().text == "x" * 7900
        pages = [message for message in heard if isinstance(message, ours.Jobs)]
        without_pictures = sum(len(encode(page)[0]) for page in pages)
        assert without_pictures < 500 * COUNT  # bytes; with details 3.7 MB
        assert heard[-1].jobs[-1].thumbnail is None
        person = Person(backend)
        addon_state = AddonState()
        until(lambda: [addon_state.take_list(jobs) for jobs in received(person)] and len(addon_state.rows) == COUNT)
        assert list(addon_state.rows) == ids
        person.client.stop()


def received(person):
    person.listen()
    heard, person.heard = person.heard, []
    return [message for message in heard if message.__class__.__name__ == "Jobs"]


def test_a_jobs_state_always_fits_into_a_message(tmp_path):
    jobs, spec = Jobs(tmp_path), make_job({"prompt": "🍎" * 200})
    jobs.folder("a" * 32).begin(spec)
    entry = jobs.add("a" * 32, spec)
    entry.update(text="🍎" * 10**6, detail="🍎" * 10**6, credits=("🍎" * 10**4,) * 10**3, warnings=("🍎" * 10**5,) * 99)
    state = entry.state()
    encode(state)
    assert len(state.detail) == LONGEST_DETAIL
    assert state.credits[-1] == f"and {1000 - MOST_CREDITS} more, in the job's folder"


def test_a_very_long_error_is_cut(tmp_path):
    sent = []

    class Commands:
        def stopped(self, job):
            raise AssertionError("x" * 10**7)

    job = make_job({"prompt": "a cup", "recipe": {"steps": 2, "views": 1, "splats": {"initial_count": 100}}})
    JobFolder(tmp_path).begin(job)
    run_task(Task(job="a" * 32, folder=str(tmp_path), until=2), Commands(), sent.append)
    assert max(len(encode(message)[0]) for message in sent) < 50_000
    assert (sent[-1].state, "AssertionError" in sent[-1].text) == ("failed", True)

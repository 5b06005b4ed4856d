"""The far side of a cluster, without the cluster: a job in a process of its own, and the next process for it."""

from pathlib import Path

import msgspec

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service.executors import Ended, FromNode, Started, Task, Unfit
from backend.service.executors.remote_job import DIED, LOST, RemoteJob
from backend.service.jobs import Jobs
from backend.service.outcome import asked_to_stop, count_death, read_outcome
from backend.service.versions import code_version, prior_version
from shared.codec import decode, encode
from shared.messages import Progress, Warning
from tests.small import MESH

JOB, RUN = "a" * 32, "b" * 32
QUICK = {
    "steps": 3,
    "views": 1,
    "splats": {"initial_count": 100, "growth": "none"},
    "mesh": MESH,
    "checkpoint_every": 1,
}


def given(folder):
    """A job's folder and its task."""
    JobFolder(folder / JOB).begin(make_job({"prompt": "a cup", "recipe": QUICK}))
    task = Task(job=JOB, folder=str(folder / JOB), until=3, run=RUN)
    return msgspec.structs.replace(task, code=code_version(), prior=prior_version("embedded"))


def all_of(job):
    """The messages of a job on a node up to its end, as a gateway asks for them."""
    heard, life, seen = [], "", 0
    while not heard or not isinstance(heard[-1], Ended | Unfit):
        life, news = job.events(life, seen)
        seen = max([seen, *(number for number, _ in news)])
        heard += [decode(frames, FromNode) for _, frames in news]
    job.events(life, seen)
    return heard


def test_a_job_on_a_node_runs_is_found_again_and_stops_where_the_server_was_told_so(tmp_path):
    jobs = Jobs(tmp_path)
    task = given(tmp_path)
    entry = jobs.add(JOB, JobFolder(tmp_path / JOB).job())
    entry.update(state="running", run=RUN)
    first = all_of(RemoteJob(list(encode(task))))
    assert [type(message) for message in first if isinstance(message, Started | Ended)] == [Started, Ended]
    assert max(message.step for message in first if isinstance(message, Progress)) == 3
    assert read_outcome(task) is not None
    # Another process for the same run, as after a death: it tells how the run ended, and does nothing.
    (only,) = all_of(RemoteJob(list(encode(task))))
    assert only.state == "done"
    # A later run that was told to stop before its process died: the next process stops too.
    entry.update(run="c" * 32, stopping=True)
    again = msgspec.structs.replace(task, run="c" * 32, until=10_000)
    assert asked_to_stop(again)
    assert not asked_to_stop(task)
    count_death(again)
    heard = all_of(RemoteJob(list(encode(again))))
    assert heard[-1].state == "stopped"
    assert next(message.text for message in heard if isinstance(message, Warning)) == LOST
    assert Jobs(tmp_path, detached=True)[JOB].record.state == "running"
    assert Jobs(tmp_path)[JOB].record.state == "stopped"


def test_a_job_whose_process_dies_again_and_again_fails_with_a_sentence(tmp_path):
    task = given(tmp_path)
    for _ in range(3):
        count_death(task)
    assert [message.text for message in all_of(RemoteJob(list(encode(task))))] == [LOST, DIED]


def test_the_folder_of_the_jobs_may_be_elsewhere_on_a_node(tmp_path, monkeypatch):
    task = given(tmp_path)
    monkeypatch.setenv("SPLATSMITH_JOBS", str(tmp_path))
    job = RemoteJob(list(encode(msgspec.structs.replace(task, folder=f"/srv/jobs/{JOB}", until=1))))
    assert Path(job.task.folder) == tmp_path / JOB
    assert all_of(job)[-1].state == "done"


def test_what_a_node_cannot_read_or_write_is_a_sentence(tmp_path):
    task = given(tmp_path)
    (tmp_path / JOB / "job.json").write_text("{")
    (only,) = all_of(RemoteJob(list(encode(task))))
    assert only.state == "failed"
    assert "job.json" in only.text
    task = given(tmp_path)
    (tmp_path / JOB / "deaths.json").mkdir()
    (only,) = all_of(RemoteJob(list(encode(task))))
    assert only.state == "failed"
    assert "cannot be written or read" in only.text

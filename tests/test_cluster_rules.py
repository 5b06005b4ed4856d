"""What a cluster is asked for, what a node is, and what is kept of a job there: without Ray."""

import shutil

import msgspec
import pytest

from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.service import cluster_access, versions
from backend.service.cluster_access import ClusterAccessError, check_access
from backend.service.executors import Ended, Task, remote_job
from backend.service.executors.remote_job import unfit
from backend.service.outcome import count_death, read_outcome, write_outcome
from backend.service.versions import code_version, prior_version
from tests.small import MESH

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "x" * 32}
JOB, RUN = "a" * 32, "b" * 32
QUICK = {
    "steps": 3,
    "views": 1,
    "splats": {"initial_count": 100, "growth": "none"},
    "mesh": MESH,
    "checkpoint_every": 1,
}
DONE = Ended(job=JOB, state="done")


@pytest.fixture
def ray(monkeypatch):
    """As if it were installed."""
    monkeypatch.setattr(cluster_access, "find_spec", lambda _: True)


@pytest.mark.parametrize(
    ("address", "environment", "words"),
    [
        ("127.0.0.1:6379", {}, "set RAY_AUTH_MODE=token, here and on every node"),
        ("127.0.0.1:6379", {"RAY_AUTH_MODE": "disabled"}, "set RAY_AUTH_MODE=token"),
        ("127.0.0.1:6379", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere"}, "there is no token"),
        ("10.0.0.5:6379", TOKEN, "10.0.0.5:6379 is on another machine"),
        ("10.0.0.5:6379", TOKEN | {"RAY_USE_TLS": "0"}, "set RAY_USE_TLS=1"),
        ("head office", TOKEN, "is not the address of a head; write it like 10.0.0.5:6379."),
    ],
)
def test_a_cluster_that_anybody_could_use_is_refused(ray, address, environment, words):
    with pytest.raises(ClusterAccessError) as error:
        check_access(address, False, environment)
    assert words in str(error.value)
    assert str(error.value).startswith("cluster: ")


def test_a_guarded_cluster_is_taken(ray, tmp_path):
    assert str(check_access("127.0.0.1:6379", False, TOKEN)) == "127.0.0.1:6379"
    assert str(check_access("10.0.0.5:6379", True, TOKEN)) == "10.0.0.5:6379"
    assert str(check_access("10.0.0.5:6379", False, TOKEN | {"RAY_USE_TLS": "1"})) == "10.0.0.5:6379"
    (tmp_path / "token").write_text("x")
    by_file = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    assert check_access("127.0.0.1:6379", False, by_file).loopback


def test_where_ray_is_missing_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(cluster_access, "find_spec", lambda _: None)
    with pytest.raises(ClusterAccessError, match="pip install 'splatsmith\\[ray\\]'"):
        check_access("127.0.0.1:6379", False, TOKEN)


def test_the_version_of_the_code_is_that_of_its_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "BACKEND", tmp_path / "backend")
    found = []
    for files in ({"a.py": b"x\n"}, {"a.py": b"x\r\n"}, {"a.py": b"y\n"}, {"b.py": b"x\n"}):
        shutil.rmtree(tmp_path / "backend", ignore_errors=True)
        (tmp_path / "backend").mkdir()
        for name, content in files.items():
            (tmp_path / "backend" / name).write_bytes(content)
        code_version.cache_clear()
        found.append(code_version())
    code_version.cache_clear()
    assert found[0] == found[1]
    assert len(set(found)) == 3


def given(folder, **changes):
    """A job's folder and its task."""
    prior = changes.pop("prior", "embedded")
    JobFolder(folder / JOB).begin(make_job({"prompt": "a cup", "prior": prior, "recipe": QUICK}))
    here = {"code": code_version(), "prior": prior_version(prior)}
    return Task(**({"job": JOB, "folder": str(folder / JOB), "until": 3, "run": RUN} | here | changes))


def test_a_node_says_why_it_cannot_run_a_job(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_job, "SHARED_SECONDS", 0.0)
    task = given(tmp_path)
    assert unfit(task) == ""
    elsewhere = msgspec.structs.replace(task, folder=str(tmp_path / "not mounted" / JOB))
    assert "does not see" in unfit(elsewhere)
    assert "mount the folder of the jobs there" in unfit(elsewhere)
    assert unfit(msgspec.structs.replace(task, code="0.0.9-x")).endswith(
        "the server 0.0.9-x: install the same on both."
    )
    assert "another version of the prior embedded" in unfit(msgspec.structs.replace(task, prior="x"))
    model = tmp_path / "model"
    model.mkdir()
    (model / "model_index.json").write_text("{}")
    task = given(tmp_path, prior=str(model))
    assert unfit(task) == ""
    (model / "more").write_text("x")
    assert "another version of the prior" in unfit(task)
    shutil.rmtree(model)
    assert "does not have the prior" in unfit(task)


def test_an_outcome_is_that_of_its_run_and_of_the_one_writer(tmp_path):
    task = given(tmp_path)
    folder = JobFolder(tmp_path / JOB)
    folder.take()
    assert read_outcome(task) is None
    write_outcome(folder.fence, RUN, DONE)
    assert read_outcome(task).state == "done"
    assert read_outcome(msgspec.structs.replace(task, run="c" * 32)) is None
    JobFolder(tmp_path / JOB).take()  # another process takes over
    write_outcome(folder.fence, RUN, Ended(job=JOB, state="failed", text="late"))
    assert read_outcome(task).state == "done"


def test_deaths_count_while_the_job_gets_no_further(tmp_path):
    task = given(tmp_path)
    assert [count_death(task) for _ in range(3)] == [None, 1, 2]
    (tmp_path / JOB / "checkpoint.safetensors").write_bytes(b"x")
    assert [count_death(task) for _ in range(2)] == [0, 1]
    assert count_death(msgspec.structs.replace(task, run="c" * 32)) is None

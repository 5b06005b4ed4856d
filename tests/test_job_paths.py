"""Paths in job files: a job's folder may be moved, with what it names or alone, or be seen at another mount point."""

import json
import shutil

import pytest
import trimesh

from backend.cli.main import main
from backend.job.job import make_job, read_job
from backend.run.folder import JobFolder
from backend.run.session import Session
from tests.small import MESH

QUICK = {"steps": 2, "views": 1, "splats": {"initial_count": 100, "growth": "none"}, "mesh": MESH}


@pytest.fixture
def share(tmp_path):
    """A shared folder with a mesh, and a job whose run has begun."""
    share = tmp_path / "mnt" / "farm"
    (share / "meshes").mkdir(parents=True)
    trimesh.creation.box((0.8, 0.6, 1.0)).export(share / "meshes" / "cube.ply")
    fields = {"prompt": "a red box", "init_mesh": str(share / "meshes" / "cube.ply"), "recipe": QUICK}
    Session.begin(make_job(fields), JobFolder(share / "jobs" / "one"))
    return share


def test_a_job_at_another_mount_point_finds_its_mesh(share, tmp_path):
    assert json.loads((share / "jobs/one/job.json").read_text())["init_mesh"] == "../../meshes/cube.ply"
    elsewhere = tmp_path / "Volumes" / "farm"
    elsewhere.parent.mkdir()
    share.rename(elsewhere)
    job = JobFolder(elsewhere / "jobs" / "one").job()
    assert job.init_mesh == str(elsewhere / "meshes" / "cube.ply")
    Session(job, JobFolder(elsewhere / "jobs" / "one"))  # loads it


def test_a_job_that_is_moved_alone_finds_what_stayed_behind(share, tmp_path):
    (share / "jobs" / "one").rename(tmp_path / "one")
    assert JobFolder(tmp_path / "one").job().init_mesh == str(share / "meshes" / "cube.ply")


@pytest.mark.parametrize("name", ["prior", "start_prior", "init_mesh", "start_from", "loras"])
def test_every_path_in_a_job_file_is_seen_from_its_folder(tmp_path, monkeypatch, name):
    (tmp_path / "models" / "thing").mkdir(parents=True)
    (tmp_path / "jobs").mkdir()
    written = [{"file": "../models/thing"}] if name == "loras" else "../models/thing"
    (tmp_path / "jobs" / "mine.json").write_text(json.dumps({"prompt": "a cup", name: written}))
    found = read_job(tmp_path / "jobs" / "mine.json")[name]
    path = str(tmp_path / "models" / "thing")
    assert found == ([{"file": path}] if name == "loras" else path)
    monkeypatch.chdir(tmp_path)  # as read by a name that is relative itself
    assert read_job((tmp_path / "jobs" / "mine.json").relative_to(tmp_path))[name] == found


def test_names_of_models_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    folder = JobFolder(tmp_path / "out")
    folder.begin(make_job({"prompt": "a cup", "prior": "some/model", "start": "draft"}))
    written = json.loads((folder / "job.json").read_text())
    assert (written["prior"], written["start_prior"]) == ("some/model", "embedded")
    assert (folder.job().prior, folder.job().start_prior) == ("some/model", "embedded")


def test_a_job_from_another_runs_from_any_folder(tmp_path, monkeypatch):
    """A kit and a job to start from that were named from the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(json.dumps({"prompt": "a red apple", "recipe": QUICK}))
    assert main(["generate", "--job", "small.json", "--out", "first"]) == 0
    command = ["generate", "--job", "small.json", "--start-from", "first", "--out", "second"]
    assert main(command) == 0
    assert json.loads((tmp_path / "second" / "job.json").read_text())["start_from"] == "../first"
    (tmp_path / "share").mkdir()
    for name in ("first", "second"):
        shutil.move(tmp_path / name, tmp_path / "share" / name)
    monkeypatch.chdir("/")
    again = ["generate", "--job", str(tmp_path / "share/second/job.json"), "--out", str(tmp_path / "third")]
    assert main(again) == 0
    files = [tmp_path / name / "splats.ply" for name in ("share/second", "third")]
    assert files[0].read_bytes() == files[1].read_bytes()

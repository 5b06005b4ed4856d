"""A job whose prior is on the hub and not here: how the real programs tell and stop the download."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from backend.job.job import make_job
from backend.priors.base import PriorError
from backend.run import large_prior
from blender_addon.shared import messages as m
from tests.models.conftest import MODEL
from tests.server.serving import Person, serving
from tests.small import MESH

ROOT = Path(__file__).parents[2]
SMALL = {"stages": [{"side": 32}], "splats": {"initial_count": 64, "growth": "none"}, "mesh": MESH}


def test_a_job_of_the_server(environment, loopback, tmp_path):
    loopback.pause = 0.05
    with serving(tmp_path / "jobs", **environment) as backend:
        person = Person(backend)
        job = person.generates(1, prior=MODEL, recipe=SMALL)
        assert f"{MODEL} is downloaded first: 0.6 MB, once." in person.waits(m.Warning, job).text
        assert person.waits(m.Progress, job, step=0).seconds_left > 0
        person.asks(m.Cancel(job=job))
        person.waits(m.JobState, job, state="stopped")
        held = sum(file.stat().st_size for file in (tmp_path / "hf").rglob("*") if file.is_file())
        loopback.pause = 0
        person.asks(m.Continue(job=job, steps=1))
        assert person.waits(m.JobState, job, state="done").has_splats
        assert held > 0
        assert [name for name in loopback.asked() if any(loopback.ranges(name))]
        failed = person.generates(1, prior="acme/tyni")
        assert 'prior "acme/tyni" is not on the hub' in person.waits(m.JobState, failed, state="failed").text
        person.client.stop()


def test_generate_is_stopped_while_it_downloads(environment, loopback, tmp_path):
    loopback.pause = 0.05
    command = ["generate", "--prompt", "a chair", "--prior", MODEL, "--out", str(tmp_path / "out")]
    options = {"env": environment, "cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    # Where the tests themselves run in the background, Ctrl-C would be ignored in their children too.
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen([sys.executable, "-m", "backend", *command], **options) as process:
        while loopback.sent < 20_000:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped."
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_fit_the_card_is_not_downloaded(hub, monkeypatch):
    card = SimpleNamespace(name="RTX 4060", total_memory=8 * 2**30)
    monkeypatch.setattr(large_prior, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    job = make_job({"prompt": "a chair", "prior": "stabilityai/stable-diffusion-xl-base-1.0"})
    with pytest.raises(PriorError, match=r"needs 10\.0 GiB of the graphics card, which has 8\.0 GiB: take a smaller"):
        next(iter(large_prior.fetch_prior(job)))
    assert hub.log == []

"""A worker beside a graphics card that torch cannot use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_cards import answering, needs_scripts, on_path

ROOT = Path(__file__).parents[2]


@needs_scripts
@pytest.mark.skipif(torch.cuda.is_available(), reason="torch uses the card of this machine")
def test_its_log_says_so_once(tmp_path, monkeypatch):
    on_path(tmp_path, monkeypatch, answering("0, NVIDIA GeForce RTX 4090, 24564, 580.95.05, 8.9"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    worker = subprocess.Popen(
        [sys.executable, "-m", "backend.service.worker"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert worker.stdout.read(1)  # it is ready
    _, log = worker.communicate(timeout=120)  # the end of its input ends it
    assert log.decode().count("The graphics card NVIDIA GeForce RTX 4090 is not used: ") == 1

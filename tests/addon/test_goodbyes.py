"""The add-on and the backend leave in the middle of a large message, in a process of its own: libzmq would abort it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("goodbyes.py")


@pytest.mark.parametrize("sender", ["add-on", "backend"])
def test_250_simultaneous_goodbyes(sender):
    command = [sys.executable, str(PROGRAM), sender, "250"]
    run = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.split()[-1:], run.stderr) == (0, ["250"], "")

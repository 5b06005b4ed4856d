"""A cluster of Ray on two nodes, under attack: see `ray_farm`."""

import importlib.util
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from ray_farm import inside, unshared

MOMENTS, JOBS = 1, 4  # `python tests/server/ray_farm.py 10` takes ten of each kind, and eight jobs


def why_not():
    """Why it cannot be tried here, or ""."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed (the extra `ray`)"
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "there is no unshare, or no ip, for a network of its own"
    tried = subprocess.run([*unshared(), "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "a network of its own is not allowed here"


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can")
def test_jobs_end_with_the_same_bytes_whatever_is_killed():
    folder = tempfile.mkdtemp(prefix="farm-")  # Ray's sockets want a short path
    process = inside(Path(folder), MOMENTS, random.randrange(10**6), JOBS)
    try:
        said, _ = process.communicate(timeout=1800)
        print(said)
        assert process.returncode == 0, said
        assert "the same bytes as undisturbed" in said
    finally:
        process.kill()  # and with it all that is inside
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)

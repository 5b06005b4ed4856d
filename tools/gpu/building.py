"""gsplat's own kernels, compiled while the first stages run: the third renderer, where there is a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

EXTENSIONS = "extensions"  # below the scratch folder
# The stages that measure keep some processors.
JOBS = max(1, (os.cpu_count() or 1) * 5 // 8)
BUILD = "from gsplat.cuda._backend import _C; assert _C is not None; print('built')"


def with_extensions(environment: dict[str, str], scratch: Path) -> dict[str, str]:
    """The variables with which gsplat finds what is built here."""
    return {**environment, "TORCH_EXTENSIONS_DIR": str(scratch / EXTENSIONS)}


def start_building(root: Path, environment: dict[str, str], scratch: Path, out: Path) -> subprocess.Popen[bytes] | None:
    """Start the compilation, whose log goes to `out`; None where there is no compiler.

    Its outcome is the file `gsplat-built` or `gsplat-failed` in the scratch folder.
    """
    if shutil.which("nvcc") is None and not Path("/usr/local/cuda/bin/nvcc").exists():
        return None
    program = f"""
import subprocess, sys
code = subprocess.call(["nice", "-n", "15", sys.executable, "-c", {BUILD!r}])
open({str(scratch)!r} + ("/gsplat-failed" if code else "/gsplat-built"), "w").close()
"""
    with (out / "gsplat_build.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=root,
            env={**with_extensions(environment, scratch), "MAX_JOBS": str(JOBS), "VERBOSE": "1"},
            start_new_session=True,
        )

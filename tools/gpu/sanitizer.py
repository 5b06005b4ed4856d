"""NVIDIA's checkers over our kernels: reads and writes out of bounds, and races in the memory that a block shares."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.gpu.pack import ROOT
from tools.gpu.part import Part

PLACES = ("/usr/local/cuda/bin/compute-sanitizer", "/usr/local/cuda/compute-sanitizer/compute-sanitizer")
TOOLS = ("memcheck", "racecheck")
# A few pictures with gradients, of sizes that are no multiples of a tile, and with splats larger than the picture.
PROGRAM = """
import render_scenes
from backend.studies.bench.renderer import renderers
from tools.gpu.kernels import drawn
card = renderers()[1]
scenes = render_scenes.edge_cases()
for name in ("plain", "huge", "opaque", "one"):
    drawn(card, scenes[name], render_scenes.view(2, 37, 21), render_mode="RGB+D")
print("drawn")
"""
TAIL = 3000


def measure(part: Part) -> None:
    """One checker after the other, as long as there is time."""
    program = shutil.which("compute-sanitizer") or next((place for place in PLACES if Path(place).exists()), None)
    if part.small or program is None:
        part.headline("no card" if part.small else "compute-sanitizer is not here")
        return
    for tool in TOOLS:
        with part.attempt(tool):
            command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", PROGRAM]
            answer = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=max(part.left - 3, 1), check=False
            )
            said = answer.stdout + answer.stderr
            part.put(**{tool: {"code": answer.returncode, "said": said[-TAIL:]}})
            last = next((line for line in reversed(said.splitlines()) if "SUMMARY" in line), "no summary")
            part.headline(f"{tool}: exit code {answer.returncode}, {last.strip('= ')}")
            if answer.returncode == 9:
                part.failed(tool, RuntimeError(said[:1500]))
            elif "drawn" not in said:
                part.failed(tool, RuntimeError(f"it did not run: {said[-600:]}"))

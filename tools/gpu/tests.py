"""The tests that are marked `gpu`, and those of the kernels that run everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tools.gpu.pack import ROOT
from tools.gpu.part import Part

KERNEL_TESTS = "tests/render/test_card_kernels.py"
LONGEST = 1500  # characters of a failure
TAIL = 2500


def measure(part: Part) -> None:
    """Marked tests first."""
    marked = sorted({str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_*.py") if _is_marked(file)})
    part.put(files=marked)
    _run(part, "marked", ["-m", "gpu", *(marked[-1:] if part.small else marked)])
    _run(part, "kernels", [KERNEL_TESTS, *(["-k", "tiles"] if part.small else [])])


def _is_marked(file: Path) -> bool:
    text = file.read_text(encoding="utf-8")
    return "mark.gpu" in text and "on_gpu" not in file.name


def _run(part: Part, name: str, arguments: list[str]) -> None:
    report = part.scratch / f"{name}.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", f"--junit-xml={report}", *arguments]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            outcome = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
            kind = "passed" if outcome is None else "skipped" if outcome.tag == "skipped" else "failed"
            counts[kind] += 1
            if kind == "failed" and outcome is not None:
                text = f"{outcome.get('message', '')}\n{outcome.text or ''}"
                part.row("failures", test=f"{case.get('classname')}::{case.get('name')}", text=text[-LONGEST:])
    part.put(**{name: counts, f"{name}_said": (answer.stdout + answer.stderr)[-TAIL:]})
    part.headline(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    if counts["failed"] or not report.exists() or answer.returncode not in (0, 5):
        failed = [row["test"] for row in part.found.get("failures", [])]
        part.failed(f"{name} tests", AssertionError(f"exit code {answer.returncode}: {failed}"))

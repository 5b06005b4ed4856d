"""One command that says, on a machine with a graphics card, all that only a card can prove.

    python3 tools/on_gpu.py --pack          here: the packages that such a machine lacks, into work/gpu-wheels
    python3 tools/on_gpu.py --seconds 540   there: everything, into one JSON file ($OUT/on_gpu.json or work/on_gpu.json)
    python3 tools/on_gpu.py --cpu           here: every stage as far as it goes without a card

Each stage is a process with a time limit of its own; what it finds is in the file at once, so that nothing is lost
when it raises, hangs or is killed, or when this program is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # this file's folder has modules of common names

from tools.gpu.building import start_building  # noqa: E402
from tools.gpu.pack import FOLDER, pack, unpack  # noqa: E402

# What only a card can prove comes first; seconds are the most that a stage may take.
STAGES = {
    "machine": 80.0,
    "kernels": 90.0,
    "memory": 130.0,
    "out_of_memory": 110.0,
    "rules": 100.0,
    "served": 80.0,
    "tests": 90.0,
    "gsplat": 90.0,
    "bench": 70.0,
    "sanitizer": 80.0,
}
TOO_LITTLE = 5.0  # seconds, to start a stage
POLL = 0.3
SAID = 6000  # characters of a stage's output that are kept
TEST_FOLDERS = ("tests/priors", "tests/render", "tests/server")  # the stages use what the tests use


@dataclass
class Report:
    """The JSON file, which is written whole after every change."""

    file: Path
    content: dict[str, Any] = field(default_factory=dict)

    def stage(self, name: str, **values: Any) -> None:
        """Change what is known of a stage."""
        self.content.setdefault("stages", {}).setdefault(name, {}).update(values)
        self.write()

    def write(self) -> None:
        """Replace the file."""
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, self.file)


def main() -> int:
    """The exit code: 0 where every stage that ran has ended without an error."""
    args = _arguments()
    if args.pack:
        return pack(ROOT)
    end = time.monotonic() + args.seconds
    out = Path(args.out or os.environ.get("OUT") or ROOT / "work")
    out.mkdir(parents=True, exist_ok=True)
    report = Report(out / "on_gpu.json", {"command": sys.argv[1:], "began": time.strftime("%F %T"), "stages": {}})
    with _scratch() as scratch:
        site = scratch / "site"
        report.content["packages"] = unpack(ROOT / FOLDER, site)
        environment = _environment(site, scratch, args.cpu)
        builder = None if args.cpu or "gsplat" not in args.stages else start_building(ROOT, environment, scratch, out)
        report.content["gsplat is built meanwhile"] = builder is not None
        for stage in args.stages:
            limit = min(args.limit or STAGES.get(stage, 60.0), end - time.monotonic())
            if limit < TOO_LITTLE:
                report.stage(stage, status="not started: no time was left")
                continue
            _run(stage, limit, report, environment, scratch, args.cpu)
        if builder is not None:
            _kill(builder)
    report.content["seconds"] = round(args.seconds - (end - time.monotonic()), 1)
    report.write()
    print(summary(report.content), flush=True)
    return int(any(found["status"] != "ok" for found in report.content["stages"].values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pack", action="store_true", help="collect the packages, and no more")
    parser.add_argument("--seconds", type=float, default=540.0, help="for everything together")
    parser.add_argument("--limit", type=float, help="seconds for each stage, instead of its own")
    parser.add_argument("--stages", type=lambda text: text.split(","), default=list(STAGES), help=",".join(STAGES))
    parser.add_argument("--cpu", action="store_true", help="in small sizes and without a card")
    parser.add_argument("--out", help="the folder of the JSON file")
    args = parser.parse_args()
    unknown = [stage for stage in args.stages if stage not in STAGES and not Path(stage).is_file()]
    if unknown:
        parser.error(f"no such stage, nor a file with one: {', '.join(unknown)}")
    return args


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for models and packages, in memory where there is plenty."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.statvfs(shared).f_bavail * os.statvfs(shared).f_frsize > 24 * 2**30
    with tempfile.TemporaryDirectory(
        prefix="on-gpu-", dir=shared if roomy else None, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


def _environment(site: Path, scratch: Path, cpu: bool) -> dict[str, str]:
    """The variables of the stages: our packages first, nothing from outside, no extension of gsplat's found."""
    folders = [ROOT, *(ROOT / folder for folder in TEST_FOLDERS), site]
    more = {
        "PYTHONPATH": os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TORCH_EXTENSIONS_DIR": str(scratch / "no-extensions"),
    }
    if cpu:
        more["CUDA_VISIBLE_DEVICES"] = ""
    return {**os.environ, **more}


def _run(stage: str, limit: float, report: Report, environment: dict[str, str], scratch: Path, cpu: bool) -> None:
    """A stage from its start to its end, or to the end of its time."""
    name = Path(stage).stem
    part, log = scratch / f"{name}.json", scratch / f"{name}.log"
    command = [sys.executable, "-m", "tools.gpu.stage", stage, f"--part={part}", f"--seconds={limit}"]
    command += [f"--scratch={scratch}", *(["--small"] if cpu else [])]
    print(f"== {name}, at most {limit:.0f} s", flush=True)
    began = time.monotonic()
    report.stage(name, status="running", limit=round(limit, 1))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, start_new_session=True
        )
        late = _watch(process, began + limit, part, name, report)
    found = _found(part)
    status = _status(process.returncode, late, found)
    seconds = round(time.monotonic() - began, 1)
    said = log.read_text(errors="replace")
    report.stage(name, status=status, seconds=seconds, found=found, said=said[-SAID:])
    print(f"   {status} after {seconds:.0f} s", flush=True)


def _watch(process: subprocess.Popen[bytes], end: float, part: Path, name: str, report: Report) -> bool:
    """Wait, with every new finding copied into the report; whether the stage was killed as its time was over."""
    changed = 0
    while process.poll() is None:
        if part.exists() and (now := part.stat().st_mtime_ns) != changed:
            changed = now
            report.stage(name, found=_found(part))
        if time.monotonic() > end:
            _kill(process)
            return True
        time.sleep(POLL)
    _kill(process)  # what the stage has started may still be there
    return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _found(part: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(part.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _status(code: int, late: bool, found: dict[str, Any]) -> str:
    if late:
        return "killed: its time was over"
    if code < 0:
        return f"killed by signal {-code}"
    if code or found.get("errors"):
        return "failed"
    return "ok"


def summary(content: dict[str, Any]) -> str:
    """What a reader of the last lines needs: each stage's outcome, headlines and errors."""
    lines = [f"\n==== {content['seconds']:.0f} s"]
    lines += [f"packages: {name}: {told}" for name, told in content["packages"].items() if "here already" not in told]
    for name, stage in content["stages"].items():
        found = stage.get("found", {})
        lines.append(f"{name}: {stage['status']} ({stage.get('seconds', 0):.0f} s)")
        lines += [f"   {text}" for text in found.get("headlines", [])]
        lines += [f"   !! {error['at']}: {error['error'][:300]}" for error in found.get("errors", [])]
        if not found.get("complete") and stage.get("said"):
            lines += [f"   | {line}" for line in stage["said"].splitlines()[-8:]]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

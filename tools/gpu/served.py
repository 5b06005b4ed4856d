"""From a sentence to splats and a mesh, as an artist has it: by a real server, and by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import serving
from serving import Person

from blender_addon.shared import messages as m
from tools.gpu.models import model_folder
from tools.gpu.pack import ROOT
from tools.gpu.part import Part

PROMPT = "a wooden chair"
FILES = ("splats.ply", "mesh.glb", "turntable.png", "turntable.webp", "metrics.json")
ON_CPU_NEEDS = 40.0  # seconds
ENDS = ("done", "failed", "stopped")


def measure(part: Part) -> None:
    """The server first, as it shows more."""
    with part.attempt("server"):
        _server(part)
    if part.small:
        return
    with part.attempt("command line"):
        _generate(part, "cuda")
    if part.left > ON_CPU_NEEDS:
        with part.attempt("command line on the CPU"):
            _generate(part, "cpu")


def _generate(part: Part, device: str) -> None:
    out = part.scratch / f"chair-{device}"
    command = [sys.executable, "-m", "backend", "generate", f"--prompt={PROMPT}", "--quality=draft"]
    command += [f"--out={out}", f"--device={device}"]
    began = time.perf_counter()
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    there = {name: (out / name).stat().st_size for name in FILES if (out / name).exists()}
    part.row("generate", device=device, seconds=seconds, files=there, code=answer.returncode)
    part.headline(f"generate on {device}: {seconds:.1f} s, {len(there)} of {len(FILES)} files")
    if answer.returncode or len(there) < len(FILES):
        said = (answer.stdout + answer.stderr)[-2000:]
        part.failed(f"generate on {device}", RuntimeError(f"exit code {answer.returncode}: {said}"))


def _server(part: Part) -> None:
    """A job on the embedded prior, memory given back, a job on a large model (a tiny one of that kind), and again."""
    serving.PATIENCE = max(5.0, part.left - 5)
    jobs = part.scratch / "jobs"
    began = time.perf_counter()
    with serving.serving(jobs) as backend:
        person = Person(backend)
        try:
            part.put(seconds_to_serve=time.perf_counter() - began)
            if not part.small:
                _job(part, person, jobs, "embedded", {"quality": "draft"}, {})
                _free(part, person)
            model = str(model_folder("sd-512", part.scratch / "tiny", True))
            splats = {"initial_count": 500, "growth": "none"}
            small = {"steps": 5, "views": 2, "stages": [{"side": 32}], "splats": splats}
            _job(part, person, jobs, "tiny Stable Diffusion", {"prior": model}, small)
            _free(part, person)
        finally:
            person.client.stop()


def _job(part: Part, person: Any, jobs: Path, name: str, fields: dict[str, Any], recipe: dict[str, Any]) -> None:
    """Ask for it and wait: seconds to the first splats, to the last step, to the mesh."""
    job = str(m.new_job_id())  # type: ignore[no-untyped-call]
    person.client.send(m.Watch(jobs=(job,)))
    began = time.perf_counter()
    person.asks(m.Generate(job=job, fields={"prompt": PROMPT, "recipe": recipe, **fields}, mesh=None))
    seconds = {}
    moments = {"first splats": ENDS, "last step": ("finishing", *ENDS), "everything": ENDS}
    for what, states in moments.items():
        ended = _reached(person, job, states, splats=what == "first splats")
        seconds[what] = time.perf_counter() - began
    told = [message.text for message in person.heard if isinstance(message, m.Warning | m.Error)]
    metrics = jobs / job / "metrics.json"
    part.row(
        "jobs",
        name=name,
        state=ended.state,
        text=getattr(ended, "text", ""),
        detail=getattr(ended, "detail", "")[-2000:],
        has_splats=ended.has_splats,
        has_mesh=ended.has_mesh,
        seconds=seconds,
        told=told,
        metrics=json.loads(metrics.read_text()) if metrics.exists() else None,
    )
    part.headline(f"server, {name}: {ended.state}, " + ", ".join(f"{k} {v:.1f} s" for k, v in seconds.items()))
    if ended.state != "done" or not ended.has_splats:
        part.failed(f"server, {name}", RuntimeError(f"{ended.state}: {getattr(ended, 'text', '')}"))


def _reached(person: Any, job: str, states: tuple[str, ...], splats: bool) -> Any:
    """The first message that says that the job is in one of these states, or with `splats` that has some."""

    def found() -> Any:
        person.listen()
        return next(
            (
                message
                for message in person.heard
                if (isinstance(message, m.JobState) and message.job == job and message.state in states)
                or (splats and isinstance(message, m.Splats) and message.job == job)
            ),
            None,
        )

    return serving.until(found)


def _free(part: Part, person: Any) -> None:
    """Ask for the card's memory, and what of it is used before and after by the driver's account, in MiB."""
    before = _used()
    person.asks(m.FreeMemory())
    time.sleep(2.0)
    person.listen()
    errors = [message.text for message in person.heard if isinstance(message, m.Error)]
    part.row("freed", used_before=before, used_after=_used(), errors=errors)
    if errors:
        part.failed("FreeMemory", RuntimeError(errors[0]))


def _used() -> int | None:
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    except (OSError, subprocess.CalledProcessError):
        return None

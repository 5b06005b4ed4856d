"""A job's folder: the truth about a run, on disk.

    job.json  events.jsonl  checkpoint.safetensors                      while it runs
    splats.ply  mesh.glb  turntable.png  turntable.webp  metrics.json   when it is done

Splats and mesh stand where the mesh stood that the run began with, in Blender's axes; a server's lie in the unit ball.
What there is of results is all of the same splats.  Files are replaced whole, so that a killed process or a full disk
leaves the last good ones.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.files import replacing
from backend.job.job import Job, JobError, make_job, read_job
from backend.run.events import Event, StepDone, Warning
from backend.scenes.ply import read_ply
from backend.scenes.splats import Splats
from shared.existing_files import rename_existing

MADE = ("mesh.glb", "turntable.png", "turntable.webp", "metrics.json")  # of the splats
JUDGED = ("evaluation.json", "evaluation.npz")  # by `evaluate`, of these results
FILES = ("job.json", "events.jsonl", "checkpoint.safetensors", "splats.ply", *MADE, *JUDGED)
SCENE = "scene.blend"  # in which somebody may have worked
SERVED = "state.json"  # a server's


class Placing(msgspec.Struct, frozen=True):
    """Of metrics.json: the matrix from the unit ball to where the result stands, and whether the files stand there."""

    to_scene: list[list[float]] = []
    placed: bool = False


class JobFolder:
    """One folder; nothing is written before `begin`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def refuse_if_used(self, overwrite: bool) -> None:
        """JobError where the folder already holds something and `overwrite` was not asked for."""
        if self.path.exists() and not self.path.is_dir():
            raise JobError(f"out: {self.path} is a file; name a folder.")
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            raise JobError(f"out: {self.path} is not empty; name another folder or add --overwrite.")

    @property
    def served(self) -> bool:
        """Whether the job is a server's, which sends results with the matrix that puts them in their place."""
        return (self / SERVED).exists()

    def begin(self, job: Job) -> list[str]:
        """Make the folder, take away the files of an earlier run, and write the job.

        What is kept of these under another name is told in sentences.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self / "job.json") as file:
            file.write_bytes(msgspec.json.format(msgspec.json.encode(job), indent=2) + b"\n")
        for name in set(FILES) - {"job.json"}:
            (self / name).unlink(missing_ok=True)
        return self._scene_aside()

    def outdate(self) -> list[str]:
        """Take away what was made of earlier splats.  What is kept under another name is told in sentences."""
        for name in (*MADE, *JUDGED):
            (self / name).unlink(missing_ok=True)
        return self._scene_aside()

    def _scene_aside(self) -> list[str]:
        kept = rename_existing(self / SCENE)
        return [f"{SCENE} is of the splats before these; it is kept as {kept.name}."] if kept else []

    def splats(self) -> Splats:
        """The finished splats in the unit ball, wherever those of splats.ply stand.

        Raises ExportError, OSError or a MsgspecError where a file cannot be read.
        """
        splats = read_ply(self / "splats.ply")
        file = self / "metrics.json"
        figures = msgspec.json.decode(file.read_bytes(), type=Placing) if file.exists() else Placing()
        return splats.placed(torch.linalg.inv(torch.tensor(figures.to_scene))) if figures.placed else splats

    def job(self) -> Job:
        """The job of a run that is to go on."""
        if not (self / "job.json").exists():
            raise JobError(f"continue: {self.path} holds no job.json, so there is no run to go on with.")
        return make_job(read_job(self / "job.json"))

    def log(self, event: Event) -> None:
        """One line of events.jsonl; pictures and splats are not logged."""
        if isinstance(event, StepDone | Warning):
            kind = "warning" if isinstance(event, Warning) else "progress"
            row = {"event": kind, "time": round(time.time(), 3), **asdict(event)}
            with (self / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def save(self, state: dict[str, Tensor]) -> None:
        """Write the checkpoint."""
        with replacing(self / "checkpoint.safetensors") as file:
            try:
                save_file({key: value.contiguous() for key, value in state.items()}, file)
            except SafetensorError as error:  # as which it tells of a full disk
                number = re.search(r"os error (\d+)", str(error))
                if number is None:
                    raise
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(self.path)) from error

    def load(self) -> dict[str, Tensor]:
        """Read the checkpoint; JobError where it is missing, damaged, or holds numbers that are none."""
        file = self / "checkpoint.safetensors"
        if not file.exists():
            raise JobError(f"continue: {file} does not exist; the run was stopped before its first checkpoint.")
        try:
            state = load_file(file)
        except (SafetensorError, OSError) as error:
            raise JobError(f"continue: {file} is damaged and cannot be read; start the run again.") from error
        for key, value in state.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise JobError(f"continue: {file} holds NaN or infinite numbers in {key}; start the run again.")
        return state

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json."""
        with replacing(self / "metrics.json") as file:
            file.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

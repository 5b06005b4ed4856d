"""A job's folder: everything that is known of a run, on disk.

    job.json  events.jsonl  checkpoint.safetensors  start.json          while it runs
    history.safetensors                                                 some earlier steps' splats, for `view`
    writer.json                                                         which process may write here, see `fence`
    splats.ply  mesh.glb  turntable.png  turntable.webp  metrics.json   when it is done
    refinement.safetensors  mesh_unrefined.glb                          where the mesh was refined, see `refine`
    diverged.json                                                       when it cannot go on
    particle-2, ...                                                     other particles, see `particle_folders`
    outcome.json                                                        when it has ended on a cluster

Splats and mesh are placed where the initial mesh was, in Blender's axes; those of a server's job are in the unit ball.
All result files in a folder belong to the same splats.  Files are replaced whole, so that a killed process or a full
disk leaves the last good ones.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.job.job import Job, JobError, make_job, read_job, read_object
from backend.job.paths import as_seen_from
from backend.run.events import DraftStep, Event, MeshStep, StepDone, Warning
from backend.run.fence import Fence
from backend.run.particle_folders import PARTICLE, Particle, other_particles, particle_in, particle_path
from backend.scenes.ply import read_ply
from backend.scenes.splats import Splats
from shared.existing_files import rename_existing

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.safetensors"
DERIVED = ("mesh.glb", "turntable.png", "turntable.webp", "metrics.json")  # from the splats
UNREFINED = "mesh_unrefined.glb"  # the mesh as it was before it was refined, where it was
REFINEMENT = "refinement.safetensors"  # how far that is; it says of which mesh, and stays when the others are removed
DIVERGED = "diverged.json"  # a sentence: why the run cannot go on
EVALUATION = ("evaluation.json", "evaluation.npz")  # written by `evaluate`
START = "start.json"  # what the run started from, where that was neither a grey ball nor a mesh
OUTCOME = "outcome.json"  # written by the service
FILES = (
    *("job.json", "events.jsonl", CHECKPOINT, HISTORY, REFINEMENT, START, DIVERGED, OUTCOME, PARTICLE),
    *("splats.ply", *DERIVED, UNREFINED, *EVALUATION),
)
SCENE = "scene.blend"  # the user may have edited it
SERVER_STATE = "state.json"  # only in the folders of a server's jobs
# Of the events that are logged.
KINDS: dict[type, str] = {StepDone: "progress", DraftStep: "draft", MeshStep: "mesh", Warning: "warning"}


class Placing(msgspec.Struct, frozen=True):
    """Part of metrics.json: the matrix from the unit ball to the result's place, and whether the files are in it."""

    to_scene: list[list[float]] = []
    placed: bool = False


class Finished(msgspec.Struct, frozen=True):
    """Part of metrics.json: after how many steps it was written, the mesh's faces, None where there is no mesh, and for
    how many steps that was refined."""

    steps: int
    faces: int | None = None
    refine_steps: int = 0


class JobFolder:
    """One folder; nothing is written before `begin`."""

    def __init__(self, path: Path, run: JobFolder | None = None) -> None:
        self.path = path
        self.fence: Fence = Fence(path, run.fence if run else None)

    def particle(self, number: int) -> JobFolder:
        """The folder of the results of this run's particle with that number, counted from 1."""
        return self if number == 1 else JobFolder(particle_path(self.path, number), self)

    def refuse_particle(self) -> None:
        """JobError where this is the folder of one particle's results, which no run can go on from."""
        if (known := particle_in(self.path)) is not None:
            run = self.path.absolute().parent
            raise JobError(
                f"continue: {self.path} is particle {known.particle} of the run in {run}: continue that one."
            )

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def refuse_if_used(self, overwrite: bool) -> None:
        """JobError where the folder already holds something and `overwrite` was not asked for."""
        if self.path.exists() and not self.path.is_dir():
            raise JobError(f"out: {self.path} is a file; name a folder.")
        if self.path.is_dir() and any(self.path.iterdir()) and not overwrite:
            raise JobError(f"out: {self.path} is not empty; name another folder or add --overwrite.")

    def refuse_results_without_job(self) -> None:
        """JobError where there are files of a run but no job.json; other files, such as a farm's log, do no harm."""
        if self.path.exists() and not self.path.is_dir():
            raise JobError(f"out: {self.path} is a file; name a folder.")
        if found := next((name for name in FILES if (self / name).exists()), None):
            raise JobError(f"out: {self.path} has {found} but no job.json; name another folder.")

    def has_all_results(self, steps: int, refine_steps: int = 0) -> bool:
        """Whether the results of a run of so many steps are all there, its mesh refined for so many."""
        try:
            known = msgspec.json.decode((self / "metrics.json").read_bytes(), type=Finished)
        except (OSError, msgspec.MsgspecError):
            return False
        made = [name for name in ("splats.ply", *DERIVED) if name != "mesh.glb" or known.faces is not None]
        others = [JobFolder(path) for path in other_particles(self.path).values()]
        here = known.steps >= steps and all((self / name).exists() for name in made)
        refined = known.faces is None or known.refine_steps == refine_steps
        return here and refined and all(other.has_all_results(steps, refine_steps) for other in others)

    @property
    def served(self) -> bool:
        """Whether this is a server's job: its results stay in the unit ball and are sent with their matrix."""
        return (self / SERVER_STATE).exists()

    def begin(self, job: Job) -> list[str]:
        """Make the folder, write the job and remove the files of an earlier run.

        Returns a sentence for the user where the Blender scene of that run was kept under another name.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.take()
        self.write_job(job)
        self.fence.remove(*(name for name in FILES if name != "job.json"))
        return [*self._scene_aside(), *self._begin_others(job)]

    def write_job(self, job: Job) -> None:
        """Write job.json."""
        with self.replacing("job.json") as file:
            fields = as_seen_from(self.path, msgspec.to_builtins(job))
            file.write_bytes(msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n")

    def _begin_others(self, job: Job) -> list[str]:
        """The folders of the particles after the first, without what an earlier run has left there."""
        notes = list[str]()
        for number in sorted({*other_particles(self.path), *range(2, job.particles + 1)}):
            other = self.particle(number)
            other.fence.remove(*FILES, SERVER_STATE)
            notes += other._scene_aside()
            if number <= job.particles:
                self.with_particle(number, job)
            elif not any(other.path.iterdir()):
                other.path.rmdir()
        return notes

    def with_particle(self, number: int, job: Job) -> JobFolder:
        """As `particle`, made again if somebody has removed it."""
        one = self.particle(number)
        if number > 1 and particle_in(one.path) is None:
            one.path.mkdir(exist_ok=True)
            one.write_job(job)
            with one.replacing(PARTICLE) as file:
                file.write_bytes(msgspec.json.encode(Particle(number, job.particles)) + b"\n")
        return one

    def take(self) -> None:
        """Be the one process that writes here; TakenOverError where another one has come since this object was made."""
        self.fence.take(set(FILES) - set(EVALUATION), "events.jsonl")

    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """As `backend.files.replacing`; TakenOverError where another process has taken over."""
        return self.fence.replacing(name)

    def remove_derived(self) -> list[str]:
        """Remove what was made from earlier splats; returns sentences as `begin` does."""
        self.fence.remove(*DERIVED, UNREFINED, *EVALUATION)
        return self._scene_aside()

    def _scene_aside(self) -> list[str]:
        kept = rename_existing(self / SCENE)
        return [f"{SCENE} belongs to earlier results; it was kept as {kept.name}."] if kept else []

    def splats(self) -> Splats:
        """The finished splats in the unit ball, wherever those of splats.ply are placed.

        Raises ExportError, OSError or a MsgspecError where a file cannot be read.
        """
        splats, placing = read_ply(self / "splats.ply"), self.placing()
        return splats.placed(torch.linalg.inv(torch.tensor(placing.to_scene))) if placing.placed else splats

    def placing(self) -> Placing:
        """Where the results stand: from metrics.json or, before there is one, from the checkpoint."""
        if (self / "metrics.json").exists():
            return msgspec.json.decode((self / "metrics.json").read_bytes(), type=Placing)
        if particle_in(self.path) is not None:
            return JobFolder(self.path.parent).placing()
        if not (self / CHECKPOINT).exists():
            return Placing()
        return Placing(to_scene=self.load()["to_scene"].tolist(), placed=not self.served)

    def job(self) -> Job:
        """The job of a run that is to be continued."""
        if not (self / "job.json").exists():
            raise JobError(f"continue: {self.path} has no job.json, so there is no run to continue.")
        return make_job(read_job(self / "job.json"))

    def log(self, event: Event) -> None:
        """One line of events.jsonl; pictures and splats are not logged."""
        if (kind := KINDS.get(type(event))) is not None:
            row = {"event": kind, "time": round(time.time(), 3), **asdict(event)}
            self.fence.append("events.jsonl", json.dumps(row))

    def refinement(self) -> dict[str, Tensor] | None:
        """How far the mesh is refined; None where that is not known, and it is begun again."""
        try:
            return load_file(self / REFINEMENT)
        except (SafetensorError, OSError):
            return None

    def save(self, state: dict[str, Tensor], name: str = CHECKPOINT) -> None:
        """Write the checkpoint, or another file of tensors."""
        with self.replacing(name) as file:
            try:
                save_file({key: value.contiguous() for key, value in state.items()}, file)
            except SafetensorError as error:  # safetensors reports a full disk as one of its own errors
                number = re.search(r"os error (\d+)", str(error))
                if number is None:
                    raise
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(self.path)) from error

    def load(self) -> dict[str, Tensor]:
        """Read the checkpoint; JobError where it is missing, damaged, or has NaN or infinite numbers."""
        file = self / CHECKPOINT
        if not file.exists():
            raise JobError(f"continue: {file} does not exist; the run was stopped before its first checkpoint.")
        try:
            state = load_file(file)
        except (SafetensorError, OSError) as error:
            raise JobError(f"continue: {file} is damaged and cannot be read; start the run again.") from error
        for key, value in state.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise JobError(f"continue: {file} has NaN or infinite numbers in {key}; start the run again.")
        return state

    def write_start(self, started_from: dict[str, Any]) -> None:
        """Write start.json."""
        with self.replacing(START) as file:
            file.write_text(json.dumps(started_from, indent=2) + "\n", encoding="utf-8")

    def started_from(self) -> dict[str, Any] | None:
        """What the run started from; None where that was a grey ball or a mesh."""
        file = self / START
        return read_object(file, "continue") if file.exists() else None

    def write_diverged(self, why: str) -> None:
        """Write diverged.json."""
        with self.replacing(DIVERGED) as file:
            file.write_text(json.dumps({"text": why}) + "\n", encoding="utf-8")

    def diverged(self) -> str:
        """Why the run cannot go on; "" where it can."""
        file = self / DIVERGED
        return str(read_object(file, "diverged").get("text", "")) if file.exists() else ""

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json."""
        with self.replacing("metrics.json") as file:
            file.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

"""Checks a client's request for a job and writes it into the job's folder; reads the results to be sent later."""

from __future__ import annotations

import shutil
from typing import Any

import msgspec
import numpy as np
import trimesh

from backend.errors import UserError
from backend.files import replacing
from backend.job.job import Job, JobError, make_job, read_object
from backend.job.layers import over
from backend.run.assemble import make_objective
from backend.run.folder import JobFolder
from backend.run.start import with_default_start
from backend.scenes.ply import read_ply
from backend.service.as_messages import splats_message
from backend.service.job_entry import Entry
from shared.messages import FromServer, Generate, Mesh, SceneMesh

MOST_FACES = 2_000_000
MESH, SOURCE = "init_mesh.ply", "start"  # in a job's folder: what it starts from


def accept(request: Generate, folder: JobFolder, like: Entry | None = None, source: Entry | None = None) -> Job:
    """Check a request and begin its folder; `like` is the job whose settings it takes, `source` whose splats.

    Raises UserError, before anything is written, where a field, the mesh or the splats cannot be used.
    """
    later = dict(request.fields)
    for name, instead in (("init_mesh", "send the mesh itself"), ("start_from", "name the job in the message")):
        if name in later:
            raise JobError(f"{name}: the server does not read files for clients; {instead}.")
    if request.mesh is not None:
        check_mesh(request.mesh)
        later["init_mesh"] = MESH
    if source is not None:
        if not (source.folder / "splats.ply").exists():
            raise UserError("The job to start from has no splats yet: wait for its first results.")
        later["start_from"] = SOURCE
    fields, _ = over(msgspec.to_builtins(like.job) if like else {}, later)
    for name, own in (("init_mesh", MESH), ("start_from", SOURCE)):
        if fields.get(name):
            fields[name] = str((folder / own).absolute())
    job = make_job(with_default_start(fields))
    make_objective(job.objective, job.recipe.options)
    folder.begin(job)
    if request.mesh is not None:
        _write(request.mesh, folder)
    elif source is not None:
        _copy_source(source, folder)
    elif like is not None:
        _copy_start(like, job, folder)
    return job


def _copy_start(like: Entry, job: Job, folder: JobFolder) -> None:
    """What a job starts from, for one like it."""
    if job.init_mesh:
        with replacing(folder / MESH) as file:
            shutil.copy(like.folder / MESH, file)
    if job.start_from:
        shutil.copytree(like.folder / SOURCE, folder / SOURCE)


def _copy_source(source: Entry, folder: JobFolder) -> None:
    """A job's splats, with its place and what is to be known of it, as they are now: it may go on, or be forgotten."""
    copied = JobFolder(folder / SOURCE)
    copied.path.mkdir()
    for name in ("splats.ply", "job.json", "start.json"):
        if (source.folder / name).exists():
            shutil.copy(source.folder / name, copied / name)
    known = read_object(source.folder / "metrics.json", "metrics") if (source.folder / "metrics.json").exists() else {}
    kept: dict[str, Any] = {name: known[name] for name in ("credits", "started_from") if name in known}
    copied.write_metrics(kept | {"to_scene": source.record.to_scene, "placed": False})


def check_mesh(mesh: SceneMesh) -> None:
    """UserError where splats cannot be placed on the mesh."""
    count = len(mesh.faces)
    if count == 0:
        raise UserError("The selected objects have no faces: select objects with a surface.")
    if count > MOST_FACES:
        raise UserError(
            f"The selected objects have {count:,} faces; the limit is {MOST_FACES:,}: decimate them or select fewer."
        )
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise UserError("The selected objects have faces with vertices that do not exist: try Mesh > Clean Up.")
    if not np.isfinite(mesh.vertices).all():
        raise UserError("The selected objects have NaN or infinite vertices: check their modifiers.")
    if not np.ptp(mesh.vertices, axis=0).any():
        raise UserError("The selected objects have no size: apply or reset their scale.")


def _write(mesh: SceneMesh, folder: JobFolder) -> None:
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colours, process=False)
    with replacing(folder / MESH) as file:
        whole.export(file)


def stored_results(entry: Entry) -> list[FromServer]:
    """The splats of a job, and its mesh if there is one, from the disk.  UserError where there are no splats."""
    folder, record = entry.folder, entry.record
    if not (folder / "splats.ply").exists():
        raise UserError("This job has no splats yet: wait for its first results.")
    splats = read_ply(folder / "splats.ply")
    found: list[FromServer] = [splats_message(splats, entry.id, record.step, record.to_scene, final=True)]
    if (folder / "mesh.glb").exists():
        glb = np.fromfile(folder / "mesh.glb", dtype=np.uint8)
        found.append(Mesh(job=entry.id, to_scene=record.to_scene, glb=glb))
    return found

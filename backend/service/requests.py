"""Checks a client's request for a job and writes it into the job's folder; reads the results to be sent later."""

from __future__ import annotations

import shutil

import msgspec
import numpy as np
import trimesh

from backend.errors import UserError
from backend.files import replacing
from backend.job.job import Job, JobError, make_job
from backend.job.layers import over
from backend.run.assemble import make_objective
from backend.run.folder import JobFolder
from backend.scenes.ply import read_ply
from backend.service.as_messages import splats_message
from backend.service.jobs import Entry
from shared.messages import FromServer, Generate, Mesh, SceneMesh

MOST_FACES = 2_000_000


def accept(request: Generate, folder: JobFolder, like: Entry | None = None) -> Job:
    """Check a request and begin its folder; `like` is the job whose settings it starts from.

    Raises UserError, before anything is written, where a field or the mesh cannot be used.
    """
    if "init_mesh" in request.fields:
        raise JobError("init_mesh: the server does not read files for clients; send the mesh itself.")
    fields, _ = over(msgspec.to_builtins(like.job) if like else {}, request.fields)
    if request.mesh is not None:
        check_mesh(request.mesh)
    if request.mesh is not None or fields.get("init_mesh"):
        fields["init_mesh"] = str((folder / "init_mesh.ply").absolute())
    job = make_job(fields)
    make_objective(job.objective, job.recipe.options)
    folder.begin(job)
    if request.mesh is not None:
        _write(request.mesh, folder)
    elif like is not None and job.init_mesh:
        with replacing(folder / "init_mesh.ply") as file:
            shutil.copy(like.folder / "init_mesh.ply", file)
    return job


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
    with replacing(folder / "init_mesh.ply") as file:
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

"""The folder of a job for the farm: its job.json, and the mesh that it starts from.  No bpy.

Everything in it that lies on the same file system is named relative to the folder, as each worker may see the share
under another path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..shared.messages import SceneMesh

JOB_FILE, MESH_FILE = "job.json", "selected.ply"
NAME_LENGTH = 40


class FarmFolderError(Exception):
    """A folder that cannot be used: one sentence that says what to do."""


def new_folder(parent: Path, prompt: str) -> Path:
    """A new, empty folder for one job, named after the prompt and the time.  FarmFolderError."""
    if not parent.is_dir():
        raise FarmFolderError(f"There is no folder {parent}: choose a Farm Folder on the storage that workers share.")
    slug = re.sub(r"[\W_]+", "-", prompt.casefold()).strip("-")[:NAME_LENGTH].strip("-") or "job"
    name = f"{slug}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(parent, error) from error
    raise FarmFolderError(f"{parent} has a thousand jobs of this second: wait a moment.")


def write_job(folder: Path, fields: dict[str, Any], mesh: SceneMesh | None) -> list[str]:
    """Write job.json, with the mesh beside it; a sentence on each path that not every worker may have.

    The folder is removed if that fails.  FarmFolderError.
    """
    notes: list[str] = []
    written = _with_paths(fields, folder, notes)
    try:
        if mesh is not None:
            write_mesh(folder / MESH_FILE, mesh)
            written["init_mesh"] = MESH_FILE
        (folder / JOB_FILE).write_text(json.dumps(written, indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        remove(folder)
        raise _unwritable(folder.parent, error) from error
    return notes


def remove(folder: Path) -> None:
    """Remove a job's folder again, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def write_mesh(file: Path, mesh: SceneMesh) -> None:
    """Write a triangle mesh, Z up, as binary PLY, with the colours of its vertices (sRGB) if it has any."""
    columns: list[tuple[str, str]] = [(axis, "<f4") for axis in "xyz"]
    if mesh.colours is not None:
        columns += [(channel, "u1") for channel in ("red", "green", "blue", "alpha")]
    vertices = np.empty(len(mesh.vertices), columns)
    for index, axis in enumerate("xyz"):
        vertices[axis] = mesh.vertices[:, index]
    if mesh.colours is not None:
        for index, (channel, _) in enumerate(columns[3:]):
            vertices[channel] = mesh.colours[:, index]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {'float' if kind == '<f4' else 'uchar'} {name}" for name, kind in columns),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    file.write_bytes("\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes())


def _with_paths(fields: dict[str, Any], folder: Path, notes: list[str]) -> dict[str, Any]:
    """The fields with their paths as seen from the folder: the prior, and LoRA files."""
    changed = dict(fields)
    if "prior" in fields:
        changed["prior"] = _seen_from(fields["prior"], folder, notes)
    if "loras" in fields:
        changed["loras"] = [{**lora, "file": _seen_from(lora["file"], folder, notes)} for lora in fields["loras"]]
    return changed


def _seen_from(text: str, folder: Path, notes: list[str]) -> str:
    """A path relative to the folder if it lies on the same file system; other names, as those of a hub, as they are."""
    path = Path(text).expanduser()
    if not path.is_absolute():
        return text
    if path.exists() and path.stat().st_dev == folder.stat().st_dev:
        return Path(os.path.relpath(path, folder)).as_posix()
    notes.append(f"{path} is not on the farm's storage: every worker must have it at this path.")
    return text


def _unwritable(folder: Path, error: OSError) -> FarmFolderError:
    return FarmFolderError(f"Nothing can be written into {folder} ({error.strerror}): choose another Farm Folder.")

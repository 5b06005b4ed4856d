"""Reads a mesh file as a trimesh scene, with every colour that can be read and a note for each that cannot."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from backend.scenes.mesh_colours import COLOUR, picture_of
from backend.scenes.mesh_pictures import open_picture


def read_scene(path: Path, split: dict[str, bool]) -> tuple[Any, list[str]]:
    """The scene of a file, and notes on colours that could not be read.  Raises what the parsers raise."""
    import trimesh

    from backend.scenes.file_resolver import FileResolver
    from backend.scenes.gltf_looks import NOTE, prepared
    from backend.scenes.ply_mesh import load_ply

    notes: list[str] = []
    resolver, suffix = FileResolver(path), path.suffix.lower()
    match suffix:
        case ".ply":
            scene = trimesh.Scene(load_ply(path, resolver, notes))
        case ".obj":
            scene = _obj(path, resolver, split, notes)
        case ".glb" | ".gltf":
            content = io.BytesIO(prepared(path.read_bytes(), suffix == ".glb"))
            scene = trimesh.load_scene(content, file_type=suffix[1:], resolver=resolver, process=False)
        case _:
            scene = trimesh.load_scene(path, process=False)
    more = [part.metadata[NOTE] for part in scene.geometry.values() if NOTE in part.metadata]
    return scene, list(dict.fromkeys(notes + more))


def _obj(path: Path, resolver: Any, split: dict[str, bool], notes: list[str]) -> Any:
    """An OBJ file, with the colours of its vertices and with UVs as the MTL file transforms them."""
    import trimesh
    from trimesh.exchange.obj import load_obj

    text = path.read_text(encoding="utf-8", errors="replace")
    libraries = re.findall(r"^mtllib[ \t]+(\S.*?)[ \t]*$", text, re.MULTILINE)
    if len(libraries) > 1:  # trimesh reads only the first
        text = f"mtllib {' '.join(libraries)}\n" + re.sub(r"^mtllib.*$", "", text, flags=re.MULTILINE)
    given = load_obj(io.StringIO(text), resolver=resolver, process=False, **split)
    for part in given.get("geometry", {}).values():
        colours = part.pop("vertex_colors", None)
        if colours is not None:
            part["vertex_attributes"] = {COLOUR: _normalised(np.asarray(colours, np.float64))}
        visual = part.get("visual")
        if visual is not None:
            _apply_map(visual, resolver, path, notes)
    wanted = {" ".join(name.split()) for name in re.findall(r"^usemtl[ \t]+(\S.*?)[ \t]*$", text, re.MULTILINE)}
    missing = sorted(wanted - resolver.materials - {"None", "(null)"})
    if missing:
        where = f"in {', '.join(libraries)}" if libraries else "as there is no mtllib line"
        notes.append(f"{_some(missing)} cannot be found {where}")
    return trimesh.load_scene(given)


def _normalised(colours: Any) -> Any:
    """Colours (V,3) in [0,1]; some exporters write up to 255."""
    return np.clip(colours[:, :3] / (255 if colours.max(initial=0) > 1 else 1), 0, 1)


def _apply_map(visual: Any, resolver: Any, path: Path, notes: list[str]) -> None:
    """Load the picture and transform the UVs as the MTL file says; note what is missing."""
    from backend.scenes.file_resolver import UV

    name = resolver.pictures.get(getattr(visual.material, "name", None))
    if name is None:
        return
    if picture_of(visual.material) is None:
        visual.material.image = open_picture(name, path, resolver, notes)
    elif visual.uv is None or not len(visual.uv):
        notes.append(f"{visual.material.name} has a picture, but the mesh has no UVs for it")
        return
    su, sv, ou, ov = map(float, visual.material.kwargs.get(UV, (1, 1, 0, 0)))
    if visual.uv is not None and (su, sv, ou, ov) != (1, 1, 0, 0):
        visual.uv = visual.uv * (su, sv) + (ou, ov)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""Files of meshes, points or splats as surfaces that can be sampled.

Colours are visible ones (sRGB, [0,1]), see `mesh_colours`.  glTF's factors and vertex colours are linear and are
converted; other formats' are used as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import UserError
from backend.files import ExportError
from backend.scenes.mesh_colours import point_colours, surface_colours
from backend.scenes.mesh_files import read_scene
from backend.scenes.mesh_nodes import owners, split_of
from backend.scenes.ply import is_splats, read_ply
from backend.scenes.splats import Splats

Array = NDArray[np.float64]

SUFFIXES = (".glb", ".gltf", ".obj", ".off", ".ply", ".stl")
Y_UP = (".glb", ".gltf", ".obj")  # as Blender's importers have it; ply, stl and off are taken as Z-up
LINEAR = (".glb", ".gltf")
MOST_BYTES = 2**30
MOST_FACES = 5_000_000
FAINT = 0.1  # opacity below which a splat does not count for the object's size
TO_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])

# What trimesh's parsers raise on damaged files.
UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, OSError, RuntimeError,
    TypeError, ValueError, struct.error,
)  # fmt: skip


class InitialError(UserError):
    """An initial mesh that cannot be used: one sentence that says what to do."""


@dataclass(frozen=True)
class Surface:
    """The parts of a file in world coordinates: meshes, or bare points where there is no mesh, or splats; Z is up.

    `linear`: whether factors are linear colours; `notes`: at most one sentence, on colours that could not be read.
    """

    meshes: list[Any]
    clouds: list[Any]
    linear: bool
    notes: tuple[str, ...] = ()
    splats: Splats | None = None

    def bounding_sphere(self) -> tuple[Array, float]:
        """Centre (3,) of the bounding box, and the radius of the sphere around it that contains every vertex."""
        if self.splats is not None:
            solid = self.splats.opacity_logits.sigmoid() >= FAINT
            used = [(self.splats.means[solid] if solid.any() else self.splats.means).double().numpy()]
        else:
            used = self._vertices()
        vertices = np.concatenate(used)
        centre = (vertices.min(0) + vertices.max(0)) / 2
        return centre, float(np.linalg.norm(vertices - centre, axis=1).max())

    def _vertices(self) -> list[Array]:
        return [m.vertices[m.referenced_vertices] for m in self.meshes] or [c.vertices for c in self.clouds]

    def sample(self, count: int, rng: np.random.Generator, even: bool = True) -> tuple[Array, Array | None, Array]:
        """Points (N,3), normals (N,3) or None for a cloud, colours (N,3): at most `count`.

        They are spread over the area: if `even`, with none close together, else at random.
        """
        if self.meshes:
            return self._sample_meshes(count, rng, even)
        points = np.concatenate([c.vertices for c in self.clouds])
        colours = np.concatenate([point_colours(c, self.linear) for c in self.clouds])
        rows = rng.permutation(len(points))[:count]
        return points[rows], None, colours[rows]

    def _sample_meshes(self, count: int, rng: np.random.Generator, even: bool) -> tuple[Array, Array, Array]:
        from trimesh.sample import sample_surface, sample_surface_even
        from trimesh.triangles import points_to_barycentric

        whole = _joined(self.meshes)
        # Evenly: with random points, discs would have to be half as wide again to cover the surface.
        points, faces = (sample_surface_even if even else sample_surface)(whole, count, seed=rng)
        normals = whole.face_normals[faces]
        barycentric = points_to_barycentric(whole.vertices[whole.faces[faces]], points)
        colours = np.empty((len(points), 3))
        first = 0
        for mesh in self.meshes:
            rows = (faces >= first) & (faces < first + len(mesh.faces))
            colours[rows] = surface_colours(mesh, faces[rows] - first, barycentric[rows], self.linear)
            first += len(mesh.faces)
        return points, normals, colours


def load_surface(path: Path) -> Surface:
    """Read a mesh or point file, its scene graph flattened, Z up.  Raises InitialError in one sentence."""
    surface = _load(path, lambda scene: dict.fromkeys(scene.graph.nodes_geometry, ""))[""]
    check_surface(path, surface)
    return surface


def load_surfaces(path: Path) -> dict[str, Surface]:
    """Each object of a file by its name: a top node of the scene, or an `o` or `g` of an OBJ file.

    InitialError where the file cannot be read; use `check_surface` for each of the objects.
    """
    return _load(path, lambda scene: owners(scene, path), split_of(path))


def _load(
    path: Path, owner: Callable[[Any], dict[str, str]], split: dict[str, bool] | None = None
) -> dict[str, Surface]:
    """Surfaces by the names that `owner` gives to a scene's nodes."""
    suffix = path.suffix.lower()
    _check_file(path, suffix)
    if suffix == ".ply" and is_splats(path):
        return {"": _splats(path)}
    turn = TO_Z_UP if suffix in Y_UP else np.eye(4)
    try:
        scene, notes = _scene(path, split or {})
        parts = _parts(scene, owner(scene), turn)
    except UNREADABLE as error:
        if isinstance(error, InitialError):
            raise
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise InitialError(f"init_mesh: {path} cannot be read as {suffix[1:]} ({reason}): export it again.") from error
    note = (f"Some colours of {path.name} could not be read: {'; '.join(notes)}.",) if notes else ()
    linear = suffix in LINEAR
    return {name: Surface(meshes, [] if meshes else clouds, linear, note) for name, (meshes, clouds) in parts}


def _splats(path: Path) -> Surface:
    try:
        splats = read_ply(path, foreign=True)
    except ExportError as error:
        raise InitialError(f"init_mesh: {error}") from error
    return Surface([], [], False, splats=splats)


def _check_file(path: Path, suffix: str) -> None:
    if not path.is_file():
        raise InitialError(f"init_mesh: there is no file {path}; give the path of a mesh.")
    if suffix not in SUFFIXES:
        raise InitialError(f"init_mesh: {path} must be one of {', '.join(s[1:] for s in SUFFIXES)}.")
    if path.stat().st_size > MOST_BYTES:
        raise InitialError(f"init_mesh: {path} is larger than {MOST_BYTES >> 30} GiB; decimate the mesh first.")


def _scene(path: Path, split: dict[str, bool]) -> tuple[Any, list[str]]:
    import trimesh

    scene, notes = read_scene(path, split)
    nodes = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry]
    faces = sum(len(g.faces) for g in nodes if isinstance(g, trimesh.Trimesh))
    if faces > MOST_FACES:
        raise InitialError(f"init_mesh: {path} has {faces:,} faces; the limit is {MOST_FACES:,}: decimate it first.")
    return scene, notes


def _parts(scene: Any, owner: dict[str, str], turn: Array) -> list[tuple[str, tuple[list[Any], list[Any]]]]:
    """Meshes and point clouds of a scene by the name of the object they belong to, each instance in its place."""
    import trimesh

    parts: dict[str, tuple[list[Any], list[Any]]] = {name: ([], []) for name in owner.values()} or {"": ([], [])}
    for part in scene.dump():
        meshes, clouds = parts[owner[part.metadata["node"]]]
        part.apply_transform(turn)
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            meshes.append(part)
        if isinstance(part, trimesh.PointCloud | trimesh.Trimesh) and len(part.vertices):
            clouds.append(part)
    return list(parts.items())


def check_surface(path: Path, surface: Surface) -> None:
    """InitialError unless there is something visible."""
    if surface.splats is not None:
        if not len(surface.splats) or not 1e-12 < surface.bounding_sphere()[1] < 1e12:
            raise InitialError(f"init_mesh: {path} has no visible splats; export it again.")
        return
    parts = surface.meshes or surface.clouds
    if not parts:
        raise InitialError(f"init_mesh: {path} has neither faces nor points; export the object as a mesh.")
    if not all(np.isfinite(part.vertices).all() for part in parts):
        raise InitialError(f"init_mesh: {path} has NaN or infinite vertices; repair the mesh.")
    if any(m.faces.min() < 0 or m.faces.max() >= len(m.vertices) for m in surface.meshes):
        raise InitialError(f"init_mesh: {path} has faces with vertices that do not exist; repair the mesh.")
    _, radius = surface.bounding_sphere()
    area = sum(float(m.area) for m in surface.meshes)
    if not 1e-12 < radius < 1e12 or (surface.meshes and area < 1e-12 * radius**2):
        raise InitialError(f"init_mesh: {path} has no extent; scale or repair the mesh.")


def _joined(meshes: list[Any]) -> Any:
    """One mesh of all faces, in order, without colours."""
    import trimesh

    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    faces = np.concatenate([m.faces + start for m, start in zip(meshes, starts, strict=True)])
    return trimesh.Trimesh(np.concatenate([m.vertices for m in meshes]), faces, process=False)

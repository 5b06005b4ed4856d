"""From splats to a closed surface.

Density field (`density_field`) -> level that fits the splats' own pictures (`silhouettes`) -> closing to solid
bodies (`solid`) -> marching cubes (Lorensen and Cline 1987, Lewiner's variant) -> Taubin smoothing (1995: it does not
shrink) -> decimation by quadric error (Garland and Heckbert 1997, `fast_simplification`).
"""

from __future__ import annotations

from dataclasses import dataclass

import fast_simplification
import numpy as np
import trimesh
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from backend.export.density_field import Field, density_field, extent
from backend.export.silhouettes import Silhouettes, surface_level
from backend.export.solid import closed, large_bodies
from backend.export.views import Array
from backend.files import ExportError
from backend.scenes.splats import Splats

COARSE = 64  # points along the box that finds the object among stray splats
FAINT = 0.2  # splats whose pictures do not reach this alpha have no surface
POOR_FIT = 0.85  # overlap of silhouettes below which there is a warning
LOOSE_SHARE = 0.02  # share of the volume in loose crumbs above which there is a warning
SPLINTER = 12  # faces: pieces cut off at pinches have fewer, bodies more
TAUBIN_STEPS = 10


class SurfaceError(ExportError):
    """The splats have no surface to extract."""


@dataclass(frozen=True)
class Surface:
    """vertices (V,3) float32 in metres, faces (F,3) int64 wound outwards, and sentences for the user."""

    vertices: Array
    faces: NDArray[np.int64]
    warnings: tuple[str, ...] = ()


def extract_mesh(splats: Splats, resolution: int = 128, faces: int = 10_000) -> Surface:
    """The closed surface of the splats' bodies, without crumbs.

    Args:
        splats: N splats on the CPU, the object in the unit ball; opacity and shape matter, colour does not.
        resolution: grid points along the longest side of the object.
        faces: the most triangles; a handful more where pinched edges are separated.

    Raises:
        SurfaceError: no splats, NaN values, or splats that are too transparent.
    """
    field, warnings = solid_field(splats, resolution)
    return as_surface(decimated(triangulated(field), faces), warnings)


def solid_field(splats: Splats, resolution: int) -> tuple[Field, tuple[str, ...]]:
    """A field that is above 0 in solid bodies, on a grid fitted to them, and warnings for the user."""
    if len(splats) == 0 or not splats.finite():
        raise SurfaceError(
            "there is no surface: there are no splats, or they have NaN or infinite values; export an earlier state."
        )
    silhouettes = Silhouettes.of(splats)
    if silhouettes.opacity < FAINT:
        raise SurfaceError(
            f"the splats are too transparent for a surface: their pictures reach an alpha of {silhouettes.opacity:.2f}"
            f" and {FAINT} is needed; train for more steps."
        )
    # A single splat far away would stretch the grid; a coarse body shows where the object is.
    body, loose, _ = _body(density_field(splats, *extent(splats), COARSE), silhouettes)
    index = np.argwhere(body.values > 0)
    low, high = (body.origin + body.spacing * edge for edge in (index.min(0) - 1, index.max(0) + 1))
    body, _, fit = _body(density_field(splats, low, high, resolution), silhouettes)
    return body, tuple(_shortfalls(loose, fit))


def _body(field: Field, silhouettes: Silhouettes) -> tuple[Field, float, float]:
    """The large bodies, the share of loose volume, and how well the silhouettes fit the pictures."""
    level, _ = surface_level(field, silhouettes)
    solid = closed(field, level)
    # Without its pinholes the shell can be thinner and still cover the pictures.
    erosion, fit = surface_level(solid, silhouettes)
    return *large_bodies(solid, max(erosion, 0.0)), fit


def _shortfalls(loose: float, fit: float) -> list[str]:
    warnings = []
    if loose > LOOSE_SHARE:
        warnings.append(f"Small loose parts, {loose:.0%} of the volume, are not in the mesh.")
    if fit < POOR_FIT:
        warnings.append(f"The mesh matches only {fit:.0%} of the splats' outline: they are partly transparent.")
    return warnings


def triangulated(field: Field) -> trimesh.Trimesh:
    """The field's surface at 0 in metres, wound outwards, smoothed."""
    vertices, faces, _, _ = marching_cubes(field.values, 0.0, spacing=(field.spacing,) * 3, gradient_direction="ascent")
    mesh = trimesh.Trimesh(vertices + field.origin, faces, process=False)
    return trimesh.smoothing.filter_taubin(mesh, iterations=TAUBIN_STEPS)


def decimated(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """At most `faces` triangles, plus a few that separate pinched edges; no two vertices at one place."""
    if len(mesh.faces) > faces:
        vertices, triangles = fast_simplification.simplify(
            mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), target_count=faces
        )
        mesh = trimesh.Trimesh(vertices, triangles, process=False)
    mesh.merge_vertices()
    mesh.update_faces((mesh.faces != np.roll(mesh.faces, 1, axis=1)).all(1))
    return mesh if mesh.is_watertight else unpinched(mesh)


def unpinched(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The same surface without edges that four faces share, and without pieces of a few faces.

    Collapsing edges leaves such pinches.  They are not open: every half-edge a->b is paired with one half-edge b->a (as
    in Gueziec et al. 2001).  The first pair along an edge keeps it, each further pair gets an additional vertex on it,
    so that no edge has more than two faces, even after vertices at one place are merged.  Two faces back to back are
    removed.  A mesh with a real hole is returned unchanged.
    """
    faces = _without_flaps(mesh.faces)
    halves = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    forward = halves[:, 0] < halves[:, 1]
    order = np.lexsort((*halves.T, *np.sort(halves, 1).T))
    one, two = order[forward[order]], order[~forward[order]]
    if len(one) != len(two) or (halves[one] != halves[two, ::-1]).any():
        return mesh
    vertices, faces = _separated(np.asarray(mesh.vertices), faces, halves, one, two)
    pieces = trimesh.Trimesh(vertices, faces, process=False).split(only_watertight=False)
    most = max(len(piece.faces) for piece in pieces)
    kept: trimesh.Trimesh = trimesh.util.concatenate([p for p in pieces if len(p.faces) >= min(most, SPLINTER)])
    kept.merge_vertices()
    return kept


def _without_flaps(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces (F,3) without pairs that lie back to back on the same three vertices."""
    _, first, same = np.unique(np.sort(faces, 1), axis=0, return_index=True, return_inverse=True)
    turns = np.sign(np.linalg.det(np.eye(3)[np.argsort(faces, 1)]))  # which way round
    surplus = np.bincount(same.ravel(), weights=turns)
    kept: NDArray[np.int64] = faces[first[surplus != 0]]
    against = turns[first[surplus != 0]] != np.sign(surplus[surplus != 0])
    kept[against] = kept[against, ::-1]
    return kept


def _separated(
    vertices: Array, faces: NDArray[np.int64], halves: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64]
) -> tuple[Array, NDArray[np.int64]]:
    """Vertices and faces, with an additional vertex on the edge for every pair of half-edges except the first."""
    _, first, edge = np.unique(halves[one], axis=0, return_index=True, return_inverse=True)
    rank = np.arange(len(one)) - first[edge.ravel()]  # the pairs along an edge follow each other
    rows = np.flatnonzero(rank > 0)
    share = (1 / (rank[rows] + 1))[:, None]
    added = (1 - share) * vertices[halves[one[rows], 0]] + share * vertices[halves[one[rows], 1]]
    on_half = {int(h): len(vertices) + i for half in (one, two) for i, h in enumerate(half[rows])}
    split = sorted({h // 3 for h in on_half})
    fans = [face for f in split for face in _fan(faces[f], [on_half.get(3 * f + side) for side in range(3)])]
    whole = np.delete(faces, split, axis=0)
    return np.concatenate([vertices, added]), np.concatenate([whole, np.array(fans).reshape(-1, 3)])


def _fan(face: NDArray[np.int64], on_side: list[int | None]) -> list[list[int]]:
    """A triangle with additional vertices on some sides, as a fan of triangles around the first of them."""
    ring = [corner for i in range(3) for corner in (int(face[i]), on_side[i]) if corner is not None]
    start = next(i for i, corner in enumerate(ring) if corner in on_side)
    ring = ring[start:] + ring[:start]
    return [[ring[0], ring[i], ring[i + 1]] for i in range(1, len(ring) - 1)]


def as_surface(mesh: trimesh.Trimesh, warnings: tuple[str, ...] = ()) -> Surface:
    """The arrays of a mesh; with another warning if it is not watertight."""
    if not mesh.is_watertight:
        _, counts = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
        open_edges = int((counts != 2).sum())
        warnings += (f"The mesh is not watertight: {open_edges} edges do not lie between exactly two faces.",)
    return Surface(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int64), warnings)

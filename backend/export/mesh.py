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
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from backend.export.density_field import Field, density_field, extent
from backend.export.files import ExportError
from backend.export.silhouettes import Silhouettes, surface_level
from backend.export.solid import bodies_of_note, closed
from backend.export.views import Array
from backend.scenes.splats import Splats

COARSE = 64  # points along the box that finds the object among stray splats
FAINT = 0.2  # splats whose pictures do not reach this alpha have no surface worth the name
POOR_FIT = 0.85  # silhouettes that overlap less than this are worth a warning
LOOSE_SHARE = 0.02  # so are crumbs with more than this share of the volume
SPLINTER = 12  # faces: what pinches cut off has fewer, a body more
TAUBIN_STEPS = 10
Index = NDArray[np.int64]


class SurfaceError(ExportError):
    """The splats have no surface to extract."""


@dataclass(frozen=True)
class Surface:
    """vertices (V,3) float32 in metres, faces (F,3) int64 wound outwards, and what the user should know."""

    vertices: Array
    faces: Index
    warnings: tuple[str, ...] = ()


def extract_mesh(splats: Splats, resolution: int = 128, faces: int = 10_000) -> Surface:
    """The closed surface of the splats' bodies, without crumbs.

    Args:
        splats: N splats on the CPU, the object in the unit ball; opacity and shape matter, colour does not.
        resolution: grid points along the longest side of the object.
        faces: the budget; the surface has at most so many, and fewer when the grid gives fewer.

    Raises:
        SurfaceError: no splats, a NaN, or so transparent that there is nothing to see.
    """
    field, warnings = solid_field(splats, resolution)
    return as_surface(decimated(triangulated(field), faces), warnings)


def solid_field(splats: Splats, resolution: int) -> tuple[Field, tuple[str, ...]]:
    """A field that is above 0 in solid bodies, on a grid fitted to them, and sentences on what was left out."""
    if len(splats) == 0 or not splats.finite():
        raise SurfaceError("there is no surface: the splats are empty or hold a NaN; export an earlier state.")
    silhouettes = Silhouettes.of(splats)
    if silhouettes.opacity < FAINT:
        raise SurfaceError(
            f"the splats are too transparent for a surface: their pictures reach an alpha of {silhouettes.opacity:.2f}"
            f" and {FAINT} is needed; train for more steps."
        )
    # A single splat far off would stretch the grid; a coarse body tells where the object is.
    body, loose, _ = _body(density_field(splats, *extent(splats), COARSE), silhouettes)
    index = np.argwhere(body.values > 0)
    low, high = (body.origin + body.spacing * edge for edge in (index.min(0) - 1, index.max(0) + 1))
    body, _, fit = _body(density_field(splats, low, high, resolution), silhouettes)
    return body, tuple(_shortfalls(loose, fit))


def _body(field: Field, silhouettes: Silhouettes) -> tuple[Field, float, float]:
    """The bodies of note, the share of loose volume, and how well its silhouettes fit the pictures."""
    level, _ = surface_level(field, silhouettes)
    solid = closed(field, level)
    # Without its pinholes the shell can be thinner and still cover the pictures.
    erosion, fit = surface_level(solid, silhouettes)
    return *bodies_of_note(solid, max(erosion, 0.0)), fit


def _shortfalls(loose: float, fit: float) -> list[str]:
    warnings = []
    if loose > LOOSE_SHARE:
        warnings.append(f"Crumbs of the splats, {loose:.0%} of the volume in all, are not in the mesh.")
    if fit < POOR_FIT:
        warnings.append(f"The mesh covers the splats' pictures only to {fit:.0%}: they are partly transparent.")
    return warnings


def triangulated(field: Field) -> trimesh.Trimesh:
    """The field's surface at 0 in metres, wound outwards, smoothed."""
    vertices, faces, _, _ = marching_cubes(field.values, 0.0, spacing=(field.spacing,) * 3, gradient_direction="ascent")
    mesh = trimesh.Trimesh(vertices + field.origin, faces, process=False)
    return trimesh.smoothing.filter_taubin(mesh, iterations=TAUBIN_STEPS)


def decimated(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """At most `faces` triangles."""
    if len(mesh.faces) <= faces:
        return mesh
    vertices, triangles = fast_simplification.simplify(
        mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), target_count=faces
    )
    simple = trimesh.Trimesh(vertices, triangles, process=False)
    return simple if simple.is_watertight else unpinched(simple)


def unpinched(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The same faces, cut apart where the surface touches itself, without pieces of a few faces.

    Collapsing edges leaves pinches: edges that four faces share.  Nothing is open there, so no face may go; instead
    every half-edge a->b is paired with one half-edge b->a, and only corners that paired half-edges join are one
    vertex (the cutting and stitching of Gueziec et al. 2001).  A mesh with a
    real hole is returned as it is.
    """
    halves = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    forward = halves[:, 0] < halves[:, 1]
    order = np.lexsort((*halves.T, *np.sort(halves, 1).T))
    one, two = order[forward[order]], order[~forward[order]]
    if len(one) != len(two) or (halves[one] != halves[two, ::-1]).any():
        return mesh
    corner = _joined_corners(one, two)
    # Where all fans around a pinch are still one, the sheets were paired across: the next partner is the right one.
    edges = np.stack([corner[one], corner[_following(one)]], 1)
    _, which, counts = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    if pinched := [np.flatnonzero(which == edge) for edge in np.flatnonzero(counts > 1)]:
        for group in pinched:
            two[group] = np.roll(two[group], 1)
        corner = _joined_corners(one, two)
    vertices = np.empty((corner.max() + 1, 3))
    vertices[corner] = mesh.vertices[mesh.faces.ravel()]
    pieces = trimesh.Trimesh(vertices, corner.reshape(-1, 3), process=False).split(only_watertight=False)
    most = max(len(piece.faces) for piece in pieces)
    return trimesh.util.concatenate([piece for piece in pieces if len(piece.faces) >= min(most, SPLINTER)])


def _joined_corners(one: Index, two: Index) -> Index:
    """The vertex of each corner of the faces (3F,), where half-edge one[i] lies against two[i].

    Half-edge h starts in corner h and ends in the next corner of its face.
    """
    ends = np.concatenate([one, _following(one)]), np.concatenate([_following(two), two])
    joined = coo_array((np.ones(len(ends[0])), ends), shape=(2 * len(one),) * 2)
    corner: Index = connected_components(joined, directed=False)[1]
    return corner


def _following(corner: Index) -> Index:
    """The next corner of the same face."""
    return corner // 3 * 3 + (corner + 1) % 3


def as_surface(mesh: trimesh.Trimesh, warnings: tuple[str, ...] = ()) -> Surface:
    """The arrays of a mesh; a further warning when it is not watertight."""
    if not mesh.is_watertight:
        _, counts = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
        open_edges = int((counts != 2).sum())
        warnings += (f"The mesh is not watertight: edges that do not lie between exactly two faces: {open_edges}.",)
    return Surface(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int64), warnings)

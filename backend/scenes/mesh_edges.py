"""Trims discs that lie near an edge of the mesh, so that they do not extend beyond it.

A disc in the plane of a box's side extends some two sigma beyond the box's edge: a box of discs would be up to a tenth
larger than the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]

SHARP = np.deg2rad(25)  # between the normals of two faces; tessellated curves are smoother
REACH = 2.0  # sigmas: the visible extent of many overlapping discs
LEAST = 0.1  # of a disc's own sigma: as small as its thickness
NEAREST = 48  # points on edges that are considered for a disc
MOST_POINTS = 400_000  # on all edges


@dataclass(frozen=True)
class MeshEdges:
    """Points (E,3) along the sharp and the open edges of a surface, and the edges' unit directions (E,3) there."""

    points: Array
    along: Array

    @classmethod
    def of(cls, meshes: Sequence[Any], spacing: float) -> MeshEdges:
        """The edges of trimesh's meshes, with a point every `spacing`."""
        ends = np.concatenate([_sharp_edges(mesh) for mesh in meshes])
        lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        ends, lengths = ends[lengths > 0], lengths[lengths > 0]
        counts = np.ceil(lengths / max(spacing, lengths.sum() / MOST_POINTS, 1e-12)).astype(int) + 1
        edge = np.repeat(np.arange(len(ends)), counts)
        place = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts)
        share = (place / np.maximum(counts[edge] - 1, 1))[:, None]
        along = (ends[:, 1] - ends[:, 0]) / lengths[:, None]
        return cls(ends[edge, 0] * (1 - share) + ends[edge, 1] * share, along[edge])

    def trim(self, points: Array, normals: Array, sigma: Array) -> tuple[NDArray[np.int64], Array, Array]:
        """The discs near an edge (K,), their quaternions wxyz (K,4), and their two sigmas (K,2).

        Args:
            points, normals, sigma: the positions of all discs (N,3), unit normals (N,3) and sigmas (N,) in the plane.
        """
        if not len(self.points):
            return np.empty(0, np.int64), np.empty((0, 4)), np.empty((0, 2))
        distances, found = cKDTree(self.points).query(points, min(NEAREST, len(self.points)))
        distances, found = distances.reshape(len(points), -1), found.reshape(len(points), -1)
        beside = np.flatnonzero(distances[:, 0] < REACH * sigma)
        offsets, along = self.points[found[beside]] - points[beside, None], self.along[found[beside]]
        axes = _axes(normals[beside], along[:, 0])
        steps = np.abs(np.einsum("kec,kac->kea", offsets, axes[:, :2]))  # (K,E,2): across the nearest edge, along it
        # Another edge bounds the disc along the first one.
        other = np.abs(np.einsum("kec,kc->ke", along, along[:, 0])) < 0.7
        room = np.stack([steps[:, 0, 0], np.where(other, steps[..., 1], np.inf).min(1)], 1)
        own = sigma[beside, None]
        trimmed = np.clip(room / REACH, LEAST * own, own)
        quats = Rotation.from_matrix(axes.transpose(0, 2, 1)).as_quat()[:, [3, 0, 1, 2]]
        return beside, quats, trimmed


def _axes(normals: Array, along: Array) -> Array:
    """Unit axes (K,3,3) as rows: in the disc's plane across the edge and along it, and the normal."""
    across = np.cross(along, normals)
    lost = np.linalg.norm(across, axis=1) < 1e-6  # an edge perpendicular to the disc: any direction will do
    across[lost] = np.cross(np.eye(3)[np.abs(normals[lost]).argmin(1)], normals[lost])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack([across, np.cross(normals, across), normals], 1)


def _sharp_edges(mesh: Any) -> Array:
    """Ends (E,2,3) of the edges where two faces meet at an angle, or where a face meets none."""
    import trimesh

    # Vertices are merged, as seams of textures and of normals are not edges.
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    sharp = whole.face_adjacency_edges[whole.face_adjacency_angles > SHARP]
    _, first, counts = np.unique(whole.edges_sorted, axis=0, return_index=True, return_counts=True)
    alone = whole.edges_sorted[first[counts == 1]]
    return np.asarray(whole.vertices[np.concatenate([sharp, alone])], np.float64).reshape(-1, 2, 3)

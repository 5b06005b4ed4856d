"""Bakes the splats' colours into a texture of the surface, and writes both as a GLB.

xatlas makes the UVs.  Every texel of the atlas gets its point and normal on the surface; the splats are rendered from
many views all around, and each texel gets the mean of the pictures that show it, weighted by the viewing angle and by
the splats' alpha (as in Debevec et al. 1996, view-dependent texture mapping).  Texels that no
view sees take the colour of the splats around them, weighted by density.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
import xatlas
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, maximum_filter
from scipy.spatial import cKDTree
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from backend.cameras import Cameras
from backend.export.mesh import Surface
from backend.export.texels import blend, rasterise
from backend.export.views import CHUNK, Array, all_around, photograph
from backend.files import replacing
from backend.render import rotation_matrices
from backend.scenes.splats import Splats

VIEWS, PIXELS = 32, 512
PADDING = 4  # texels between islands, so that colours do not bleed
TOLERANCE = 0.01  # share of the object's diagonal by which a texel may be behind the depth buffer
LEAST_WEIGHT = 0.02  # total weight of all views below which a texel counts as unseen
NEIGHBOURS = 8
Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)  # Blender's (x, y, z) -> glTF's (x, z, -y)


@dataclass(frozen=True)
class Unwrapped:
    """A surface cut along its seams: vertices (V,3), outward unit normals (V,3), uvs (V,2) in [0,1] with v upwards,
    faces (F,3)."""

    vertices: Array
    normals: Array
    uvs: Array
    faces: NDArray[np.int64]


@dataclass(frozen=True)
class TexturedMesh:
    """An unwrapped surface, its texture (S,S,3) uint8 with the top row at v = 1, and the share of texels that the
    views saw."""

    shape: Unwrapped
    texture: NDArray[np.uint8]
    seen: float

    def placed(self, matrix: Array) -> TexturedMesh:
        """The mesh moved and scaled by a matrix (4,4) without rotation."""
        vertices = self.shape.vertices * matrix[0, 0] + matrix[:3, 3]
        return replace(self, shape=replace(self.shape, vertices=vertices.astype(np.float32)))


def unwrap(surface: Surface, size: int = 1024) -> Unwrapped:
    """UVs for a texture of `size` texels.  Seams duplicate vertices but keep their normals, so they are invisible."""
    atlas = xatlas.Atlas()
    atlas.add_mesh(surface.vertices, surface.faces.astype(np.uint32))
    options = xatlas.PackOptions()
    options.resolution, options.padding = size, PADDING
    atlas.generate(pack_options=options)
    origin, faces, uvs = atlas[0]
    normals = trimesh.Trimesh(surface.vertices, surface.faces, process=False).vertex_normals
    return Unwrapped(
        surface.vertices[origin], normals[origin].astype(np.float32), uvs.astype(np.float32), faces.astype(np.int64)
    )


def bake(shape: Unwrapped, splats: Splats, size: int = 1024) -> TexturedMesh:
    """Paint the splats' colours into a texture of size x size; the space between islands is filled too."""
    inside, points, normals = texel_points(shape, size)
    total = _blended(shape, splats, points, normals)
    visible = total[:, 3] > LEAST_WEIGHT
    colours = total[:, :3] / np.maximum(total[:, 3:], LEAST_WEIGHT)
    colours[~visible] = splat_colours(splats, points[~visible])
    picture = np.zeros((size, size, 3), np.float32)
    picture[inside] = colours
    return TexturedMesh(shape, _with_gutters(picture, inside), float(visible.mean()))


def repainted(
    mesh: TexturedMesh, vertices: Array, origin: NDArray[np.int64], picture: Array, tints: Array
) -> TexturedMesh:
    """The mesh with other colours (S,S,3) in [0,1], and its vertices moved to those of the surface before it was cut.

    vertices (N,3), of which vertex i of the unwrapped mesh is number `origin[i]`; tints (N,3) are added to the colours
    around them.
    """
    faces, weights = texel_faces(mesh.shape, len(picture))
    inside = faces >= 0
    picture = picture.copy()
    picture[inside] += (tints[origin][mesh.shape.faces[faces[inside]]] * weights[inside][..., None]).sum(1)
    whole = trimesh.Trimesh(vertices, origin[mesh.shape.faces], process=False)
    shape = replace(mesh.shape, vertices=vertices[origin], normals=whole.vertex_normals[origin].astype(np.float32))
    return replace(mesh, shape=shape, texture=_with_gutters(picture, inside))


def _with_gutters(picture: Array, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The space between islands in the nearest colour: filtering across a border, or in mipmaps, finds that there."""
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    texture: NDArray[np.uint8] = np.rint(255 * picture[tuple(nearest)].clip(0, 1)).astype(np.uint8)
    return texture


def texel_points(shape: Unwrapped, size: int) -> tuple[NDArray[np.bool_], Array, Array]:
    """Which texels (size,size) are on an island, and their points (T,3) and unit normals (T,3) on the surface."""
    faces, weights = texel_faces(shape, size)
    inside = faces >= 0
    corners, shares = shape.faces[faces[inside]], weights[inside][..., None]
    points, normals = (shape.vertices[corners] * shares).sum(1), (shape.normals[corners] * shares).sum(1)
    return inside, points, normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-6)


def texel_faces(shape: Unwrapped, size: int) -> tuple[NDArray[np.int32], Array]:
    """The face (size,size) that each texel lies on, -1 for none, and its barycentric weights (size,size,3) there."""
    uvs = shape.uvs[shape.faces]
    flat = np.stack([uvs[..., 0] * size, (1 - uvs[..., 1]) * size, np.ones_like(uvs[..., 0])], -1)
    faces, weights, _ = rasterise(flat.astype(np.float32), size, size)
    return faces, weights


def _blended(shape: Unwrapped, splats: Splats, points: Array, normals: Array) -> Array:
    """`blend` of pictures from all around, a few at a time, as it is a sum over them."""
    cameras = all_around(VIEWS)
    focal = float(cameras.intrinsics(PIXELS, PIXELS)[0, 0, 0])
    tolerance = TOLERANCE * float(np.linalg.norm(np.ptp(shape.vertices, axis=0)))
    total = np.zeros((len(points), 4), np.float32)
    for start in range(0, VIEWS, CHUNK):
        some = cameras[start : start + CHUNK]
        views = photograph(splats, some, PIXELS, 0.0)
        pictures = np.concatenate([views.rgb, views.alpha[..., None], views.depth[..., None]], -1)
        hiding = depth_buffers(shape, some, PIXELS)
        total += blend(points, normals, some.viewmats.numpy(), focal, pictures, hiding, tolerance)
    return total


def depth_buffers(shape: Unwrapped, cameras: Cameras, size: int) -> Array:
    """z of the surface (B,size,size), infinite outside it.

    Each pixel has the least z of its neighbourhood: otherwise texels right behind an edge would get the colour of the
    part in front, as splats extend over its edge.
    """
    focal = float(cameras.intrinsics(size, size)[0, 0, 0])
    buffers = np.empty((len(cameras), size, size), np.float32)
    for buffer, viewmat in zip(buffers, cameras.viewmats.numpy(), strict=True):
        x, y, z = (shape.vertices @ viewmat[:3, :3].T + viewmat[:3, 3]).T
        screen = np.stack([focal * x / z + size / 2, focal * y / z + size / 2, 1 / z], -1).astype(np.float32)
        nearness = maximum_filter(rasterise(screen[shape.faces], size, size)[2], 3)
        buffer[:] = np.where(nearness > 0, 1 / nearness.clip(1e-6), np.inf)
    return buffers


def splat_colours(splats: Splats, points: Array) -> Array:
    """The colour (T,3) of the splats around each point (T,3), weighted by their density there."""
    count = min(NEIGHBOURS, len(splats))
    index = cKDTree(splats.means.numpy()).query(points, count)[1].reshape(-1, count)
    axes, sigma = rotation_matrices(splats.quats).numpy()[index], np.exp(splats.log_scales.numpy())[index]
    offset = np.einsum("tkij,tki->tkj", axes, points[:, None] - splats.means.numpy()[index])
    exponent = np.log(splats.opacity_logits.sigmoid().numpy() + 1e-9)[index] - ((offset / sigma) ** 2).sum(-1) / 2
    # Far from every splat all densities are 0 in float32; relative to the largest one they are not.
    weights = np.exp(exponent - exponent.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return np.asarray(np.einsum("tk,tkc->tc", weights, splats.rgb.numpy()[index]), np.float32)


def write_glb(mesh: TexturedMesh, path: str | Path, name: str, copyright: str = "") -> None:
    """Write a GLB with one object `name`, its normals, and a rough, non-metallic material with the texture.

    `copyright` is written to glTF's `asset.copyright`.

    glTF is Y-up with the front at +Z; Blender's importer turns it back to Z-up with the front at -Y.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    material = PBRMaterial(
        name=name, baseColorTexture=Image.fromarray(mesh.texture), metallicFactor=0.0, roughnessFactor=0.9
    )
    body = trimesh.Trimesh(
        mesh.shape.vertices @ Y_UP.T,
        mesh.shape.faces,
        vertex_normals=mesh.shape.normals @ Y_UP.T,
        visual=TextureVisuals(mesh.shape.uvs, material=material),
        process=False,
    )
    scene = trimesh.Scene()
    scene.add_geometry(body, node_name=name, geom_name=name)
    with replacing(path) as temporary:
        asset = {"copyright": copyright} if copyright else {}
        temporary.write_bytes(
            scene.export(
                file_type="glb", include_normals=True, tree_postprocessor=lambda tree: tree["asset"].update(asset)
            )
        )

"""A textured mesh as the scene: the finished mesh, whose vertices and texture a rule refines.

Vertices move by offsets that are smoothed over the surface, so that a step moves a patch and not single vertices, as in
"Large steps in inverse rendering of geometry" (Nicolet et al. 2021), with some averagings in place of the inverse of
their matrix.

Colours learn twice: slowly in every texel, and quickly as tints of the vertices.  A rule's gradient has noise in every
pixel, and texels, which are smaller than pixels, would keep it as speckles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.cameras import Cameras
from backend.errors import UserError
from backend.render.mesh import MeshTopology, draw_mesh
from backend.render.mesh_geometry import neighbours_of
from backend.render.texture_fetch import fetch
from backend.scenes.adam_scene import AdamScene
from backend.scenes.initial import discs
from backend.scenes.mesh_moves import (
    ATTEMPTS,
    Neighbourhood,
    face_normals,
    laplacian_penalty,
    normal_penalty,
    turned_over,
)
from backend.scenes.rendered import Render
from backend.scenes.settings import MeshSettings
from backend.scenes.splats import Splats
from backend.tensors import onto

Array = NDArray[Any]
TINT_SMOOTHING = 2  # averagings of a tint with those of its neighbours
FINE_SIDE = 256  # pixels: smaller pictures are drawn so large and averaged, as a pixel of theirs would cover too much


class MeshError(UserError):
    """A mesh that cannot be refined: one sentence that says why."""


class MeshScene(AdamScene):
    """An optimised textured mesh; a Scene.

    vertices (V,3), faces (F,3) wound outwards, uvs (F,3,2) of the faces' corners with v upwards, texture (S,S,3) in
    [0,1] with the top row at v = 1.  The schedules are for a run of `steps`.
    """

    def __init__(
        self, vertices: Array, faces: Array, uvs: Array, texture: Array, settings: MeshSettings, steps: int,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        _check(vertices, faces, uvs, texture)
        none, painted = torch.zeros(len(vertices), 3), torch.from_numpy(np.ascontiguousarray(texture))
        tensors = {"offsets": none, "tints": none, "texture": painted}
        super().__init__("mesh", tensors, torch.device(device))
        self.settings, self.steps = settings, steps
        faces, neighbours = faces.astype(np.int64), neighbours_of(faces)
        known, beyond = (torch.from_numpy(value).to(self.device) for value in (faces, neighbours))
        self.topology = MeshTopology(known, beyond, _tensor(uvs, self.device))
        self.around = Neighbourhood.of(faces, len(vertices), self.device)
        self.start = _tensor(vertices, self.device)
        self.normals = face_normals(self.start, self.topology.faces)
        self.length = float(np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, 1)], axis=-1).mean())
        self.pairs = torch.from_numpy(_pairs(neighbours)).to(self.device)

    @property
    def moves(self) -> Tensor:
        """How far the vertices (V,3) are from where they were, with gradient."""
        return self.around.smoothed(self.params["offsets"], self.settings.smoothing)

    @property
    def vertices(self) -> Tensor:
        """The vertices (V,3), with gradient."""
        return self.start + self.moves

    @property
    def tints(self) -> Tensor:
        """What is added (V,3) to the colours of the texture around each vertex, with gradient."""
        return self.around.smoothed(self.params["tints"], TINT_SMOOTHING)

    def render(self, cameras: Cameras, width: int, height: int, backgrounds: Tensor) -> Render:
        """Pictures with gradient; backgrounds (B,3)."""
        times, vertices = max(1, -(-FINE_SIDE // min(width, height))), self.vertices
        wide, high = width * times, height * times
        viewmats, intrinsics = (onto(v, self.device) for v in (cameras.viewmats, cameras.intrinsics(wide, high)))
        looks = (self.topology, self.params["texture"])
        drawn = torch.cat(draw_mesh(vertices, *looks, viewmats, intrinsics, wide, high, self.tints), -1)
        if times > 1:
            drawn = F.avg_pool2d(drawn.movedim(-1, 1), times).movedim(1, -1)
        rgb, alpha, depth = drawn[..., :3], drawn[..., 3:4], drawn[..., 4:]
        behind = onto(backgrounds, self.device)[:, None, None]
        return Render(rgb + (1 - alpha) * behind, alpha, depth, {"vertices": vertices})

    def regulariser(self, render: Render) -> Tensor:
        """The weighted penalties of the settings; those of weight 0 are not computed."""
        s, vertices, total = self.settings, render.info["vertices"], torch.zeros((), device=self.device)
        if s.laplacian_weight:
            moves = vertices - self.start
            total = total + s.laplacian_weight * laplacian_penalty(moves, self.around, self.length)
        if s.normal_weight:
            total = total + s.normal_weight * normal_penalty(vertices, self.topology.faces, self.pairs)
        return total

    def step(self, step: int, render: Render, generator: Any) -> dict[str, float]:
        """After backward: one step of Adam.  Colours stay in [0,1], and no face turns over."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(group["name"])
        before = self.params["offsets"].detach().clone()
        self.optimiser.step()
        self.drop_gradients()
        with torch.no_grad():
            self.params["texture"].clamp_(0, 1)
            self._take_back(before)
        self.taken += 1
        return {}

    def _take_back(self, before: Tensor) -> None:
        """Take the step back around faces that it has turned over; where that is not enough, everywhere."""
        offsets, faces = self.params["offsets"], self.topology.faces
        for attempt in range(ATTEMPTS + 1):
            turned = turned_over(self.vertices, faces, self.normals)
            if not bool(turned.any()):
                return
            corners = turned[:, None].expand_as(faces).reshape(-1, 1).to(offsets.dtype)
            near = torch.zeros_like(offsets[:, :1]).index_add(0, faces.flatten(), corners)
            near = self.around.smoothed(near, 2 * self.settings.smoothing + attempt)
            offsets.copy_(torch.where((near > 0) | (attempt == ATTEMPTS), before, offsets))

    def rate(self, name: str) -> float:
        """Learning rate of a parameter now: exponential from its start to its end, then constant."""
        s = self.settings
        starts = {"offsets": s.lr_vertices, "tints": s.lr_colour, "texture": s.lr_texture}
        return float(starts[name] * s.lr_end_factor ** min(1.0, self.taken / self.steps))

    def mesh(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """The vertices (V,3), the texture (S,S,3), and the tints (V,3) that are not in it, as they are now."""
        with torch.no_grad():
            parts = (self.vertices, self.params["texture"].detach().clone(), self.tints)
            return tuple(part.cpu().numpy() for part in parts)  # type: ignore[return-value]

    def splats(self) -> Splats:
        """A disc on every face, in its colour, on the CPU."""
        with torch.no_grad():
            corners = self.vertices[self.topology.faces].cpu()
            uvs = self.topology.uvs.mean(1).cpu()
            colours = fetch(self.params["texture"].detach().cpu(), uvs, torch.ones(len(uvs)))
            colours += self.tints[self.topology.faces].mean(1).cpu()
            normals = F.normalize(face_normals(corners.view(-1, 3), torch.arange(len(corners) * 3).view(-1, 3)), dim=-1)
            return discs(corners.mean(1), normals, colours.clamp(0, 1))


def _check(vertices: Array, faces: Array, uvs: Array, texture: Array) -> None:
    if len(faces) == 0:
        raise MeshError("The mesh has no faces, so there is nothing to refine.")
    if not all(bool(np.isfinite(value).all()) for value in (vertices, uvs, texture)):
        raise MeshError("The mesh has NaN or infinite numbers, so it cannot be refined.")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError("The mesh has faces with vertices that do not exist, so it cannot be refined.")


def _pairs(neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of faces (E,2) with a common edge, each once."""
    own = np.repeat(np.arange(len(neighbours)), 3)
    pairs = np.stack([own, neighbours.ravel()], 1)
    found: NDArray[np.int64] = pairs[pairs[:, 0] < pairs[:, 1]]
    return found


def _tensor(values: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)

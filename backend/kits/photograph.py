"""Photographs an object: 48 pictures of a surface by our own renderer, in a second, without Blender.

The surface is covered with some 40,000 discs, as in a run that starts from a mesh (`backend/scenes/initial.py`), shaded
by one soft light from the front, and rendered at twice the size.  The object's bounding box is centred and its farthest
vertex is at distance 1, as everywhere in the backend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.cameras import Cameras
from backend.kits.disc_layers import hidden_sides, thinned
from backend.kits.textures import averaged
from backend.priors.grid import SIDE, grid_cameras
from backend.render import SH_C0
from backend.scenes.initial import DISC_THICKNESS, SOLID, discs, in_ball, point_cloud
from backend.scenes.meshes import Array, Surface
from backend.scenes.splats import Splats, render_splats

DISCS = 40_000
OVERSAMPLING = 3  # times as many points are drawn, and then thinned out
WIDTH = 0.65  # sigma in the plane, in units of the discs' spacing
SUPERSAMPLING = 2  # rendered at so many times the size, then averaged
LIGHT = (-0.35, -0.55, 0.75)  # direction towards it
AMBIENT, DIRECT, AWAY = 0.62, 0.38, 0.5  # shares of the light; faces turned away get AWAY of the direct light
EMPTY = 1 / 512  # alpha below which a pixel has no colour


@dataclass(frozen=True)
class _Covered:
    """Discs in the unit ball, their normals (N,3), and which are hidden from the side of these, or from behind."""

    splats: Splats
    normals: Tensor
    hidden_before: Tensor
    hidden_behind: Tensor

    def to(self, device: torch.device | str) -> _Covered:
        splats = self.splats.map(lambda values: values.to(device))
        return _Covered(splats, *(t.to(device) for t in (self.normals, self.hidden_before, self.hidden_behind)))

    def visible_from(self, camera: Cameras) -> Splats:
        """The discs visible from a camera, each lit on its visible side."""
        towards = ((camera.positions.to(self.normals) - self.splats.means) * self.normals).sum(-1)
        hidden = torch.where(towards > 0, self.hidden_before, self.hidden_behind)
        light = F.normalize(self.normals.new_tensor(LIGHT), dim=0)
        facing = (self.normals @ light) * towards.sign()
        shade = AMBIENT + DIRECT * torch.where(facing > 0, facing, -AWAY * facing)
        lit = ((self.splats.rgb * shade[:, None]).clamp(0, 1) - 0.5) / SH_C0
        return replace(self.splats, sh=lit[:, None]).map(lambda values: values[~hidden])


def photograph(surface: Surface, device: torch.device | str = "cpu") -> NDArray[np.uint8]:
    """The pictures (48,128,128,4) of a surface with Z up and its front at -Y: RGBA, straight alpha, sRGB.

    The same surface gives the same pictures, on every device up to rounding.  Bare points are not shaded.
    """
    scene = _cover(surface)
    scene = scene.to(device) if isinstance(scene, _Covered) else scene.map(lambda values: values.to(device))
    cameras = grid_cameras()
    with torch.no_grad():
        return np.concatenate([_picture(scene, cameras[slice(i, i + 1)]) for i in range(len(cameras))])


def _cover(surface: Surface) -> _Covered | Splats:
    """Discs covering a mesh, a round splat for each point of a cloud, or the splats of a file; in the unit ball."""
    centre, radius = surface.bounding_sphere()
    if surface.splats is not None:
        return in_ball(surface.splats, centre, radius)
    apart = math.sqrt(sum(float(mesh.area) for mesh in surface.meshes) / DISCS)
    rng = np.random.default_rng(0)
    points, normals, colours = averaged(surface, apart).sample(OVERSAMPLING * DISCS, rng, even=False)
    points, spacing = (points - centre) / radius, apart / radius
    if normals is None:
        points, colours = points[:DISCS], colours[:DISCS]
        return point_cloud(_tensor(points), _tensor(colours), opacity=SOLID)
    kept = thinned(points, normals, spacing)
    points, normals, colours = points[kept], normals[kept], colours[kept]
    hidden = [torch.from_numpy(side) for side in hidden_sides(points, normals, spacing)]
    flat = discs(_tensor(points), _tensor(normals), _tensor(colours), opacity=0.95)
    # The width for one layer, however near the next one is.
    scales = torch.tensor([1.0, 1.0, DISC_THICKNESS]).log() + math.log(WIDTH * spacing)
    return _Covered(replace(flat, log_scales=scales.expand(len(points), 3)), _tensor(normals), *hidden)


def _picture(scene: _Covered | Splats, camera: Cameras) -> NDArray[np.uint8]:
    """The picture from one camera: (1,128,128,4)."""
    splats = scene.visible_from(camera) if isinstance(scene, _Covered) else scene
    side = SUPERSAMPLING * SIDE
    render = render_splats(splats, camera, side, side, torch.zeros(1, 3))
    fine = torch.cat([render.rgb, render.alpha], -1).movedim(-1, 1)
    coarse = F.interpolate(fine, (SIDE, SIDE), mode="area").movedim(1, -1)
    alpha = coarse[..., 3:]
    colour = torch.where(alpha > EMPTY, coarse[..., :3] / alpha.clamp(min=EMPTY), 0)
    picture: NDArray[np.uint8] = (torch.cat([colour, alpha], -1).clamp(0, 1) * 255).round().byte().cpu().numpy()
    return picture


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

"""Measures how well a mesh covers its splats: `python -m backend.studies.evaluate.outline FOLDER...` of finished jobs.

The overlap (intersection over union, 0 to 1) of both silhouettes from eight sides: of the splats where their alpha is
above a half, of the mesh by filling its triangles.  Rendered as discs, the mesh would look thicker than it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from backend.cameras import Cameras, orbit
from backend.export.mesh import Surface, extract_mesh
from backend.export.views import photograph
from backend.run.folder import JobFolder
from backend.scenes.splats import Splats
from backend.studies.evaluate.references import ELEVATION

VIEWS, SIDE = 8, 256
Masks = NDArray[np.bool_]


def filled(surface: Surface, cameras: Cameras, side: int = SIDE) -> Masks:
    """The mesh's silhouettes (V,side,side)."""
    masks = []
    for intrinsics, view in zip(cameras.intrinsics(side, side).numpy(), cameras.viewmats.numpy(), strict=True):
        seen = (surface.vertices @ view[:3, :3].T + view[:3, 3]) @ intrinsics.T
        picture = Image.new("1", (side, side))
        draw = ImageDraw.Draw(picture)
        for corners in (seen[:, :2] / seen[:, 2:])[surface.faces]:
            draw.polygon([(float(x), float(y)) for x, y in corners], fill=1)
        masks.append(np.asarray(picture))
    return np.stack(masks)


def overlap(splats: Splats, surface: Surface) -> float:
    """Intersection over union of both silhouettes, from all sides together."""
    cameras = orbit(VIEWS, elevation=ELEVATION)
    # The renderer widens splats by half a pixel; larger pictures, subsampled, make that smaller.
    solid = photograph(splats, cameras, 2 * SIDE, 0.0).alpha[:, ::2, ::2] > 0.5
    mesh = filled(surface, cameras)
    return float((solid & mesh).sum() / (solid | mesh).sum())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        splats = JobFolder(Path(name)).splats()
        print(f"{overlap(splats, extract_mesh(splats)):.3f}  {name}")

"""Draws splats in the viewport, while they form and after their import, in every kind of shading.

It is a draw handler of the 3D views.  The timer only stores arrays (`show`).  They are packed, sorted and drawn when
the viewport draws, and packed and sorted again only after a change.  Blender 5.3 and later draw imported splats
themselves.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Matrix

from ..net.state import addon_state
from ..scene.placing import find_object, world_matrix
from ..scene.ply import Floats, SplatCloud
from ..shared.messages import Matrix as Rows
from .splat_shader import TEXELS, WIDTH, compiled


@dataclass
class DrawnCloud:
    """The splats of one job, and what the graphics card has of them."""

    splats: SplatCloud
    to_scene: Rows
    live: bool  # sent by a running job: drawn at the job's place where there is no object yet
    texture: Any = None
    order: Any = None
    sorted_for: bytes = b""


@dataclass
class LiveView:
    """What is drawn, by job."""

    clouds: dict[str, DrawnCloud] = field(default_factory=dict)
    _handle: Any = None
    _broken: bool = False

    def start(self) -> None:
        """Draw from now on, if Blender has a window."""
        if not bpy.app.background:
            self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_VIEW")

    def stop(self) -> None:
        """Stop drawing, and drop the arrays."""
        if self._handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        self._handle = None
        self.clouds.clear()

    @property
    def draws(self) -> bool:
        """Whether this view shows imported splats, so that their objects need not."""
        return self._handle is not None and not self._broken

    def show(self, job: str, splats: SplatCloud, to_scene: Rows, live: bool) -> None:
        """Draw these splats for a job from now on."""
        self.clouds[job] = DrawnCloud(splats, to_scene, live)

    def hide(self, job: str) -> None:
        """Draw nothing for a job."""
        self.clouds.pop(job, None)

    def place(self, job: str) -> Matrix | None:
        """Where to draw a job's splats: where their object is; None if it is hidden or deleted."""
        cloud, obj = self.clouds[job], find_object(job, "splats")
        if obj is None:
            return world_matrix(job, cloud.to_scene) if cloud.live else None
        if isinstance(obj.data, bpy.types.PointCloud) and not cloud.live:
            return None
        return obj.matrix_world.copy() if obj.visible_get() else None

    def _draw(self) -> None:
        if self._broken or not _wanted(bpy.context):
            return
        try:
            self._draw_all()
        except Exception as error:  # otherwise every redraw would print it again
            self._broken = True
            addon_state.say(f"This graphics driver cannot draw the live splats ({error}).", traceback.format_exc())

    def _draw_all(self) -> None:
        region = cast(bpy.types.RegionView3D, bpy.context.region_data)  # a 3D view has one
        placed = [(self.place(job), cloud) for job, cloud in self.clouds.items() if len(cloud.splats)]
        views = [(region.view_matrix @ matrix, cloud) for matrix, cloud in placed if matrix is not None]
        for view, cloud in sorted(views, key=lambda pair: pair[0].translation.z):  # the farthest first
            draw_cloud(cloud, view, region.window_matrix)


def _wanted(context: bpy.types.Context) -> bool:
    """Whether the scene's settings ask for this view."""
    scene: Any = context.scene  # the stubs do not know the property
    return bool(scene.splatsmith.show_live)


def draw_cloud(cloud: DrawnCloud, view: Matrix, projection: Matrix) -> None:
    """Draw into the current viewport; `view` is the matrix from the cloud's own space to the camera's."""
    import gpu

    shader, quad = compiled()
    if cloud.texture is None:
        cloud.texture = _texture(texels(cloud.splats), "RGBA32F")
    direction = np.array(view.row[2][:3], np.float32)
    if cloud.sorted_for != direction.tobytes():
        cloud.order, cloud.sorted_for = (
            _texture(back_to_front(cloud.splats.positions, direction), "R32F"),
            direction.tobytes(),
        )
    _, _, width, height = gpu.state.viewport_get()
    window = gpu.types.GPUUniformBuf(gpu.types.Buffer("FLOAT", 4, (width, height, 0, 0)))
    shader.bind()
    shader.uniform_float("view", view)
    shader.uniform_float("projection", projection)
    shader.uniform_block("window", window)
    shader.uniform_sampler("splats", cloud.texture)
    shader.uniform_sampler("order", cloud.order)
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(False)
    try:
        quad.draw_instanced(shader, instance_count=len(cloud.splats))
    finally:
        gpu.state.blend_set("NONE")
        gpu.state.depth_test_set("NONE")
        gpu.state.depth_mask_set(True)


def texels(splats: SplatCloud) -> Floats:
    """What the shader reads, (rows, WIDTH, 4)."""
    count = len(splats)
    packed = np.zeros((_rows(count * TEXELS) * WIDTH, 4), np.float32)
    each = packed[: count * TEXELS].reshape(count, TEXELS, 4)
    each[:, 0, :3], each[:, 0, 3] = splats.positions, splats.opacities
    each[:, 1] = splats.rotations
    each[:, 2, :3] = splats.scales
    each[:, 3, :3] = splats.srgb
    return packed.reshape(-1, WIDTH, 4)


def back_to_front(positions: Floats, direction: Floats) -> Floats:
    """The indices of the splats, the farthest first, (rows, WIDTH, 1); `direction` (3,) points to the viewer."""
    order = np.zeros(_rows(len(positions)) * WIDTH, np.float32)  # exact up to 16 million
    order[: len(positions)] = np.argsort(positions @ direction)
    return order.reshape(-1, WIDTH, 1)


def _rows(count: int) -> int:
    return max(-(-count // WIDTH), 1)


def _texture(values: Floats, kind: str) -> Any:
    import gpu

    rows, width, _ = values.shape
    return gpu.types.GPUTexture((width, rows), format=kind, data=gpu.types.Buffer("FLOAT", values.size, values.ravel()))


live_view = LiveView()

"""Makes objects of a job's results, or updates those that are in its collection already."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy
import numpy as np

from ..net.rows import Delivery
from ..shared.messages import JobState, Mesh, Splats
from .blender_types import custom_property, data_of
from .importers.mesh import MeshFileError, import_mesh
from .importers.splats import MODIFIER, import_splats, raise_transparency_limits, update_splats
from .placing import JOB, ROLE, Role, find_collection, find_object, local_matrix, make_collection, splat_objects
from .ply import SplatCloud

# The authors of the objects in a result, one a line; exporters write custom properties too.
CREDITS = "splatsmith_credits"


class ResultError(ValueError):
    """A result that cannot be imported: one sentence."""


def place_result(
    scene: bpy.types.Scene, delivery: Delivery, state: JobState, version: str
) -> tuple[bpy.types.Object, bpy.types.Object | None]:
    """Make or update the splat object and the mesh of a job, and return them.

    If the newer result has no mesh, an older mesh is kept, hidden, and no longer belongs to the job.

    Raises:
        ResultError: what came cannot be shown, and nothing was made.
        MeshFileError: the mesh cannot be shown; the splats are placed, and an older mesh is as it was.
    """
    assert delivery.splats is not None
    cloud = cloud_of(delivery.splats)
    if not all(np.isfinite(array).all() for array in vars(cloud).values()):
        raise ResultError("The result holds splats that are no numbers: run the job again with another seed.")
    collection = find_collection(state.job) or make_collection(scene, state.job, state.prompt)
    splats = _place_splats(cloud, delivery.splats, collection)
    problem: MeshFileError | None = None
    if delivery.mesh is None and not delivery.expects_mesh:
        _keep_earlier_mesh(state.job)
    elif delivery.mesh is not None:
        try:
            _place_mesh(delivery.mesh, collection)
        except MeshFileError as error:
            problem = error
    mesh = find_object(state.job, "mesh")
    for holder in filter(None, (collection, splats, mesh)):
        holder["prompt"], holder["objective"], holder["seed"] = state.prompt, state.objective, str(state.seed)
        holder["backend_version"], holder[JOB] = version, state.job
    for holder in filter(None, (find_object(state.job, "place"), splats, mesh)):
        if state.credits or custom_property(holder, CREDITS) is not None:
            holder[CREDITS] = "\n".join(state.credits)
    raise_transparency_limits(scene)
    _shrink_place(state.job)
    show_only(state.job, "splats")
    if problem is not None:
        raise problem
    return splats, mesh


def show_only(job: str, role: Role) -> None:
    """Show the splats or the mesh, and hide the other, also in renders: they stand in the same place."""
    for other in ("splats", "mesh"):
        obj = find_object(job, other)
        if obj is not None:
            obj.hide_viewport = obj.hide_render = other != role


def shown_role(job: str) -> Role | None:
    """Which of the two is shown; None unless both are there."""
    splats, mesh = find_object(job, "splats"), find_object(job, "mesh")
    if splats is None or mesh is None:
        return None
    return "mesh" if splats.hide_viewport else "splats"


def cloud_of(message: Splats) -> SplatCloud:
    """The splats of a message; ResultError if they have no colour."""
    if not message.sh.shape[1]:
        raise ResultError("The backend sent splats without colours: update the backend or the add-on.")
    return SplatCloud(message.means, message.quats, message.scales, message.opacities, message.sh)


def _place_splats(cloud: SplatCloud, message: Splats, collection: bpy.types.Collection) -> bpy.types.Object:
    obj = find_object(message.job, "splats")
    if obj is not None:
        update_splats(obj, cloud)
        return obj
    obj = import_splats(cloud, f"{collection.name} splats", collection)
    obj[ROLE] = "splats"
    obj.parent = find_object(message.job, "place")
    obj.matrix_basis = local_matrix(obj.parent, message.to_scene)
    return obj


def _place_mesh(message: Mesh, collection: bpy.types.Collection) -> None:
    with tempfile.TemporaryDirectory(prefix="splatsmith-") as folder:
        file = Path(folder) / "mesh.glb"
        file.write_bytes(message.glb.tobytes())
        obj = import_mesh(file, f"{collection.name} mesh", collection)
    old, own = find_object(message.job, "mesh"), obj.matrix_world.copy()
    if old is not None and old.type == "MESH":
        _update_mesh(old, obj)
        return
    obj[ROLE] = "mesh"
    obj.parent = find_object(message.job, "place")
    obj.matrix_basis = local_matrix(obj.parent, message.to_scene) @ own
    if old is not None:  # the artist has converted it, to a curve for example
        obj.parent, obj.matrix_basis = old.parent, old.matrix_basis.copy()
        former = data_of(old)
        bpy.data.objects.remove(old)
        _remove_with_materials(former)


def _keep_earlier_mesh(job: str) -> None:
    """Hide the mesh of an earlier step under a name that says so: it does not belong to the new splats."""
    obj = find_object(job, "mesh")
    if obj is not None:
        del obj[ROLE]
        obj.name = f"{obj.name} (earlier)"
        obj.hide_viewport = obj.hide_render = True


def _update_mesh(obj: bpy.types.Object, newer: bpy.types.Object) -> None:
    """Replace the object's mesh by the newer one; its transform and modifiers stay, as with splats."""
    old, name = data_of(obj), data_of(obj).name
    obj.data = newer.data
    bpy.data.objects.remove(newer)
    _remove_with_materials(old)
    data_of(obj).name = name


def _remove_with_materials(data: bpy.types.ID) -> None:
    """Remove an object's former data unless it is used, and those of its materials and images that are not."""
    if data.users:
        return
    materials = [material for material in getattr(data, "materials", ()) if material]
    trees = [
        material.node_tree for material in materials if material.node_tree
    ]  # there is none where nodes are switched off
    images = [node.image for tree in trees for node in tree.nodes if node.type == "TEX_IMAGE"]
    bpy.data.batch_remove([data])
    for unused in (materials, images):
        bpy.data.batch_remove({left for left in unused if left is not None and left.users == 0})


def _shrink_place(job: str) -> None:
    """Make the place a small cross, now that its result stands there."""
    place = find_object(job, "place")
    if place is not None and place.empty_display_type == "SPHERE":
        place.empty_display_type = "PLAIN_AXES"
        place.empty_display_size /= 4
        place.show_in_front = False


def hide_cubes(drawn_live: bool) -> None:
    """Hide the cubes of imported splats in the viewport while the live view draws the splats; renders keep them.

    Without its cubes Blender would draw every point in black, so such an object shows as a box, which can be clicked.
    """
    for _, obj in splat_objects():
        modifier = obj.modifiers.get(MODIFIER)
        if modifier is not None and modifier.show_viewport == drawn_live:
            modifier.show_viewport = not drawn_live
            obj.display_type = "BOUNDS" if drawn_live else "TEXTURED"

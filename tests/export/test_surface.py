"""The surface against objects whose true surface is a formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from shapes import sphere, together

from backend.cameras import orbit
from backend.export.density_field import LOW_PASS, density_field, extent
from backend.export.mesh import Surface, SurfaceError, as_surface, extract_mesh, unpinched
from backend.export.silhouettes import Silhouettes, ray_maxima, surface_level
from backend.export.solid import closed
from backend.export.texture import bake, unwrap, write_glb
from backend.render import SH_C0
from backend.scenes.initial import discs
from backend.scenes.splats import Splats
from backend.studies.bench.mesh import torus, torus_distance


def ball(sigma=(0.3, 0.3, 0.3), opacity: float = 0.9) -> Splats:
    """One splat in the origin, turned about z by 90 degrees."""
    half = 0.5**0.5
    return Splats(
        torch.zeros(1, 3),
        torch.tensor([[half, 0.0, 0.0, half]]),
        torch.tensor([sigma]).log(),
        torch.tensor([opacity]).logit(),
        torch.full((1, 1, 3), 0.2 / SH_C0),
    )


def mesh_of(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def points_on(surface: Surface) -> np.ndarray:
    return trimesh.sample.sample_surface(mesh_of(surface), 10_000, seed=1)[0]


def test_field_of_one_splat_is_its_gaussian():
    """Turned by 90 degrees about z, the long axis of the splat lies along y; the grid adds its low-pass."""
    splats = ball(sigma=(0.3, 0.1, 0.1), opacity=0.8)
    field = density_field(splats, *extent(splats), 48)
    index = np.stack(np.meshgrid(*map(np.arange, field.values.shape), indexing="ij"), -1)
    points = field.origin + field.spacing * index
    exponent = points**2 / (np.array([0.1, 0.3, 0.1]) ** 2 + (LOW_PASS * field.spacing) ** 2)
    truth = np.where(exponent.sum(-1) < 9, 0.8 * np.exp(-exponent.sum(-1) / 2), 0)
    assert np.isclose(field.values, truth, atol=1e-4).mean() > 0.999  # rounding moves a few across the cutoff
    assert field.values.max() > 0.75


def test_ray_maximum_of_a_gaussian_is_its_footprint():
    """From afar the largest density on a ray is exp(-r^2 / 2 s^2), r its distance from the centre."""
    splats, cameras = ball(), orbit(2)
    field = density_field(splats, *extent(splats), 96)
    maxima = ray_maxima(field, cameras)
    pixel = np.arange(128) * 2 + 0.5 - 128
    focal = float(cameras.intrinsics(256, 256)[0, 0, 0])
    angle = np.arctan(np.hypot(*np.meshgrid(pixel, pixel)) / focal)
    distance = float(cameras.distance[0]) * np.sin(angle)
    truth = 0.9 * np.exp(-(distance**2) / (2 * (0.3**2 + (LOW_PASS * field.spacing) ** 2)))
    inside = distance < 0.8
    assert np.abs(maxima[:, inside] - truth[inside]).max() < 5e-3


@pytest.mark.parametrize("opacity", [0.6, 0.75, 0.95])
def test_level_of_a_lone_splat_is_the_alpha_of_its_outline(opacity):
    splats = ball(opacity=opacity)
    silhouettes = Silhouettes.of(splats)
    level, fit = surface_level(density_field(splats, *extent(splats), 64), silhouettes)
    assert 0.8 * opacity < silhouettes.opacity < opacity
    assert level == pytest.approx(min(0.5, silhouettes.opacity / 2), abs=0.02)
    assert fit > 0.98


def test_outline_of_an_opaque_thing_is_drawn_at_one_half(ring):
    silhouettes = Silhouettes.of(ring)
    assert silhouettes.opacity > 0.99
    assert 0.1 < silhouettes.solid.mean() < 0.5


def test_torus_is_one_closed_body_near_the_truth(ring_surface):
    mesh, voxel = mesh_of(ring_surface), 1.7 / 95
    assert mesh.is_volume
    assert mesh.body_count == 1
    assert mesh.euler_number == 0  # one hole, no more
    assert 5000 < len(mesh.faces) <= 6000
    assert ring_surface.warnings == ()
    error = torus_distance(points_on(ring_surface))
    assert np.abs(error).mean() < 0.7 * voxel
    assert np.abs(error).max() < 1.5 * voxel


@pytest.mark.parametrize("opacity", [0.9, 0.3])
def test_surface_does_not_move_with_opacity(opacity):
    """A fixed level would: the density is three times as high in one as in the other."""
    surface = extract_mesh(torus(8000, opacity), resolution=96, faces=6000)
    assert np.abs(torus_distance(points_on(surface))).mean() < 0.7 * 1.7 / 95
    assert mesh_of(surface).is_volume


def test_sparse_shell_is_filled_not_doubled():
    """Random gaps: without the closing the inside is connected with the outside and the mesh has two walls."""
    generator = np.random.default_rng(0)
    splats = sphere(0.8, 6000)
    keep = torch.tensor(generator.random(6000) < 0.6)
    surface = extract_mesh(splats.map(lambda v: v[keep]), resolution=80, faces=4000)
    mesh = mesh_of(surface)
    assert mesh.is_volume
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.06)


def test_closing_takes_nothing_away_and_keeps_a_sheet_thin():
    sheet = sphere(0.8, 4000)
    sheet.means[:, 2] = 0  # flattened to a disc: no inside to fill
    splats = Splats(sheet.means, torch.tensor([[1.0, 0, 0, 0]]).repeat(4000, 1), *list(vars(sheet).values())[2:])
    field = density_field(splats, *extent(splats), 80)
    level, _ = surface_level(field, Silhouettes.of(splats))
    solid = closed(field, level)
    assert (solid.values[field.values > level] > 0).all()
    assert np.ptp(np.argwhere(solid.values > 0)[:, 2]) <= 4


def test_every_large_body_is_kept():
    """A wheel beside its frame, as it were: the splats between them are too thin for a voxel."""
    splats = together(sphere(0.5, 4000, centre=(0.3, 0, 0)), sphere(0.2, 1000, centre=(-0.7, 0, 0)))
    surface = extract_mesh(splats, resolution=80, faces=4000)
    mesh = mesh_of(surface)
    assert surface.warnings == ()
    assert mesh.is_watertight
    assert mesh.body_count == 2
    small, large = sorted(float(body.volume) for body in mesh.split())
    assert small == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=0.25)
    assert large == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.15)


def test_crumbs_are_removed():
    crumb = sphere(0.06, 60, centre=(-0.8, 0, 0))
    surface = extract_mesh(together(sphere(0.5, 4000, centre=(0.3, 0, 0)), crumb), resolution=80, faces=4000)
    assert surface.vertices[:, 0].min() > -0.3
    assert mesh_of(surface).body_count == 1


def test_one_stray_splat_does_not_coarsen_the_object():
    stray = ball(sigma=(0.02, 0.02, 0.02))
    stray.means[0, 0] = 6.0
    surface = extract_mesh(together(sphere(0.8, 4000), stray), resolution=80, faces=4000)
    radius = np.linalg.norm(points_on(surface), axis=1)
    assert np.abs(radius - 0.8).mean() < 0.02


def test_too_transparent_empty_and_nan_are_refused():
    with pytest.raises(SurfaceError, match=r"too transparent .* 0\.2 is needed"):
        extract_mesh(sphere(0.8, 500, opacity=0.02))
    with pytest.raises(SurfaceError, match="no splats"):
        extract_mesh(ball().map(lambda v: v[:0]))
    broken = ball()
    broken.means[0, 1] = float("nan")
    with pytest.raises(SurfaceError, match="NaN"):
        extract_mesh(broken)


def blocks(*cells: tuple[int, int]) -> trimesh.Trimesh:
    """Unit boxes on a plane, without the walls between two of them."""
    boxes = [trimesh.creation.box().apply_translation([*cell, 0]) for cell in cells]
    whole = trimesh.util.concatenate(boxes)
    walls = np.concatenate(
        [np.asarray([*cell, 0]) + box.face_normals / 2 for cell, box in zip(cells, boxes, strict=True)]
    )
    _, which, counts = np.unique(walls.round(2), axis=0, return_inverse=True, return_counts=True)
    whole.update_faces(counts[which.ravel()] == 2)
    whole.merge_vertices()
    return whole


RING = ((0, 0), (-1, 0), (-1, 1), (-1, 2), (0, 2), (1, 2), (1, 1))  # its ends meet in an edge


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cells", [((0, 0), (1, 1)), RING])
def test_pinched_edges_are_separated(cells, seed):
    """Four faces meet in an edge, and which comes first must not decide whether the mesh is closed."""
    pinched = blocks(*cells)
    pinched.faces = np.random.default_rng(seed).permutation(pinched.faces)
    assert not pinched.is_watertight
    untied = unpinched(pinched)
    assert untied.is_volume
    assert untied.volume == pytest.approx(len(cells))
    assert len(untied.faces) == len(pinched.faces) + 2  # one more vertex, on the edge of two faces
    assert len(untied.vertices) == len(pinched.vertices) + 1


def test_a_flap_is_removed_and_the_rest_stays_closed():
    box = trimesh.creation.box()
    tip = [*box.faces[0][:2], len(box.vertices)]
    flapped = trimesh.Trimesh([*box.vertices, (2, 2, 2)], [*box.faces, tip, tip[::-1]], process=False)
    assert not flapped.is_watertight
    assert unpinched(flapped).is_volume
    assert unpinched(flapped).volume == pytest.approx(1)


@pytest.mark.parametrize("faces", [500, 1000, 2000, 3000])
def test_a_mesh_is_closed_however_few_faces_it_has_and_after_a_weld(tmp_path, faces):
    """A ring whose middle all but closes: decimation pinches it in several places."""
    normals = torch.nn.functional.normalize(torch.randn(1500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    ring = torch.nn.functional.normalize(normals * torch.tensor([1.0, 1.0, 0.0]), dim=-1)
    splats = discs(0.6 * ring + 0.3 * normals, normals, 0.5 + 0.4 * normals)
    surface = extract_mesh(splats, resolution=48, faces=faces)
    assert surface.warnings == ()
    assert len(surface.faces) < 1.05 * faces
    write_glb(bake(unwrap(surface, 128), splats, 128), tmp_path / "ring.glb", "ring")
    welded = trimesh.load_mesh(tmp_path / "ring.glb", process=False)
    assert not welded.is_watertight  # cut at its seams
    welded.merge_vertices(merge_tex=True, merge_norm=True)
    assert welded.is_volume


def test_an_open_mesh_gives_a_warning():
    box = trimesh.creation.box()
    box.update_faces(np.arange(len(box.faces)) > 0)
    assert "3 edges do not lie between exactly two faces" in as_surface(box).warnings[0]

"""A textured mesh as the scene: recovered from its own pictures, its penalties in closed form, and what it refuses."""

import math

import numpy as np
import pytest
import torch
import trimesh
from meta_card import META, Card, plain_adam
from msgspec.structs import replace

from backend.cameras import orbit
from backend.render.mesh import MeshTopology, draw_mesh
from backend.render.mesh_geometry import neighbours_of
from backend.scenes.adam_scene import CheckpointError
from backend.scenes.mesh_moves import Neighbourhood, face_normals, laplacian_penalty, normal_penalty, turned_over
from backend.scenes.settings import MeshSettings
from backend.scenes.textured_mesh import MeshError, MeshScene

CPU = torch.device("cpu")
GREY = torch.full((4, 3), 0.5)


def cube(cells=6):
    """A cube of 1 m, each side of many faces and with a square of the texture of its own: vertices, faces, uvs."""
    mesh = trimesh.creation.box((1, 1, 1)).subdivide_to_size(1.45 / cells)
    mesh.merge_vertices()
    vertices, faces = np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces)
    uvs = np.zeros((len(faces), 3, 2), np.float32)
    for number, (axis, sign) in enumerate((axis, sign) for axis in range(3) for sign in (-1, 1)):
        on = np.flatnonzero(np.sign(mesh.face_normals[:, axis].round()) == sign)
        flat = np.delete(vertices[faces[on]], axis, axis=2) + 0.5
        uvs[on] = (flat * 0.9 + 0.05 + np.array([number % 3, number // 3])) / 3
    return vertices, faces, uvs


def painted(side=48):
    """Stripes and ramps of all colours."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    waves = [np.sin(9 * x + 4 * y), np.cos(11 * y), np.sin(13 * x * y)]
    return np.stack([0.5 + 0.4 * wave for wave in waves], -1).astype(np.float32)


def scene(**changes):
    settings = {"lr_texture": 0.05, "lr_vertices": 0.008, "smoothing": 4, "normal_weight": 0.0, **changes}
    return MeshScene(*cube(), np.full((48, 48, 3), 0.5, np.float32), MeshSettings(**settings), 100)


def psnr(one, other):
    return float(-10 * (one - other).square().mean().log10())


def test_a_textured_cube_is_recovered_from_its_own_pictures():
    """It begins grey, and larger by a tenth on one side; pictures from other sides than those it learned from judge."""
    vertices, faces, uvs = cube()
    truth = MeshScene(vertices, faces, uvs, painted(), MeshSettings(), 1)
    swollen = vertices.copy()
    swollen[vertices[:, 0] > 0.4, 0] += 0.1
    made = MeshScene(swollen, faces, uvs, np.full((48, 48, 3), 0.5, np.float32), scene().settings, 40)
    cameras = [orbit(2, elevation=e, start=s) for e, s in ((35.0, 10.0), (-35.0, 55.0), (35.0, 100.0), (-35.0, 145.0))]
    with torch.no_grad():
        targets = [truth.render(some, 64, 64, GREY[:2]).picture(4) for some in cameras]
        unseen = orbit(4, elevation=10.0, start=33.0)
        before = psnr(made.render(unseen, 64, 64, GREY).picture(4), truth.render(unseen, 64, 64, GREY).picture(4))
    for step in range(40):
        render = made.render(cameras[step % 4], 64, 64, GREY[:2])
        ((render.picture(4) - targets[step % 4]).square().sum() + made.regulariser(render)).backward()
        made.step(step, render, None)
    with torch.no_grad():
        after = psnr(made.render(unseen, 64, 64, GREY).picture(4), truth.render(unseen, 64, 64, GREY).picture(4))
        right = made.vertices[torch.from_numpy(vertices[:, 0] > 0.4)][:, 0]
    assert before < 19
    assert after > 28
    assert float((right - 0.5).abs().mean()) < 0.03


def test_averaging_keeps_what_is_constant_and_has_the_gradient_of_its_transpose():
    vertices, faces, _ = cube(3)
    around = Neighbourhood.of(faces, len(vertices) + 1, CPU)  # one vertex without a face
    same = torch.full((len(vertices) + 1, 3), 2.0)
    torch.testing.assert_close(around.smoothed(same, 7), same)
    values = torch.randn(len(vertices) + 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: around.smoothed(v, 3), (values,))


def test_the_mean_of_the_neighbours_by_hand():
    """Two triangles on the edge 1-2: vertex 0 has 1 and 2 beside it, vertex 1 has 0, 2 and 3."""
    around = Neighbourhood.of(np.array([[0, 1, 2], [2, 1, 3]]), 4, CPU)
    values = torch.tensor([[1.0], [2], [4], [8]])
    torch.testing.assert_close(around.mean(values), torch.tensor([[3.0], [13 / 3], [11 / 3], [3]]))


def test_the_penalty_on_angles_counts_a_cube_s_edges():
    """Of a cube of twelve faces: 1 - cos 90° on each of its twelve edges, and 0 on the six diagonals."""
    box = trimesh.creation.box()
    neighbours = neighbours_of(np.asarray(box.faces))
    own = np.repeat(np.arange(12), 3)
    pairs = torch.from_numpy(np.stack([own, neighbours.ravel()], 1))
    once = pairs[pairs[:, 0] < pairs[:, 1]]
    assert len(once) == 18
    vertices, faces = torch.tensor(np.asarray(box.vertices)), torch.tensor(np.asarray(box.faces))
    assert float(normal_penalty(vertices, faces, once)) == pytest.approx(12)


def test_the_penalty_on_moves_is_none_for_a_shift_and_counts_a_single_one():
    around = Neighbourhood.of(np.array([[0, 1, 2]]), 3, CPU)
    assert float(laplacian_penalty(torch.full((3, 3), 0.7), around, 0.1)) == pytest.approx(0)
    moves = torch.tensor([[0.2, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert float(laplacian_penalty(moves, around, 0.1)) == pytest.approx(4 * (1 + 1 / 4 + 1 / 4))


@pytest.mark.parametrize(("rate", "smoothing", "moves"), [(0.06, 0, True), (0.06, 4, True), (0.5, 0, False)])
def test_no_face_turns_over_whatever_the_rate(rate, smoothing, moves):
    made = scene(lr_vertices=rate, smoothing=smoothing, laplacian_weight=0.0)
    generator = torch.Generator().manual_seed(0)
    moved = 0.0
    for step in range(6):
        render = made.render(orbit(4), 16, 16, GREY)
        pull = torch.randn(made.vertices.shape, generator=generator)
        (render.alpha.sum() * 0 + (made.vertices * pull).sum()).backward()
        made.step(step, render, None)
        assert not turned_over(made.vertices, made.topology.faces, made.normals).any()
        moved = max(moved, float(made.moves.detach().abs().max()))
    assert moved > 0 or not moves


def test_a_face_turned_over_is_recognised_and_one_without_area_is_not():
    flat = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 3, 3]])
    normals = face_normals(flat, faces)
    turned = turned_over(flat * torch.tensor([-1.0, 1, 1]), faces, normals)
    assert turned.tolist() == [True, False]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_a_stopped_refinement_goes_on_to_the_last_bit(threads):
    def steps(made, numbers):
        for number in numbers:
            render = made.render(orbit(2, start=17.0 * number), 32, 32, GREY[:2])
            (render.picture(4).square().sum() + made.regulariser(render)).backward()
            made.step(number, render, None)

    straight, stopped, resumed = scene(), scene(), scene()
    steps(straight, range(4))
    steps(stopped, range(2))
    resumed.load_state_dict(stopped.state_dict())
    steps(resumed, range(2, 4))
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_state_of_another_mesh_is_refused():
    other = MeshScene(*cube(3), np.zeros((8, 8, 3), np.float32), MeshSettings(), 1)
    with pytest.raises(CheckpointError, match="not"):
        scene().load_state_dict(other.state_dict())
    with pytest.raises(CheckpointError, match="lacks"):
        scene().load_state_dict({})


def test_what_cannot_be_refined_is_refused_in_a_sentence():
    vertices, faces, uvs = cube(3)
    broken = vertices.copy()
    broken[4, 1] = math.nan
    for parts, said in (
        ((vertices, faces[:0], uvs[:0]), "has no faces"),
        ((broken, faces, uvs), "NaN or infinite"),
        ((vertices, faces + 1, uvs), "vertices that do not exist"),
    ):
        with pytest.raises(MeshError, match=said):
            MeshScene(*parts, painted(), MeshSettings(), 1)


def test_its_splats_are_discs_on_the_surface():
    made = MeshScene(*cube(), painted(), MeshSettings(), 1)
    splats = made.splats()
    assert len(splats) == len(made.topology.faces)
    assert float((splats.means.abs().amax(1) - 0.5).abs().max()) < 1e-6


def test_nothing_of_it_is_left_on_the_cpu_beside_a_card(monkeypatch):
    """torch's visibility, the penalties, a step: mixing two devices is an error there."""
    plain_adam(monkeypatch)
    settings = replace(scene().settings, normal_weight=0.1)
    made = MeshScene(*cube(), painted(), settings, 4, META)
    with Card():
        render = made.render(orbit(2), 32, 32, torch.ones(2, 3))
        (render.picture(4).sum() + made.regulariser(render)).backward()
        made.step(0, render, None)
    assert render.rgb.device == render.depth.device == META
    assert render.rgb.shape == (2, 32, 32, 3)


def test_tints_are_added_to_colours_where_their_vertex_is():
    vertices, faces, uvs = cube(3)
    given = (torch.from_numpy(vertices), MeshTopology(*map(torch.from_numpy, (faces, neighbours_of(faces), uvs))))
    cameras, tints = orbit(2), torch.from_numpy(vertices)
    views = (cameras.viewmats, cameras.intrinsics(64, 64), 64, 64)
    plain, alpha, depth = draw_mesh(*given, torch.zeros(4, 4, 3), *views)
    rgb, _, _ = draw_mesh(*given, torch.zeros(4, 4, 3), *views, tints)
    assert not plain.any()
    camera, i, j = torch.nonzero(alpha[..., 0] == 1, as_tuple=True)
    z = depth[camera, i, j]
    rays = torch.stack([j + 0.5, i + 0.5, torch.ones_like(j)], 1) @ torch.linalg.inv(views[1])[0].T
    world = torch.linalg.inv(cameras.viewmats)[camera]
    points = (world[:, :3, :3] @ (z * rays)[..., None])[..., 0] + world[:, :3, 3]
    torch.testing.assert_close(rgb[camera, i, j], points, atol=1e-4, rtol=1e-3)

"""Jobs whose scene is a radiance field: from the command line, from every start, stopped and continued."""

import json

import msgspec
import pytest
import torch
import trimesh
from start_runs import alpha, begun, fields, overlap, psnr, save_model, short_drafts

from backend.cameras import orbit
from backend.cli.main import main
from backend.guidance.rules import RULES
from backend.job.job import JobError, make_job
from backend.job.layers import over
from backend.job.tuning import default_recipe
from backend.run.events import Snapshot, Warning
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.scenes.field import FieldScene
from backend.scenes.ply import read_ply
from tests.small import MESH

FIELD = {"levels": [8, 16], "samples": 16, "splats_max": 3000}
RECIPE = {"views": 1, "stages": [{"side": 32}], "field": FIELD, "mesh": MESH, "checkpoint_every": 2}


@pytest.fixture
def job(tmp_path):
    """A job file with a recipe that is quick."""
    file = tmp_path / "small.json"
    file.write_text(json.dumps({"recipe": RECIPE}))
    return str(file)


def box(folder):
    """A red box, of 8 cm and far away."""
    mesh = trimesh.creation.box((0.08, 0.06, 0.1))
    mesh.visual.vertex_colors = [200, 30, 30, 255]
    mesh.apply_translation((30, -20, 10))
    mesh.export(folder / "box.ply")
    return folder / "box.ply"


def test_a_whole_job_leaves_every_file_and_says_what_it_cannot_use(tmp_path, job, capsys):
    settings = json.loads((tmp_path / "small.json").read_text())
    settings["recipe"]["splats"] = {"cap_max": 900, "growth": "none"}
    (tmp_path / "small.json").write_text(json.dumps(settings))
    out = tmp_path / "out"
    options = ["--prompt", "a red box", "--scene", "field", "--steps", "3", "--init-mesh", str(box(tmp_path))]
    assert main(["generate", "--job", job, *options, "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "job.json", "events.jsonl", "checkpoint.safetensors", "history.safetensors", "splats.ply", "mesh.glb",
        "turntable.png", "turntable.webp", "metrics.json", "writer.json",
    }  # fmt: skip
    written = json.loads((out / "job.json").read_text())
    assert (written["scene"], written["recipe"]["field"]["levels"]) == ("field", [8, 16])
    metrics = json.loads((out / "metrics.json").read_text())
    unused = (
        "Not used: recipe.splats.cap_max, recipe.splats.growth; the scene is a radiance field, set by recipe.field."
    )
    assert unused in metrics["notes"]
    shown = " ".join("".join(capsys.readouterr()).split())
    assert f"Note: {unused}" in shown
    splats = read_ply(out / "splats.ply")
    assert len(splats) == metrics["splats"] <= 3000
    torch.testing.assert_close(splats.means.mean(0), torch.tensor([30.0, -20, 10]), atol=0.05, rtol=0)
    loaded = trimesh.load(out / "mesh.glb")
    assert loaded.extents.max() < 0.3


def test_stop_and_continue_gives_the_same_splats(tmp_path):
    chosen = {"prompt": "a red box", "scene": "field", "recipe": {**RECIPE, "steps": 6}}
    straight, stopped = (begun(tmp_path, name, **chosen) for name in ("straight", "stopped"))
    list(straight.steps(6))
    straight.save()
    list(stopped.steps(3))
    stopped.save()
    resumed = Session.resume(JobFolder(tmp_path / "stopped"))
    assert resumed.step == 3
    list(resumed.steps(6))
    resumed.save()
    one, other = (tmp_path / name / "splats.ply" for name in ("straight", "stopped"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scene": "voxels"}, "scene: 'voxels' is not one of splats, field."),
        ({"scene": "field", "recipe": {"field": {"levels": [64, 32]}}}, "levels must rise, not 64, 32"),
        ({"scene": "field", "recipe": {"field": {"samples": 1}}}, "recipe.field.samples: expected `int` >= 4"),
        ({"scene": "field", "recipe": {"field": {"voxels": 1}}}, "recipe.field: "),
    ],
)
def test_bad_input_is_one_sentence(change, said):
    with pytest.raises(JobError) as error:
        make_job({"prompt": "a box", **change})
    assert said in str(error.value)


def test_the_field_s_settings_are_told_where_the_scene_is_splats(tmp_path):
    session = begun(tmp_path, prompt="a red box", recipe={**RECIPE, "steps": 2})
    notes = [event.text for event in session.steps(1) if isinstance(event, Warning)]
    assert any(
        note.startswith("Not used: recipe.field.levels, recipe.field.samples, recipe.field.splats_max")
        for note in notes
    )


def test_nothing_is_said_where_nothing_was_set(tmp_path):
    session = begun(tmp_path, prompt="a red box", scene="field", recipe={"stages": [{"side": 32}], "views": 1})
    assert not any("Not used" in note for note in session.notes)


@pytest.mark.parametrize("objective", RULES)
def test_every_rule_takes_steps_on_it(tmp_path, objective):
    recipe = {**RECIPE, "steps": 4}
    session = begun(tmp_path, prompt="a red box", objective=objective, scene="field", recipe=recipe)
    before = session.run.scene.grid.detach()
    list(session.steps(2))
    assert session.step == 2
    assert session.run.scene.finite()
    # A twin is the prior itself until it has learned a view: there is no difference to follow yet.
    assert objective in ("vsd", "asd", "dreamflow") or not torch.equal(session.run.scene.grid.detach(), before)


def test_a_snapshot_for_the_live_view_is_splats(tmp_path):
    session = begun(tmp_path, prompt="a red box", scene="field", recipe={**RECIPE, "steps": 2})
    shown = [event for event in session.steps(2, show_seconds=1e-6) if isinstance(event, Snapshot)]
    assert 16 <= len(shown[-1].splats) <= 3000


def test_another_scene_looks_the_tables_up_again():
    file = msgspec.to_builtins(make_job({"prompt": "a chair"}))
    changed, notes = over(file, {"scene": "field"})
    job = make_job(changed)
    assert job.recipe == default_recipe("vdm", "embedded", "normal", scene="field")
    assert job.recipe.side(1.0) == 64 != default_recipe("vdm", "embedded").side(1.0)
    assert notes == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory)


@torch.no_grad()
def drawn(scene):
    return scene.render(orbit(4), 64, 64, torch.ones(4, 3))


def test_it_starts_from_a_mesh(tmp_path):
    recipe = {"steps": 2, "field": {"levels": [16, 64]}}
    session = begun(tmp_path, prompt="a red box", scene="field", init_mesh=str(box(tmp_path)), recipe=recipe)
    made = begun(tmp_path, "splats", prompt="a red box", init_mesh=str(box(tmp_path)), recipe={"steps": 2})
    assert overlap(drawn(session.run.scene).alpha[..., 0], alpha(made.run.scene.splats())) > 0.8
    inside = drawn(session.run.scene).rgb[:, 32, 32]
    torch.testing.assert_close(inside, torch.tensor([[200.0, 30, 30]]).expand(4, 3) / 255, atol=0.15, rtol=0)
    torch.testing.assert_close(session.to_scene[:3, 3], torch.tensor([30.0, -20, 10]))


def test_it_starts_from_a_draft_and_from_a_job(tmp_path, model, monkeypatch):
    short_drafts(monkeypatch)
    recipe = {**RECIPE, "steps": 2}
    session = begun(tmp_path, **fields(model, scene="field", recipe=recipe))
    assert session.drafting
    list(session.steps(0))
    assert isinstance(session.run.scene, FieldScene)
    assert float(drawn(session.run.scene).alpha.max()) > 0.3
    session.save()
    later = begun(tmp_path, "later", **fields(model, scene="field", start="job", start_from=str(tmp_path / "out"),
                                              recipe={"field": {"levels": [16, 64]}, "steps": 2}))  # fmt: skip
    source = JobFolder(tmp_path / "out").splats()
    assert psnr(drawn(later.run.scene).alpha[..., 0], alpha(source)) > 14
    again = Session.resume(JobFolder(tmp_path / "out"))
    assert torch.equal(again.run.scene.grid, session.run.scene.grid)

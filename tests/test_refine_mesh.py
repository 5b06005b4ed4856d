"""Refining a job's mesh: every rule takes steps, it stops and goes on to the last bit, and what ends it is told."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from start_runs import begun

from backend.cli.main import main
from backend.export.mesh import as_surface
from backend.export.texture import TexturedMesh, unwrap
from backend.guidance.rules import RULES
from backend.job.job import JobError, make_job
from backend.job.tuning import default_recipe
from backend.run.events import MeshStep, Preview, Warning
from backend.run.refine import Refinement, refine, refining
from backend.service.as_messages import event_message
from shared.messages import Progress

SIDE = 64  # of the texture
IDENTITY = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


@pytest.fixture(scope="module")
def ball():
    """A grey ball of 320 faces, unwrapped."""
    shape = unwrap(as_surface(trimesh.creation.icosphere(2, radius=0.6)), SIDE)
    return TexturedMesh(shape, np.full((SIDE, SIDE, 3), 128, np.uint8), 1.0)


def session(tmp_path, name="out", steps=4, **changes):
    """A job of one step whose mesh is to be refined."""
    recipe = {"steps": 1, "views": 1, "stages": [{"side": 32}], "mesh": {"refine_steps": steps, "lr_vertices": 0.01}}
    return begun(tmp_path, name, **{"prompt": "a red apple", "recipe": recipe, **changes})


def refined(made, mesh, stop_after=None):
    """The events, and the last mesh that was kept."""
    kept, seen = [], []
    events = refine(made, mesh, kept.append, made.folder)
    for event in events:
        seen.append(event)
        if isinstance(event, MeshStep) and event.step == stop_after:
            break
    events.close()
    return seen, kept[-1] if kept else None


def same(one, other):
    parts = ("vertices", "normals", "uvs", "faces")
    shapes = all(np.array_equal(getattr(one.shape, part), getattr(other.shape, part)) for part in parts)
    return shapes and np.array_equal(one.texture, other.texture)


@pytest.mark.parametrize("objective", RULES)
def test_every_rule_refines(objective, tmp_path, ball):
    made = session(tmp_path, steps=2, objective=objective)
    before = {name: value.clone() for name, value in made.run.objective.state_dict().items()}
    seen, mesh = refined(made, ball)
    assert [event.step for event in seen if isinstance(event, MeshStep)] == [1, 2]
    assert np.isfinite(mesh.shape.vertices).all()
    # A twin is the prior itself until it has learned a view: there is no difference to follow yet.
    assert objective in ("vsd", "asd", "dreamflow") or not same(mesh, ball)
    after = made.run.objective.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())  # the run can go on


def test_stopped_and_continued_it_is_the_same_to_the_last_bit(tmp_path, ball):
    _, straight = refined(session(tmp_path, "straight"), ball)
    stopped = session(tmp_path, "stopped")
    _, half = refined(stopped, ball, stop_after=2)
    assert not same(half, ball)  # kept as far as it is refined
    assert not same(half, straight)
    seen, whole = refined(stopped, ball)
    assert [event.step for event in seen if isinstance(event, MeshStep)] == [3, 4]
    assert same(whole, straight)
    seen, again = refined(stopped, ball)
    assert not [event for event in seen if isinstance(event, MeshStep)]  # nothing is left to do
    assert same(again, straight)


def test_another_mesh_is_begun_anew(tmp_path, ball):
    made = session(tmp_path, steps=2)
    refined(made, ball)
    other = replace(ball, texture=ball.texture + 1)
    assert Refinement(made, other, made.folder).step == 0
    (made.folder / "refinement.safetensors").write_bytes(b"damaged")
    assert Refinement(made, ball, made.folder).step == 0


def test_the_prior_s_calls_of_all_sessions_are_counted(tmp_path, ball):
    straight, stopped = session(tmp_path, "straight"), session(tmp_path, "stopped")
    refined(straight, ball)
    refined(stopped, ball, stop_after=2)
    later = session(tmp_path, "later")
    (later.folder / "refinement.safetensors").write_bytes((stopped.folder / "refinement.safetensors").read_bytes())
    refined(later, ball)
    assert later.cost()["prior_calls"] == straight.cost()["prior_calls"] > 0


def test_it_takes_the_levels_and_the_side_of_the_run_s_end(tmp_path, ball):
    recipe = default_recipe("vdm", "embedded")
    assert refining(recipe).timesteps == recipe.timesteps
    large = refining(default_recipe("sds", "/some/model"))
    assert (large.timesteps.low_end, large.timesteps.high_end) == (0.02, 0.5)
    made = session(tmp_path, steps=2)
    seen, _ = refined(made, ball)
    levels = [event.metrics["t"] for event in seen if isinstance(event, MeshStep)]
    assert all(100 <= level <= 500 for level in levels)


def test_a_mesh_that_cannot_be_refined_is_told(tmp_path, ball):
    broken = ball.shape.vertices.copy()
    broken[3] = math.nan
    made = session(tmp_path)
    (told,), kept = refined(made, replace(ball, shape=replace(ball.shape, vertices=broken)))
    assert told == Warning("The mesh was not refined: The mesh has NaN or infinite numbers, so it cannot be refined.")
    assert kept is None
    empty = replace(ball.shape, faces=ball.shape.faces[:0])
    (told,), kept = refined(made, replace(ball, shape=empty))
    assert told.text.startswith("The mesh was not refined: The mesh has no faces")


class Broken:
    """An objective whose gradient is none, or for which there is no memory."""

    def __init__(self, error=None):
        self.error = error

    def gradient(self, batch):
        if self.error:
            raise self.error
        return batch.score("one", batch.x * math.nan, batch.x, batch.x)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            None,
            "The mesh was refined for 0 of 4 steps only: Step 1: a number became infinite or NaN, 10 times in a row.",
        ),
        (torch.OutOfMemoryError("out of memory"), "The mesh was refined for 0 of 4 steps only, as memory ran out: "),
    ],
)
def test_what_ends_it_early_is_told_and_the_mesh_is_kept(error, said, tmp_path, ball):
    made = session(tmp_path)
    made.run.objective = Broken(error)
    seen, mesh = refined(made, ball)
    assert seen[-1].text.startswith(said)
    assert np.allclose(mesh.shape.vertices, ball.shape.vertices)


def test_the_progress_of_the_mesh_is_a_stage_of_its_own(tmp_path, ball):
    seen, _ = refined(session(tmp_path, steps=1), ball)
    step, picture = seen
    message = event_message(step, "0" * 32, IDENTITY)
    assert isinstance(message, Progress)
    assert (message.stage, message.step, message.of, message.metrics) == ("mesh", 1, 1, step.metrics)
    assert isinstance(picture, Preview)
    assert picture.image.shape == (192, 192, 3)
    assert picture.image.min() < 250  # the ball is in it


@pytest.mark.parametrize(
    ("mesh", "said"),
    [
        ({"refine_steps": -1}, "recipe.mesh.refine_steps: expected `int` >= 0"),
        ({"refine_steps": "many"}, "recipe.mesh.refine_steps: expected `int`"),
        ({"refine": 3}, "recipe.mesh: "),
    ],
)
def test_bad_input_is_one_sentence(mesh, said):
    with pytest.raises(JobError) as error:
        make_job({"prompt": "a box", "recipe": {"mesh": mesh}})
    assert said in str(error.value)


def test_the_command_line_says_how_many_steps(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["generate", "--prompt", "an apple", "--refine-mesh", "-3", "--out", out]) == 2
    assert "recipe.mesh.refine_steps" in " ".join("".join(capsys.readouterr()).split())
    assert main(["generate", "--continue", out, "--refine-mesh", "3"]) == 2
    assert "no splats yet" in " ".join("".join(capsys.readouterr()).split())


def test_a_job_says_nothing_of_it_by_default():
    job = make_job({"prompt": "a chair"})
    assert job.recipe.mesh.refine_steps == 0
    assert json.loads(json.dumps(job.said)) == {}

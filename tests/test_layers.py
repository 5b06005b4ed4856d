"""A job file, and what is said over it: what was said apart from what was taken from the tables."""

import json

import msgspec
import pytest

from backend.cli.job_fields import job_fields
from backend.cli.options import parser
from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.job.layers import over, said_of
from backend.job.tuning import default_recipe
from backend.priors.kit import EMBEDDED
from backend.run.folder import JobFolder


def written(tmp_path, **fields):
    """The job file of a run that was asked for so."""
    folder = JobFolder(tmp_path / "run")
    folder.begin(make_job({"prompt": "a chair", **fields}))
    return folder.path / "job.json"


def again(file, *said):
    return make_job(job_fields(parser().parse_args(["generate", "--job", str(file), *said])))


def test_a_job_file_gives_the_same_job_again_whatever_the_tables_say_now(tmp_path):
    file = written(tmp_path, recipe={"steps": 77})
    job = JobFolder(tmp_path / "run").job()
    assert again(file) == job
    tables_then = json.loads(file.read_text())
    tables_then["recipe"]["splats"]["lr_colour"] = 0.5  # as if they had been others
    file.write_text(json.dumps(tables_then))
    assert again(file, "--seed", "4").recipe.splats.lr_colour == 0.5
    assert again(file, "--seed", "4").recipe.steps == 77


@pytest.mark.parametrize(("quality", "steps"), [("draft", 200), ("high", 1000)])
def test_quality_said_later_is_another_length_and_number(tmp_path, quality, steps):
    """400 steps become 200 or 1,000; what somebody chose is kept."""
    file = written(tmp_path, recipe={"views": 2})
    job, tuned = again(file, "--quality", quality), default_recipe("vdm", EMBEDDED, quality)
    assert (job.quality, job.recipe.steps) == (quality, steps)
    assert job.recipe == msgspec.structs.replace(tuned, views=2)
    assert job.said == {"views": 2}
    assert again(file, "--quality", quality, "--steps", "9").recipe.steps == 9
    chosen = again(written(tmp_path, recipe={"steps": 77}), "--quality", quality).recipe
    assert chosen == msgspec.structs.replace(tuned, steps=77)


def test_keep_shape_and_a_mesh_said_later_count(tmp_path):
    file = written(tmp_path, init_mesh="x.ply", recipe={"views": 2, "splats": {"lr_colour": 0.5}})
    job = again(file, "--keep-shape", "1")
    free, kept = (default_recipe("vdm", EMBEDDED, keep_shape=keep) for keep in (0.0, 1.0))
    assert job.recipe.splats == msgspec.structs.replace(kept.splats, lr_colour=0.5) != free.splats
    assert job.recipe.timesteps == kept.timesteps
    without = written(tmp_path, keep_shape=1.0)
    assert json.loads(without.read_text())["recipe"]["splats"]["lr_means"] == free.splats.lr_means
    assert again(without, "--init-mesh", "x.ply").recipe.splats == kept.splats


@pytest.mark.parametrize("objective", RULES)
def test_another_objective_has_options_of_its_own(tmp_path, objective):
    file = written(tmp_path, objective="sds", recipe={"views": 2, "options": {"guidance_scale": 3.0}})
    job, tuned = again(file, "--objective", objective), default_recipe(objective, EMBEDDED)
    options = tuned.options | ({"guidance_scale": 3.0} if objective == "sds" else {})
    assert job.recipe == msgspec.structs.replace(tuned, views=2, options=options)


def test_another_prior_has_the_recipe_of_its_kind(tmp_path):
    job = again(written(tmp_path, recipe={"views": 2}), "--prior", "some/model")
    assert job.recipe == msgspec.structs.replace(default_recipe("vdm", "some/model"), views=2)
    assert job.recipe.steps == 5000


def test_what_is_not_kept_is_told(tmp_path):
    file = json.loads(written(tmp_path, recipe={"steps": 77, "options": {"guidance_scale": 3.0}}).read_text())
    assert over(file, {"seed": 3})[1] == over(file, {"objective": "vdm"})[1] == []
    assert over(file, {"quality": "high"})[1] == ["Kept as the job file says, whatever quality is: recipe.steps."]
    (note,) = over(file, {"objective": "sds"})[1]
    assert "recipe.options.guidance_scale" in note
    assert over(file, {"quality": "high", "recipe": {"steps": 3}})[1] == []


def test_of_an_older_job_file_that_was_said_which_is_not_as_in_the_tables(tmp_path):
    file = written(tmp_path, objective="jsd", recipe={"steps": 77, "catalogue": {"mix": 0.9}})
    older = {name: value for name, value in json.loads(file.read_text()).items() if name != "said"}
    assert said_of(older) == {"steps": 77, "catalogue": {"mix": 0.9}}
    file.write_text(json.dumps(older))
    assert make_job(older).said is msgspec.UNSET
    assert again(file, "--objective", "sds").recipe.catalogue.mix == 0.9
    assert again(file, "--quality", "high").recipe.splats.initial_count == 6000
    assert again(file, "--quality", "high").recipe.steps == 77


def test_a_job_file_by_hand_says_all_that_stands_in_it(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"prompt": "a cup", "recipe": {"steps": 400, "splats": {"initial_count": 50}}}))
    assert again(file, "--prior", "some/model").recipe.steps == 400
    assert again(file, "--quality", "high").recipe.splats.initial_count == 50
    assert again(file, "--quality", "high").recipe.splats.cap_max == 16000

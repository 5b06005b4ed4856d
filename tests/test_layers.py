"""A job file with later settings over it: chosen settings are kept apart from those of the tables."""

import json

import msgspec
import pytest

from backend.cli.job_fields import job_fields
from backend.cli.options import build_parser
from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.job.layers import chosen_settings, over
from backend.job.tuning import default_recipe
from backend.priors.kit import EMBEDDED
from backend.run.folder import JobFolder


def written(tmp_path, **fields):
    """The job file of a run with these fields."""
    folder = JobFolder(tmp_path / "run")
    folder.begin(make_job({"prompt": "a chair", **fields}))
    return folder.path / "job.json"


def again(file, *options):
    return make_job(job_fields(build_parser().parse_args(["generate", "--job", str(file), *options])))


def test_a_job_file_gives_the_same_job_again_whatever_the_tables_say_now(tmp_path):
    file = written(tmp_path, recipe={"steps": 77})
    job = JobFolder(tmp_path / "run").job()
    assert again(file) == job
    tables_then = json.loads(file.read_text())
    tables_then["recipe"]["splats"]["lr_colour"] = 0.5  # as if the tables had been different
    file.write_text(json.dumps(tables_then))
    assert again(file, "--seed", "4").recipe.splats.lr_colour == 0.5
    assert again(file, "--seed", "4").recipe.steps == 77


@pytest.mark.parametrize(("quality", "steps"), [("draft", 200), ("high", 1000)])
def test_a_later_quality_changes_the_steps_and_the_number_of_splats(tmp_path, quality, steps):
    """400 steps become 200 or 1,000; what somebody chose is kept."""
    file = written(tmp_path, recipe={"views": 2})
    job, tuned = again(file, "--quality", quality), default_recipe("vdm", EMBEDDED, quality)
    assert (job.quality, job.recipe.steps) == (quality, steps)
    assert job.recipe == msgspec.structs.replace(tuned, views=2)
    assert job.said == {"views": 2}
    assert again(file, "--quality", quality, "--steps", "9").recipe.steps == 9
    chosen = again(written(tmp_path, recipe={"steps": 77}), "--quality", quality).recipe
    assert chosen == msgspec.structs.replace(tuned, steps=77)


def test_a_later_keep_shape_or_mesh_takes_effect(tmp_path):
    file = written(tmp_path, init_mesh="x.ply", recipe={"views": 2, "splats": {"lr_colour": 0.5}})
    job = again(file, "--keep-shape", "1")
    free, kept = (default_recipe("vdm", EMBEDDED, keep_shape=keep) for keep in (0.0, 1.0))
    assert job.recipe.splats == msgspec.structs.replace(kept.splats, lr_colour=0.5) != free.splats
    assert job.recipe.timesteps == kept.timesteps
    without = written(tmp_path, keep_shape=1.0)
    assert json.loads(without.read_text())["recipe"]["splats"]["lr_means"] == free.splats.lr_means
    assert again(without, "--init-mesh", "x.ply").recipe.splats == kept.splats


@pytest.mark.parametrize("objective", RULES)
def test_options_are_dropped_with_their_objective(tmp_path, objective):
    file = written(tmp_path, objective="sds", recipe={"views": 2, "options": {"guidance_scale": 3.0}})
    job, tuned = again(file, "--objective", objective), default_recipe(objective, EMBEDDED)
    options = tuned.options | ({"guidance_scale": 3.0} if objective == "sds" else {})
    assert job.recipe == msgspec.structs.replace(tuned, views=2, options=options)


def test_another_prior_gets_the_recipe_of_its_kind(tmp_path):
    job = again(written(tmp_path, recipe={"views": 2}), "--prior", "some/model")
    assert job.recipe == msgspec.structs.replace(default_recipe("vdm", "some/model"), views=2)
    assert job.recipe.steps == 5000


def test_dropped_and_overriding_settings_are_reported(tmp_path):
    file = json.loads(written(tmp_path, recipe={"steps": 77, "options": {"guidance_scale": 3.0}}).read_text())
    assert over(file, {"seed": 3})[1] == over(file, {"objective": "vdm"})[1] == []
    assert over(file, {"quality": "high"})[1] == ["Kept as set in the job file, whatever the quality: recipe.steps."]
    (note,) = over(file, {"objective": "sds"})[1]
    assert "recipe.options.guidance_scale" in note
    assert over(file, {"quality": "high", "recipe": {"steps": 3}})[1] == []


def test_an_older_job_file_counts_as_chosen_what_differs_from_the_tables(tmp_path):
    file = written(tmp_path, objective="jsd", recipe={"steps": 77, "catalogue": {"mix": 0.9}})
    older = {name: value for name, value in json.loads(file.read_text()).items() if name != "said"}
    assert chosen_settings(older) == {"steps": 77, "catalogue": {"mix": 0.9}}
    file.write_text(json.dumps(older))
    assert make_job(older).said is msgspec.UNSET
    assert again(file, "--objective", "sds").recipe.catalogue.mix == 0.9
    assert again(file, "--quality", "high").recipe.splats.initial_count == 6000
    assert again(file, "--quality", "high").recipe.steps == 77


def test_every_setting_of_a_handwritten_job_file_counts_as_chosen(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"prompt": "a cup", "recipe": {"steps": 400, "splats": {"initial_count": 50}}}))
    assert again(file, "--prior", "some/model").recipe.steps == 400
    assert again(file, "--quality", "high").recipe.splats.initial_count == 50
    assert again(file, "--quality", "high").recipe.splats.cap_max == 16000

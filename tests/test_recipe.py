"""Jobs: defaults filled in, everything checked, one sentence with the field's name."""

import json

import msgspec
import pytest
import torch
from kits import make_small_kit

from backend.guidance.rules import RULES
from backend.job.defaults import PLAIN, RECIPES
from backend.job.job import Job, JobError, make_job, read_job
from backend.job.recipe import Recipe, Stage
from backend.job.tuning import QUALITIES, default_recipe
from backend.priors.kit import EMBEDDED
from backend.run.assemble import load_prior, unused_settings


def test_missing_fields_take_the_recipe_of_objective_and_prior():
    job = make_job({"prompt": "a chair", "objective": "jsd", "recipe": {"splats": {"initial_count": 777}}})
    expected = RECIPES["jsd", EMBEDDED]
    assert job.recipe.splats.initial_count == 777
    assert job.recipe.steps == expected.steps
    assert job.recipe.splats.lr_means == expected.splats.lr_means
    assert make_job({"prompt": "a chair", "prior": "some/model"}).recipe == PLAIN["large"]


def test_every_objective_has_both_recipes():
    assert set(RECIPES) < {(name, kind) for name in RULES for kind in (EMBEDDED, "large")}
    assert default_recipe("vdm", "/a/folder") == PLAIN["large"]
    assert default_recipe("jsd", "/a/folder") == RECIPES["jsd", "large"] != PLAIN["large"]


@pytest.mark.parametrize("key", [(name, kind) for name in RULES for kind in (EMBEDDED, "large")])
def test_jobs_survive_json(key):
    prior = EMBEDDED if key[1] == EMBEDDED else "some/model"
    job = Job(prompt="a cup", objective=key[0], prior=prior, recipe=default_recipe(key[0], prior), seed=5)
    assert make_job(msgspec.json.decode(msgspec.json.encode(job))) == job


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t"}, "prompt"),
        ({"prompt": "x" * 10_000}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"negative_prompt": "y" * 10_000}, "negative_prompt"),
        ({"objective": "magic"}, "objective"),
        ({"objective": 3}, "objective"),
        ({"prior": 3}, "prior"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"sed": 1}, "sed"),
        ({"recipe": {"steps": 0}}, "recipe.steps"),
        ({"recipe": {"steps": -5}}, "recipe.steps"),
        ({"recipe": {"steps": "many"}}, "recipe.steps"),
        ({"recipe": {"stepz": 5}}, "stepz"),
        ({"recipe": 5}, "recipe"),
        ({"recipe": {"splats": {"lr_means": -1}}}, "recipe.splats.lr_means"),
        ({"recipe": {"splats": {"nonsense": 1}}}, "nonsense"),
        ({"recipe": {"stages": []}}, "recipe.stages"),
        ({"recipe": {"cameras": {"fov": [1]}}}, "recipe.cameras.fov"),
        ({"recipe": {"cameras": {"fov": [200, 10]}}}, "recipe.cameras"),
        ({"recipe": {"timesteps": {"low_start": 2}}}, "recipe.timesteps.low_start"),
        (
            {"recipe": {"backgrounds": dict.fromkeys(["white", "black", "grey", "middle", "colour"], 0)}},
            "recipe.backgrounds",
        ),
    ],
)
def test_bad_fields_are_named_in_one_sentence(fields, name):
    with pytest.raises(JobError) as caught:
        make_job({"prompt": "a cup"} | fields)
    text = str(caught.value)
    assert name in text
    assert text.endswith(".")
    assert "\n" not in text


def test_stages_take_over_in_their_order():
    recipe = Recipe(stages=(Stage(start=0.5, side=128), Stage(start=0.0, side=64)))
    assert [recipe.side(p) for p in (0.0, 0.49, 0.5, 1.0)] == [64, 64, 128, 128]


def test_job_files(tmp_path):
    file = tmp_path / "job.json"
    with pytest.raises(JobError, match=r"job\.json cannot be read"):
        read_job(file)
    file.write_text("{not json")
    with pytest.raises(JobError, match="not JSON"):
        read_job(file)
    file.write_text("[1]")
    with pytest.raises(JobError, match="not a JSON object"):
        read_job(file)
    file.write_text(json.dumps({"prompt": "a cup", "objective": "sds"}))
    assert make_job(read_job(file)).objective == "sds"


def test_qualities_differ_in_length_and_splats():
    draft, normal, high, _ = (make_job({"prompt": "a cup", "quality": name}).recipe for name in QUALITIES)
    assert draft.steps < normal.steps < high.steps
    assert high.steps > 2 * normal.steps
    assert high.splats.initial_count > normal.splats.initial_count == draft.splats.initial_count
    fields = {"prompt": "a cup", "quality": "draft", "recipe": {"steps": 7, "splats": {"initial_count": 99}}}
    assert make_job(fields).recipe.steps == 7
    assert make_job(fields).recipe.splats.initial_count == 99


def test_a_kept_shape_learns_slowly_from_low_levels_and_only_with_a_mesh():
    free, loose, close = (
        make_job({"prompt": "a cup", "init_mesh": "x.ply", "keep_shape": keep}).recipe for keep in (0, 0.5, 1)
    )
    assert free == make_job({"prompt": "a cup", "keep_shape": 1.0}).recipe == RECIPES["vdm", EMBEDDED]
    for name in ("lr_means", "lr_means_end", "lr_scale", "lr_rotation"):
        rates = [getattr(recipe.splats, name) for recipe in (free, loose, close)]
        assert rates == sorted(rates, reverse=True)
        assert 0 < rates[2] < rates[0] / 10
    assert free.timesteps.high_start > loose.timesteps.high_start > close.timesteps.high_start
    assert close.timesteps.high_start == close.timesteps.high_end
    job = make_job({"prompt": "a cup", "init_mesh": "x.ply", "keep_shape": 0.5})
    assert make_job(msgspec.json.decode(msgspec.json.encode(job))) == job


def test_settings_that_a_prior_ignores_are_reported(tmp_path):
    fields = {"prompt": "a chair", "prior": str(make_small_kit(tmp_path / "kit"))}
    cpu = torch.device("cpu")
    assert not any("Not used" in note for note in load_prior(make_job(fields), cpu)[1])
    recipe = {"backgrounds": {"white": 1.0}, "cameras": {"fov": (30.0, 30.0)}, "catalogue": {"mix": 0.1}}
    notes = load_prior(make_job({**fields, "recipe": recipe}), cpu)[1]
    assert notes[-1].startswith("Not used: recipe.backgrounds, recipe.cameras.fov; ")
    large = make_job({"prompt": "a chair", "prior": "some/model", "recipe": {"catalogue": {"mix": 0.1}}})
    assert unused_settings(large, ["catalogue"], "it is no kit") == ["Not used: recipe.catalogue; it is no kit."]

"""Every recipe against an exact score: with one object to draw from, a run must come out as that object.

This is the short form of the measure in docs/objectives.md, so that no change of a recipe, a renderer or a loop can
spoil the results again without a test that says so.
"""

import pytest
import torch
from kits import small_catalogue

from backend.job.job import make_job
from backend.priors.authors import authors
from backend.priors.catalogue import CataloguePrior
from backend.run.assemble import assemble
from backend.run.credits import encoded_views
from backend.run.distill import distill

STEPS = 100  # half of a draft


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return small_catalogue(tmp_path_factory.mktemp("kit"), ["Wooden chair"])


@pytest.mark.parametrize(
    ("scene", "objective", "least"),
    [
        ("splats", "sds", 23.0),
        ("splats", "vdm", 23.0),
        ("splats", "jsd", 22.0),
        ("splats", "dreamflow", 22.0),
        ("splats", "lmc", 23.0),
        ("field", "sds", 23.0),
        ("field", "vdm", 23.0),
    ],
)
def test_one_object_comes_out_as_itself(scene, objective, least, catalogue):
    fields = {"prompt": "a chair", "objective": objective, "scene": scene, "quality": "draft"}
    job = make_job({**fields, "recipe": {"steps": STEPS}})
    prior = CataloguePrior(catalogue, job.prompt, settings=job.recipe.catalogue)
    run = assemble(job, prior, torch.device("cpu"))
    list(distill(run, STEPS))
    made = authors(prior, encoded_views(prior, run.scene.splats(), 64))
    assert float(made.psnr[0]) > least
    assert float(made.psnr_rgba[0]) > least - 4

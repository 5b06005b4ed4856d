"""No tensor of the CPU may hide in a rule or a prior: all of them on a second device, where mixing two is an error.

The second device is torch's "meta" (`meta_card`).
"""

import itertools

import pytest
import torch
from kits import small_catalogue
from meta_card import META, Card, plain_adam
from msgspec.structs import fields

from backend.guidance.base import Batch
from backend.guidance.rules import RULES
from backend.job.tuning import default_recipe
from backend.priors.catalogue import CataloguePrior
from backend.priors.grid import grid_cameras
from backend.priors.kit import EMBEDDED
from backend.priors.settings import CatalogueSettings
from backend.run.assemble import make_objective
from backend.run.prompts import Prompts

pytestmark = pytest.mark.filterwarnings("ignore:cov\\(\\)")  # of numbers that are none
SIDE = 32


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return small_catalogue(tmp_path_factory.mktemp("kit"))


@pytest.fixture(autouse=True)
def any_adam(monkeypatch):
    plain_adam(monkeypatch)


def step(catalogue, name, options, negative="", perp_neg=False, **settings):
    """Two gradients of a rule, all of whose tensors are on the card."""
    recipe = default_recipe(name, EMBEDDED)
    chosen = CatalogueSettings(**{"mix": recipe.catalogue.mix, **settings})
    prior = CataloguePrior(catalogue, "a chair", negative, chosen, side=SIDE, device=META)
    rule, generator = make_objective(name, {**recipe.options, **options}), torch.Generator().manual_seed(0)
    cameras = grid_cameras()[torch.tensor([3, 30])]
    with Card():
        conditions = Prompts(prior, "a chair", negative, perp_neg, perp_neg).conditions(cameras)
        x, t = torch.zeros(2, 4, SIDE, SIDE, device=META), torch.full((2,), 400, device=META)
        for _ in range(2):
            score = rule.gradient(Batch(prior, x, t, conditions, 0.5, generator))
            assert score.gradient.device == META
    return rule


def variants(name):
    """The rule's own recipe, and each choice of its options apart from it."""
    yield {}
    for field in fields(RULES[name].Options):
        tuned = default_recipe(name, EMBEDDED).options.get(field.name, field.default)
        if isinstance(tuned, bool):
            yield {field.name: not tuned}
    yield {"guidance_scale": 3.0}


CASES = [(name, options) for name in RULES for options in variants(name)]
CASES += [
    ("jsd", {"rule": "released"}),
    ("jsd", {"inversion_start": "noise", "inversion_eta": 0.3}),
    ("vdm", {"annealing": "measured", "warm_up": 0}),
    ("vdm", {"start": "plain", "fold": 1}),
    *(("sds", {"weight": weight}) for weight in ("one", "alpha/sigma", "sigma/alpha")),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_rule_and_option(name, options, catalogue):
    step(catalogue, name, options)


@pytest.mark.parametrize(
    ("mix", "joint", "perp_neg"), list(itertools.product((0.0, 0.5, 1.0), (True, False), (True, False)))
)
def test_every_way_to_call_the_prior(mix, joint, perp_neg, catalogue):
    step(catalogue, "nfsd", {"guidance_scale": 2.0}, "a red chair", perp_neg, mix=mix, joint=joint)


def test_a_cpu_tensor_is_detected():
    with Card(), pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(2, 3, device=META) * torch.zeros(2, 3)

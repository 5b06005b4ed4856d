"""How often a step waits for the card: where it asks for a number, or copies without saying non_blocking.

The "card" is torch's meta device, which has shapes and no numbers; asked for one, it gives a plausible one.
"""

import pytest
import tiny_pipelines as tiny
from meta_card import META, Card, on_the_card, plain_adam

from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.priors import text_encoder
from backend.priors.stable_diffusion import load_stable_diffusion
from backend.render import base, card
from backend.run.assemble import assemble
from backend.run.distill import distill

ALLOWED = 6


@pytest.fixture
def everything_on_the_card(monkeypatch):
    """Our CUDA kernels' way, whose launches do not wait; the plain Adam, as the fused one has no meta kernel."""
    monkeypatch.setattr(base, "compositing", lambda _device: card.Composite.apply)
    monkeypatch.setattr(card, "launch", lambda *_: None)
    monkeypatch.setattr(text_encoder, "free_bytes", lambda _device: 0.0)
    plain_adam(monkeypatch)


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    loaded = load_stable_diffusion(tiny.save_stable_diffusion(tmp_path_factory.mktemp("tiny")), "cpu")
    return on_the_card(loaded)


@pytest.mark.parametrize("objective", RULES)
def test_a_step_waits_for_the_card_six_times_at_most(everything_on_the_card, prior, objective):
    fields = {"prompt": "a red chair", "objective": objective, "prior": "/some/model"}
    recipe = {"steps": 50, "stages": [{"side": 32}], "splats": {"initial_count": 100, "refine_start": 0.5}}
    job = make_job({**fields, "recipe": recipe})
    run = assemble(job, prior, META)
    steps = distill(run, 50)
    with Card() as waits:
        next(steps)  # texts are encoded, constants are copied
        waits.waits.clear()
        next(steps)
    assert waits.waits.total() <= ALLOWED, waits.waits

"""The bench measures real steps, and its parts make up the whole."""

import time

import pytest
import torch

from backend.job.tuning import default_recipe
from backend.priors.analytic import Analytic
from backend.priors.base import Counted
from backend.priors.kit import EMBEDDED
from backend.studies.bench.steps import SPREAD, time_objective


@pytest.mark.parametrize(("name", "calls"), [("sds", 1), ("vdm", 1), ("jsd", None), ("vsd", 4)])
def test_parts_add_up_to_a_step(name, calls):
    row = time_objective(name, steps=1)
    assert sum(row["parts"].values()) == pytest.approx(row["seconds"], rel=0.1)
    assert row["steps_per_second"] == pytest.approx(1 / row["seconds"])
    assert row["prior_share"] == pytest.approx(row["parts"]["prior"] / row["seconds"])
    assert 0 < row["prior_share"] < 1
    assert row["peak_mib"] > 50
    if calls is None:  # inversion: more forwards where t is high, two scores always
        assert 3 <= row["prior_calls"] <= 12
        assert (row["prior_calls"] * SPREAD).is_integer()
    else:
        assert row["prior_calls"] == calls
        views = default_recipe(name, EMBEDDED).views
        assert row["prior_rows"] == views * calls  # of the prompt alone: without guidance there is no other condition


@pytest.mark.parametrize(("waits", "least"), [(True, 0.05), (False, 0.0)])
def test_the_time_of_a_prior_on_a_card_is_that_of_its_work(monkeypatch, waits, least):
    """A card that answers at once and works for 50 ms; a run that nobody measures never waits for it."""
    prior, busy_until = Analytic(torch.zeros(1, 1, 4, 4), 0.5), [0.0]
    predict = prior.predict

    def launch(*given):
        busy_until[0] = time.perf_counter() + 0.05
        return predict(*given)

    def synchronize(_device):
        time.sleep(max(0.0, busy_until[0] - time.perf_counter()))

    monkeypatch.setattr(torch.accelerator, "synchronize", synchronize)
    prior.predict, prior.device = launch, torch.device("cuda")
    counted = Counted(prior)
    counted.waits = waits
    counted.predict(torch.zeros(1, 1, 4, 4), torch.tensor([500]), prior.condition(["0"]))
    assert least <= counted.seconds < least + 0.04
    assert (counted.calls, counted.rows) == (1, 1)

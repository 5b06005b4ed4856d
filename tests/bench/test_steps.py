"""The bench measures real steps, and its parts make up the whole."""

import pytest

from backend.job.tuning import default_recipe
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

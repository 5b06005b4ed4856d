"""The simulated farm against closed forms, and its table against the page that tells it."""

import math
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from tools.farm_simulation import FAILING, FARMS, HOUR, Farm, main, simulate, table

SCALE = Path(__file__).parents[2] / "docs" / "scale.md"


def test_without_any_cost_a_hundred_cards_take_a_hundredth_of_the_work():
    assert simulate(Farm()).minutes == 150
    assert simulate(Farm(cards=1)).minutes == 15_000
    assert simulate(Farm(jobs=7, cards=3)).minutes == 45  # three rounds; two cards have nothing to do in the last
    assert simulate(Farm(jobs=3, cards=7)).minutes == 15


def test_loading_is_paid_once_a_job():
    assert simulate(Farm(start=20)).minutes == pytest.approx(10 * (15 + 20 / 60))


def test_one_card_takes_the_sum_of_all_lengths():
    farm = Farm(jobs=200, cards=1, spread=0.1)
    minutes = [simulate(farm, seed).minutes for seed in range(20)]
    assert statistics.mean(minutes) == pytest.approx(200 * 15, rel=3 * 0.1 / math.sqrt(200 * 20))


def test_a_job_that_always_begins_anew_takes_as_long_as_the_formula_says():
    """Work w with deaths at a rate r, each losing everything, takes (exp(r w) - 1) / r on average."""
    farm = Farm(jobs=4000, cards=4000, minutes=60, hours_to_failure=1.0)
    lost = simulate(farm).lost_hours
    assert lost / farm.jobs == pytest.approx(math.e - 2, rel=0.1)  # an hour of work takes e - 1 hours


def test_checkpoints_lose_half_of_an_interval_a_death():
    farm = Farm(jobs=20_000, cards=100, hours_to_failure=5.0, checkpoint=60.0)
    outcome = simulate(farm)
    assert outcome.deaths == pytest.approx(20_000 * 0.25 / 5, rel=0.1)  # a quarter of an hour of work each
    assert outcome.lost_hours * HOUR / outcome.deaths == pytest.approx(30, rel=0.1)


def test_the_only_card_that_dies_is_waited_for():
    farm = Farm(jobs=1, cards=1, minutes=60, hours_to_failure=1.0, checkpoint=1e-3, notice=70, repair=600)
    for seed in range(10):
        outcome = simulate(farm, seed)
        assert outcome.minutes == pytest.approx(60 + outcome.deaths * 670 / 60, abs=1e-3)


def test_a_lost_job_waits_until_that_is_noticed_and_another_card_takes_it():
    farm = Farm(jobs=1, cards=2, minutes=60, hours_to_failure=1.0, checkpoint=1e-3, notice=70, repair=1e9)
    outcomes = [outcome for seed in range(40) if (outcome := simulate(farm, seed)).deaths == 1]
    assert outcomes
    assert all(outcome.minutes == pytest.approx(60 + 70 / 60, abs=1e-3) for outcome in outcomes)


def test_while_the_server_is_away_nothing_begins():
    """Four rounds of 20 minutes: the fourth would begin at the full hour, and waits for five minutes."""
    farm = Farm(jobs=4, cards=1, minutes=20, outage=300)
    assert simulate(farm).minutes == 85
    assert simulate(replace(farm, minutes=25)).minutes == 100  # no job begins within those five minutes
    assert simulate(replace(farm, minutes=25, tied=True)).minutes == 115  # 10 minutes of the third job are lost


def test_a_farm_without_cards_is_refused():
    with pytest.raises(ValueError, match="at least one job and one card"):
        simulate(Farm(cards=0))


def test_failures_cost_a_little_and_the_seed_decides():
    assert simulate(FAILING, 3) == simulate(FAILING, 3)
    assert simulate(FAILING, 3) != simulate(FAILING, 4)
    assert 150 < simulate(FAILING).minutes < 180


def test_the_page_has_what_the_simulation_prints(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == table(FARMS)
    assert "\n".join(printed) in SCALE.read_text(encoding="utf-8")


def test_a_farm_of_ones_own_is_told_too(capsys):
    assert main(["--jobs", "30", "--cards", "3", "--minutes", "10"]) == 0
    assert "| this farm | 100 | 100 | 0.0 | 0 |" in capsys.readouterr().out

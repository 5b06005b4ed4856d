"""Means and intervals over seeds and over prompts, against Student's t by hand."""

import math

import pytest

from backend.studies.evaluate.summary import Spread, markdown, summary

T_1, T_2 = 12.7062, 4.3027  # Student's t, 97.5 %, one and two degrees of freedom


def group(objective, prompt, **figures):
    seeds = max(len(value) for value in figures.values() if isinstance(value, list))
    return {"objective": objective, "prompt": prompt, "seeds": list(range(seeds)), **figures}


def test_an_interval_over_seeds_does_not_grow_with_how_prompts_differ():
    groups = [group("sds", "a cup", fid=[1.0, 2.0, 3.0]), group("sds", "a jug", fid=[101.0, 102.0, 103.0])]
    assert summary(groups, "sds") == {"sds": {"fid": (52.0, pytest.approx(T_2 * 1 / math.sqrt(3), rel=1e-4), "seeds")}}


def test_intervals_are_over_prompts_for_one_seed_and_for_figures_of_all_seeds():
    groups = [
        group("sds", "a cup", fid=[1.0], t3=[None], diversity=0.2),
        group("sds", "a jug", fid=[3.0], t3=[None], diversity=0.4),
        group("csd", "a cup", fid=[5.0]),
    ]
    rows = summary(groups, "sds")
    assert rows["sds"]["fid"] == (2.0, pytest.approx(T_1, rel=1e-4), "prompts")
    assert rows["sds"]["diversity"] == (pytest.approx(0.3), pytest.approx(T_1 * 0.1, rel=1e-4), "prompts")
    assert rows["csd"] == {"fid": (5.0, None, "prompts")}
    assert "t3" not in rows["sds"]


def test_seeds_and_prompts_without_a_figure_are_skipped():
    groups = [group("sds", "a cup", janus=[None, None]), group("sds", "a jug", janus=[0.0, 1.0])]
    assert summary(groups, "sds")["sds"]["janus"] == (0.5, pytest.approx(T_1 * 0.5, rel=1e-4), "seeds")
    groups = [group("sds", "a cup", clip=[1.0, 3.0, 50.0]), group("sds", "a jug", clip=[4.0, 8.0])]
    shared = (4.0, pytest.approx(T_1 * 1.5, rel=1e-4), "seeds")  # 2.5 and 5.5; the third seed is one prompt's alone
    assert summary(groups, "sds")["sds"]["clip"] == shared
    groups = [group("sds", "a cup", clip=[1.0, 3.0]), group("sds", "a jug", clip=[4.0])]
    assert summary(groups, "sds")["sds"]["clip"] == (3.0, pytest.approx(T_1, rel=1e-4), "prompts")  # of 2 and 4


def test_a_duplicate_seed_counts_once():
    twice = {"objective": "sds", "prompt": "a cup", "seeds": [0, 0, 1], "kid": [1.0, 3.0, 4.0]}
    assert summary([twice], "sds")["sds"]["kid"] == (3.0, pytest.approx(T_1, rel=1e-4), "seeds")  # of 2 and 4


def test_differences_are_of_the_same_prompts_and_seeds():
    cup, jug = group("sds", "a cup", kid=[1.0, 2.0]), group("sds", "a jug", kid=[11.0, 12.0])
    others = [
        group("csd", "a jug", kid=[12.0, 14.0, 99.0]),  # a third seed that SDS has not
        group("csd", "a cup", kid=[2.0, 4.0]),
        group("vdm", "a pot", kid=[1.0]),
    ]
    rows = summary([cup, jug, *others], "sds")
    assert rows["csd"]["kid_difference"] == (1.5, pytest.approx(0, abs=1e-12), "prompts")  # 1.5 for either prompt
    assert "kid_difference" not in rows["vdm"]
    assert "kid_difference" not in rows["sds"]
    other_way = summary([cup, jug, *others], "csd")["sds"]["kid_difference"]
    assert other_way.mean == -1.5
    one_prompt = summary([jug, others[0]], "sds")["csd"]["kid_difference"]  # 1 and 2
    assert one_prompt == (1.5, pytest.approx(T_1 * 0.5, rel=1e-4), "seeds")


def test_a_table_leaves_places_blank_and_says_what_its_intervals_are_over():
    rows = {
        "sds": {"kid": Spread(0.5, 0.25, "seeds"), "prior_rows": Spread(800.0, 0.0, "prompts")},
        "csd": {"kid": Spread(0.4, None, "prompts"), "kid_difference": Spread(-0.1, 0.02, "prompts")},
    }
    lines = markdown(rows, "sds").splitlines()
    assert lines[0] == "| by the judges | kid | kid difference |"
    assert lines[2:4] == ["| sds | 0.5 ± 0.25 |  |", "| csd | 0.4 | -0.1 ± 0.02 |"]
    assert lines[5] == "| cost | prior rows |"
    assert lines[7:9] == ["| sds | 800 ± 0 |", "| csd |  |"]
    assert "over prompts for prior rows, kid difference." in lines[10]
    assert "to sds" in lines[11]
    assert "+0.1 ± 0.02" in markdown({"csd": {"kid_difference": Spread(0.1, 0.02, "prompts")}}, "sds")
    assert "interval" not in markdown({"csd": {"kid": Spread(0.4, None, "prompts")}}, "csd")

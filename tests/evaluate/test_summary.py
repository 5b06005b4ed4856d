"""Means and intervals over seeds and over prompts, against Student's t by hand."""

import math

import pytest

from backend.evaluate.summary import differences, markdown, summary

T_1, T_2 = 12.7062, 4.3027  # Student's t, 97.5 %, one and two degrees of freedom


def group(objective, prompt, **figures):
    seeds = max(len(value) for value in figures.values() if isinstance(value, list))
    return {"objective": objective, "prompt": prompt, "seeds": list(range(seeds)), **figures}


def test_an_interval_over_seeds_does_not_grow_with_how_prompts_differ():
    groups = [group("sds", "a cup", kid=[1.0, 2.0, 3.0]), group("sds", "a jug", kid=[101.0, 102.0, 103.0])]
    mean, half = summary(groups)["sds"]["kid"]
    assert (mean, half) == (52.0, pytest.approx(T_2 * 1 / math.sqrt(3), rel=1e-4))


def test_one_seed_and_figures_of_several_have_theirs_over_prompts():
    groups = [
        group("sds", "a cup", kid=[1.0], t3=[None], diversity=0.2),
        group("sds", "a jug", kid=[3.0], t3=[None], diversity=0.4),
        group("csd", "a cup", kid=[5.0]),
    ]
    rows = summary(groups)
    assert rows["sds"]["kid"] == (2.0, pytest.approx(T_1 * math.sqrt(2) / math.sqrt(2), rel=1e-4))
    assert rows["sds"]["diversity"] == (pytest.approx(0.3), pytest.approx(T_1 * 0.1, rel=1e-4))
    assert rows["csd"] == {"kid": (5.0, None)}
    assert "t3" not in rows["sds"]


def test_seeds_and_prompts_that_miss_a_figure_are_left_out_of_it():
    groups = [group("sds", "a cup", janus=[None, None]), group("sds", "a jug", janus=[0.0, 1.0])]
    assert summary(groups)["sds"]["janus"] == (0.5, pytest.approx(T_1 * 0.5, rel=1e-4))
    groups = [group("sds", "a cup", clip=[1.0, 3.0]), group("sds", "a jug", clip=[4.0])]
    assert summary(groups)["sds"]["clip"] == (3.0, pytest.approx(T_1, rel=1e-4))  # over prompts: 2 and 4


def test_differences_are_of_the_same_prompts_and_seeds():
    groups = [
        group("sds", "a cup", kid=[1.0, 2.0]),
        group("sds", "a jug", kid=[11.0, 12.0]),
        group("csd", "a jug", kid=[12.0, 14.0, 99.0]),  # a third seed that SDS has not
        group("csd", "a cup", kid=[2.5, 3.5]),
        group("vdm", "a pot", kid=[1.0]),
    ]
    found = differences(groups, "sds", "kid")
    assert found == {"csd": (1.5, pytest.approx(0, abs=1e-12))}  # 1.5 for either prompt
    one_prompt = differences([groups[0], groups[3]], "sds", "kid")
    assert one_prompt == {"csd": (1.5, pytest.approx(0, abs=1e-12))}
    spread = differences([groups[1], groups[2]], "sds", "kid")["csd"]  # 1 and 2, over seeds
    assert spread == (1.5, pytest.approx(T_1 * 0.5, rel=1e-4))


def test_a_table_leaves_places_blank():
    rows = {"sds": {"kid": (0.5, 0.25)}, "csd": {"kid": (0.4, None), "unet_rows": (800.0, 0.0)}}
    lines = markdown(rows).splitlines()
    assert lines[0] == "| objective | kid | unet rows |"
    assert lines[2:] == ["| sds | 0.5 ± 0.25 |  |", "| csd | 0.4 | 800 ± 0 |"]

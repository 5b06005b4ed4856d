"""The `image` command: pictures that follow the prompt, kept, and a sheet of them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.cli.main import main
from backend.files import slug
from backend.guidance.rules import RULES
from backend.studies.cells import cell

ASK = ["image", "--prompt", "a red apple", "--steps", "12", "--count", "2"]


def red(file):
    """How much redder than green and blue the middle is."""
    pixels = np.asarray(Image.open(file), np.float32)[20:44, 20:44]
    return float((pixels[..., 0] - pixels[..., 1:].mean(-1)).mean())


def test_pictures_follow_the_prompt_and_are_kept(tmp_path, capsys):
    out = tmp_path / "pictures"
    assert main([*ASK, "--objective", "sds", "--out", str(out)]) == 0
    first = out / "sds-a-red-apple-0.png"
    assert Image.open(first).size == (128, 64)
    assert red(first) > 10
    figures = json.loads(first.with_suffix(".json").read_text())
    assert (figures["prior_calls"], figures["prior_rows"]) == (12, 24)
    stamp = first.stat().st_mtime_ns
    assert (
        main([*ASK, "--objective", "sds", "--objective", "jsd", "--prompt", "a wooden chair", "--out", str(out)]) == 0
    )
    assert first.stat().st_mtime_ns == stamp
    assert len(list(out.glob("*-0.png"))) == 4
    sheet = Image.open(out / "sheet.png")
    assert sheet.width > 2 * 2 * 96
    assert sheet.height > 2 * 96
    first.write_bytes(first.read_bytes()[:100])
    assert main([*ASK, "--objective", "sds", "--out", str(out)]) == 0
    assert Image.open(first).size == (128, 64)
    assert main([*ASK, "--objective", "sds", "--out", str(out), "--count", "1"]) == 0
    assert Image.open(first).size == (64, 64)


def test_every_objective_draws(tmp_path):
    assert main(["image", "--prompt", "a red apple", "--steps", "2", "--count", "1", "--out", str(tmp_path)]) == 0
    for name in RULES:
        figures = json.loads((tmp_path / f"{name}-a-red-apple-0.json").read_text())
        assert figures["job"]["objective"] == name
        assert figures["gradient_norm"] > 0
        assert np.asarray(Image.open(tmp_path / f"{name}-a-red-apple-0.png")).std() > 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--objective", "magic"), "objective"),
        (("--steps", "0"), "recipe.steps"),
        (("--count", "100"), "recipe.views"),
        (("--prompt", "xqzzt wvvkp"), "names nothing"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_drawn(tmp_path, capsys, change, words):
    assert main([*ASK, "--out", str(tmp_path / "out"), *change]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@given(st.lists(st.text(alphabet="ab -_.A", max_size=6), min_size=2, max_size=30, unique=True))
def test_no_two_of_many_prompts_share_a_name(prompts):
    assert len({slug(prompt) for prompt in prompts}) == len(prompts)


@given(st.lists(st.tuples(*[st.text(alphabet="a1 -", max_size=4)] * 2, st.integers(0, 11)), min_size=2, unique=True))
def test_no_two_cells_share_a_folder(cells):
    assert len({cell(*one) for one in cells}) == len(cells)


def test_an_objective_whose_name_begins_like_another_s_has_folders_of_its_own():
    names = ["asd", "asd-async", "asd async", "asd_async", "async"]
    prompts = ["async cups", "cups", "async", "x", "async-cups", ""]
    assert len({cell(name, prompt, 0) for name in names for prompt in prompts}) == len(names) * len(prompts)
    assert cell("asd-async", "a red apple", 0) == "asd-async-a-red-apple-0"


def test_no_two_prompts_share_a_file():
    assert slug("a red car") == "a-red-car"
    names = {slug(p) for p in ("a red car", "A red car", "a red car!", "a" * 60, "a" * 61, "椅子", "机", "../a")}
    assert len(names) == 8
    alike = ("a t-shirt", "a t shirt", "a  t shirt", " a t shirt", "a t shirt ", "a-t-shirt", "a_t_shirt", "a.t.shirt")
    assert len({slug(p) for p in alike}) == len(alike)
    assert slug(slug("a t-shirt").replace("-", " ")) != slug("a t-shirt")  # no prompt is another one's name
    assert not any("/" in name or "." in name for name in names)

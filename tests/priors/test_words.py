"""The word table: what is near in meaning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from backend.priors.base import PriorError
from backend.priors.kit import SHIPPED
from backend.priors.phrases import NEAR
from backend.priors.words import WordTable

OURS = WordTable.load(SHIPPED)


def table():
    """Words at right angles to each other, and one that is near to "red"."""
    words = ["chair", "lamp", "red", "glass", "crimson"]
    vectors = torch.eye(len(words), 32)
    vectors[4] = 0.8 * vectors[2] + 0.6 * vectors[4]
    return WordTable(words, vectors)


@pytest.mark.parametrize(("form", "word"), [("chair", "chair"), ("chairs", "chair"), ("glasses", "glass")])
def test_plurals(form, word):
    assert table().words[table().find(form)] == word


def test_unknown_words():
    assert table().find("xyzzy") is None
    assert table().find("") is None
    assert table().near("xyzzy", ["chair"], -1) is None
    assert table().near("chair", ["xyzzy"], -1) is None
    assert table().near("chair", [], -1) is None


def test_near_is_a_cosine():
    assert table().near("crimson", ["red", "chair"], 0.8 - 1e-5) == "red"
    assert table().near("crimson", ["red", "chair"], 0.8 + 1e-5) is None
    assert table().near("reds", ["crimson", "lamps"], 0.7) == "crimson"


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("puppy", "dog"),
        ("couch", "sofa"),
        ("guns", "rifle"),
        ("trousers", "pants"),
        ("tv", "television"),
    ],
)
def test_near_words_of_ours(word, near):
    assert OURS.near(word, [near, "castle", "democracy"], NEAR) == near


@pytest.mark.parametrize(("one", "other"), [("cat", "dog"), ("chair", "table"), ("banana", "coconut"), ("cow", "deer")])
def test_false_friends_of_ours(one, other):
    assert OURS.near(one, [other], NEAR) is None


def test_round_trip(tmp_path):
    table().save(tmp_path / "new" / "folder")
    again = WordTable.load(tmp_path / "new" / "folder")
    assert again.words == table().words
    torch.testing.assert_close(again.vectors, table().vectors, atol=1e-3, rtol=1e-3)


def test_mismatched_lengths_are_refused():
    with pytest.raises(ValueError, match="2 words do not match 3 vectors"):
        WordTable(["a", "b"], torch.zeros(3, 4))


@pytest.mark.parametrize("damage", ["missing", "empty", "short", "other"])
def test_a_damaged_table_is_named(tmp_path, damage):
    table().save(tmp_path)
    if damage == "missing":
        (tmp_path / "words.txt").unlink()
    elif damage == "short":
        (tmp_path / "words.txt").write_text("chair\n")
    else:
        content = save({"other": torch.zeros(1)}) if damage == "other" else b""
        (tmp_path / "words.safetensors").write_bytes(content)
    with pytest.raises(PriorError, match=r"the word table in .* cannot be read \(.+\): restore that folder"):
        WordTable.load(tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40) | st.sampled_from(OURS.words), st.lists(st.sampled_from(OURS.words), max_size=9))
def test_any_word(word, among):
    near = OURS.near(word, among, 0.5)
    assert near is None or near in among
    assert OURS.vectors.isfinite().all()

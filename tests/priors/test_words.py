"""The word table: what a sentence becomes."""

import pytest
import tiny_pipelines as tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from backend.priors.base import PriorError
from backend.priors.embedded import WEIGHTS
from backend.priors.words import MAX_TOKENS, WordTable, split_words

TABLE = tiny.word_table()
SHIPPED = WordTable.load(WEIGHTS)


def test_split_words():
    assert split_words("A Red-chair, photo of 2 LAMPS!") == ["red", "chair", "2", "lamps"]
    assert split_words("the view of a") == split_words("") == []


@pytest.mark.parametrize(("form", "word"), [("chair", "chair"), ("chairs", "chair"), ("glasses", "glass")])
def test_plurals(form, word):
    assert TABLE.words[TABLE.find(form)] == word


def test_unknown_word():
    assert TABLE.find("xyzzy") is None
    assert TABLE.find("") is None


def test_nearest_seen():
    word, cosine = TABLE.nearest_seen(TABLE.find("crimson"))
    assert (word, cosine) == ("red", pytest.approx(0.8))
    assert TABLE.nearest_seen(TABLE.find("lamp")) == ("lamp", pytest.approx(1.0))


def test_read():
    reading = TABLE.read("a crimson chair of quality, xyzzy")
    assert reading.understood == {"crimson": "red", "chair": "chair"}
    assert reading.unseen == ("quality", "xyzzy")
    assert torch.equal(reading.vectors, TABLE.vectors[[6, 0]])  # near words keep their own vector


def test_suggest():
    assert TABLE.suggest("chiar")[0] == "chair"
    assert TABLE.suggest("crimson")[0] == "red"
    assert TABLE.suggest("xyzzy") == ["chair", "lamp", "sofa", "apple"]
    assert len(SHIPPED.suggest("a cahir and a tabel and a smal lampp and a soffa", count=5)) == 5


def test_tokens_and_mask():
    tokens, mask = TABLE.tokens(["red chair", "", "lamp xyzzy"])
    assert tokens.shape == (3, 3, 32)
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert torch.equal(tokens[0], torch.stack([torch.zeros(32), TABLE.vectors[4], TABLE.vectors[0]]))
    assert tokens[1].abs().max() == 0
    assert TABLE.tokens(["chair " * 99])[0].shape == (1, 1 + MAX_TOKENS, 32)


def test_round_trip(tmp_path):
    TABLE.save(tmp_path / "new" / "folder")
    again = WordTable.load(tmp_path / "new" / "folder")
    assert again.words == TABLE.words
    assert torch.equal(again.seen, TABLE.seen)
    torch.testing.assert_close(again.vectors, TABLE.vectors, atol=1e-3, rtol=1e-3)
    assert again.dim == 32


def test_columns_that_do_not_belong_together():
    with pytest.raises(ValueError, match="2 words, 3 vectors and 2 marks"):
        WordTable(["a", "b"], torch.zeros(3, 4), torch.ones(2))


def test_the_table_that_ships():
    reading = SHIPPED.read("a crimson chair")
    assert reading.understood == {"crimson": "red", "chair": "chair"}
    assert SHIPPED.seen.any()
    assert not SHIPPED.seen.all()
    assert SHIPPED.vectors.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from(SHIPPED.words), max_size=40).map(" ".join))
def test_any_text(text):
    """No text makes it fall over, and every word is either understood or unseen."""
    reading = SHIPPED.read(text)
    assert set(split_words(text)) == set(reading.understood) | set(reading.unseen)
    assert len(reading.vectors) <= MAX_TOKENS
    tokens, mask = SHIPPED.tokens([text, ""])
    assert tokens.shape == (2, 1 + len(reading.vectors), SHIPPED.dim)
    assert mask.sum(1).tolist() == [1 + len(reading.vectors), 1]
    assert all(SHIPPED.seen[SHIPPED.find(word)] for word in SHIPPED.suggest(text))


def test_near_among_others():
    assert SHIPPED.near("guns", ["rifle", "trumpet", "castle", "no such word"], 0.6) == "rifle"
    assert SHIPPED.near("guns", ["trumpet", "castle"], 0.6) is None
    assert SHIPPED.near("xyzzy", ["rifle"], -1) is None
    assert SHIPPED.near("gun", [], -1) is None


@pytest.mark.parametrize("damage", ["missing", "empty", "short", "other"])
def test_a_damaged_table_is_named(tmp_path, damage):
    TABLE.save(tmp_path)
    if damage == "missing":
        (tmp_path / "words.txt").unlink()
    elif damage == "short":
        (tmp_path / "words.txt").write_text("chair\n")
    else:
        content = save({"other": torch.zeros(1)}) if damage == "other" else b""
        (tmp_path / "words.safetensors").write_bytes(content)
    with pytest.raises(PriorError, match=r"the word table in .* cannot be read \(.+\): restore that folder"):
        WordTable.load(tmp_path)

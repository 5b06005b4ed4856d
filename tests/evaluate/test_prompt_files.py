"""Files of prompts: read line by line, bad lines named by their numbers and left out."""

import re
import tracemalloc

import pytest

from backend.job.job import JobError
from backend.studies.evaluate.protocols.prompt_sets import read_sets
from backend.studies.prompts import read_prompts


def printed(capsys):
    return " ".join(capsys.readouterr().err.split())


def test_ten_thousand_lines_with_bad_ones_among_them(tmp_path, capsys):
    lines = [f"a chair number {number}".encode() for number in range(1, 10_001)]
    lines[0] = "\ufeffa chair with an é".encode()
    lines[6], lines[99], lines[4999], lines[9999] = b"\xff\xfe", b"x" * 20_000_000, b"a\x00b", b"x" * 1001
    for number in range(200, 300):
        lines[number] = b"  "
    (tmp_path / "prompts.txt").write_bytes(b"\r\n".join(lines))
    del lines
    tracemalloc.start()
    prompts = read_prompts(tmp_path / "prompts.txt")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000  # half of the longest line
    tracemalloc.stop()
    assert len(prompts) == 10_000 - 104
    assert prompts[:2] == ["a chair with an é", "a chair number 2"]
    said = printed(capsys)
    assert re.search(r"lines that are not text \(UTF-8\) of \S+: 7, 5000\.", said)
    assert re.search(r"lines that are too long of \S+: 100, 10000\.", said)
    assert re.search(r"blank or repeated lines of \S+: 201, 202, .*, 220 and 80 more\.", said)


def test_a_long_line_at_the_end_of_the_file(tmp_path, capsys):
    (tmp_path / "prompts.txt").write_bytes(b"a chair\n" + b"x" * 10_000)
    assert read_prompts(tmp_path / "prompts.txt") == ["a chair"]
    assert "too long of" in printed(capsys)


def test_t3benchs_sets(tmp_path, capsys):
    (tmp_path / "prompt_multi.txt").write_text("two chairs\na lamp\n")
    (tmp_path / "prompt_single.txt").write_text("a chair\na lamp\n\n")
    sets = read_sets(tmp_path)
    assert sets.names == ["single", "multi"]
    assert [sets.of(prompt) for prompt in ("a chair", "a lamp", "two chairs", "a sofa")] == [
        *("single", "single", "multi", None)
    ]
    assert (sets.size("single"), sets.size("multi")) == (2, 1)
    assert "blank or repeated lines" in printed(capsys)


def test_a_file_is_a_set_and_without_one_all_prompts_are_one(tmp_path):
    (tmp_path / "mine.txt").write_text("a chair\n")
    assert read_sets(tmp_path / "mine.txt").of("a chair") == "mine"
    assert read_sets(None).of("anything") == "own prompts"
    assert read_sets(None).size("own prompts") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "has none of prompt_single.txt"), ("no.txt", "cannot be read"), ("blank.txt", "no usable line")],
)
def test_prompts_that_cannot_be_used(name, said, tmp_path):
    (tmp_path / "blank.txt").write_bytes(b"\n\xff\n")
    with pytest.raises(JobError, match=said):
        read_sets(tmp_path / name)

"""Files of prompts, one per line, read line by line: a long file costs no more memory than its good lines.

Lines that cannot be used are reported by their numbers, and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from backend.job.job import JobError
from backend.terminal import skipped

LONGEST = 1000  # characters of a prompt
MOST_BYTES = 4 * LONGEST + 8  # of a line: UTF-8 has at most four for each
NAMED = 20  # numbers of lines in one sentence
BLANK, NO_TEXT, TOO_LONG = "blank or repeated lines", "lines that are not text (UTF-8)", "lines that are too long"


def read_prompts(file: Path) -> list[str]:
    """The prompts in a file, each once and in their order.  JobError where it cannot be opened or read."""
    prompts, left_out = dict[str, None](), defaultdict[str, list[int]](list)
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(_lines(stream), 1):
                text, problem = _prompt(line, first=number == 1)
                if problem or text in prompts:
                    left_out[problem or BLANK].append(number)
                else:
                    prompts[text] = None
    except OSError as error:
        raise JobError(f"prompts: {file} cannot be read as text ({error}).") from error
    for problem, numbers in left_out.items():
        skipped(f"{problem} of {file}: {_listed(numbers)}.")
    return list(prompts)


def _prompt(line: bytes | None, first: bool) -> tuple[str, str]:
    """The text of a line, and what is wrong with it or ""."""
    if line is None:
        return "", TOO_LONG
    try:
        text = line.decode("utf-8-sig" if first else "utf-8").strip()
    except UnicodeDecodeError:
        return "", NO_TEXT
    if not text:
        return "", BLANK
    if len(text) > LONGEST:
        return "", TOO_LONG
    return (text, "") if text.isprintable() or text.replace("\t", " ").isprintable() else ("", NO_TEXT)


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines; None for one that is too long, of which no more than a part is ever in memory."""
    while line := stream.readline(MOST_BYTES):
        if len(line) < MOST_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(MOST_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _listed(numbers: list[int]) -> str:
    """The first numbers, and how many more there are."""
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return ", ".join(map(str, numbers[:NAMED])) + more

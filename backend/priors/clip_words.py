"""CLIP's tokenizer, made from the list of merges that we ship: every model of the Stable Diffusion family uses it.

The vocabulary follows from the merges (OpenAI's `simple_tokenizer.py`, MIT): the 256 bytes, the same at the end of a
word, one token for each merge in their order, and the two that mark the text's start and end.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

from transformers import CLIPTokenizer

CONFIGS = Path(__file__).parent / "single_file_configs"
MERGES = CONFIGS / "clip_merges.txt.gz"
WORD_END = "</w>"


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer with the settings in this folder's tokenizer_config.json: length, and the token that pads."""
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocabulary, merges = _vocabulary()
    return CLIPTokenizer(
        vocab=dict(vocabulary),
        merges=list(merges),
        model_max_length=settings["model_max_length"],
        pad_token=settings["pad_token"],
    )


@cache
def _vocabulary() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = tuple((first, second) for first, second in (line.split() for line in lines))
    letters = _byte_letters()
    pieces = [*letters, *(letter + WORD_END for letter in letters), *(first + second for first, second in merges)]
    return {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}, merges


def _byte_letters() -> list[str]:
    """A printable letter for each of the 256 bytes, in CLIP's order: the printable bytes themselves come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = len(set(range(256)) - set(printable))
    return [chr(code) for code in printable] + [chr(256 + number) for number in range(others)]

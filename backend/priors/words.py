"""Text as word vectors: the text encoder of the embedded prior.

A sentence becomes one token a word, looked up in a small table that was distilled from the sentence
encoder MiniLM (`backend.training.distill_words`).  Words with near meanings have near vectors, so
"crimson" lands close to "red" although no training caption ever said it.  Order is not encoded: the
U-Net that reads the tokens was trained on captions of a few words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.priors.base import PriorError

MAX_TOKENS = 16
NEAR = 0.6  # cosine above which a word the prior never saw counts as one that it did
SILENT = frozenset(
    "a an the of with and in on at to for from by is are it its this that some view photo picture render image "
    "model object very".split()
)


@dataclass(frozen=True)
class Reading:
    """What the table made of a sentence."""

    vectors: Tensor  # (L, D) one token a known word
    understood: dict[str, str] = field(default_factory=dict)  # word -> the trained word that it is or is near to
    unseen: tuple[str, ...] = ()  # words that mean nothing to the prior


def split_words(text: str) -> list[str]:
    """Lower-case words of a sentence, without those that carry no picture ("a", "with", "view")."""
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in SILENT]


class WordTable:
    """`vectors` (V, D) for the V words of `words`; `seen` (V,) bool marks those of the training captions."""

    def __init__(self, words: list[str], vectors: Tensor, seen: Tensor | None = None) -> None:
        seen = torch.zeros(len(vectors)) if seen is None else seen
        if len(words) != len(vectors) or len(words) != len(seen):
            raise ValueError(f"{len(words)} words, {len(vectors)} vectors and {len(seen)} marks do not belong together")
        self.words, self.vectors, self.seen = words, vectors.float(), seen.bool()
        self._index = {word: i for i, word in enumerate(words)}
        self._unit = torch.nn.functional.normalize(self.vectors, dim=-1)

    @classmethod
    def load(cls, folder: Path) -> WordTable:
        """Read `words.txt` and `words.safetensors` of a prior's folder; PriorError where they cannot be read."""
        try:
            tensors = load_file(folder / "words.safetensors")
            words = (folder / "words.txt").read_text(encoding="utf-8").split()
            return cls(words, tensors["vectors"], tensors.get("seen"))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise PriorError(f"the word table in {folder} cannot be read ({error}): restore that folder") from error

    def save(self, folder: Path) -> None:
        """Write the table as fp16."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "words.txt").write_text("\n".join(self.words) + "\n", encoding="utf-8")
        save_file({"vectors": self.vectors.half(), "seen": self.seen}, folder / "words.safetensors")

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]

    def find(self, word: str) -> int | None:
        """Index of a word, or of its singular."""
        for form in (word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("en")):
            if form in self._index:
                return self._index[form]
        return None

    def nearest_seen(self, index: int) -> tuple[str, float]:
        """The trained word whose meaning is nearest, and the cosine between the two."""
        cosine = torch.where(self.seen, self._unit @ self._unit[index], -2.0)
        best = int(cosine.argmax())
        return self.words[best], float(cosine[best])

    def near(self, word: str, among: Iterable[str], least: float) -> str | None:
        """The word among others whose meaning is nearest, None where none has a cosine of at least `least`."""
        index = self.find(word)
        known = {other: self.find(other) for other in among}
        names = sorted(other for other, number in known.items() if number is not None)
        if index is None or not names:
            return None
        cosine = self._unit[[known[name] for name in names]] @ self._unit[index]
        best = int(cosine.argmax())
        return names[best] if float(cosine[best]) >= least else None

    def read(self, text: str) -> Reading:
        """Look a sentence up; at most `MAX_TOKENS` words are kept."""
        indices: list[int] = []
        understood: dict[str, str] = {}
        unseen: list[str] = []
        for word in split_words(text):
            index = self.find(word)
            near, cosine = self.nearest_seen(index) if index is not None else ("", 0.0)
            if index is None or cosine < NEAR:
                unseen.append(word)
                continue
            understood[word] = near
            indices.append(index)
        return Reading(self.vectors[indices[:MAX_TOKENS]], understood, tuple(unseen))

    def suggest(self, text: str, count: int = 8) -> list[str]:
        """Trained words that look like, or mean nearly, those of a sentence that was not understood."""
        names = [word for word, seen in zip(self.words, self.seen.tolist(), strict=True) if seen and not word.isdigit()]
        found: list[str] = []
        for word in split_words(text):
            found += difflib.get_close_matches(word, names, n=3, cutoff=0.6)
            index = self.find(word)
            if index is not None:
                found.append(self.nearest_seen(index)[0])
        common = ["chair", "table", "lamp", "sofa", "apple", "vase", "cup", "car"]
        return list(dict.fromkeys(found + [word for word in common if word in self._index]))[:count]

    def tokens(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Token vectors (B, L, D) and their mask (B, L), the first token of each being the empty word (zeros)."""
        readings = [self.read(text).vectors for text in texts]
        length = 1 + max((len(vectors) for vectors in readings), default=0)
        tokens = torch.zeros(len(texts), length, self.dim)
        mask = torch.zeros(len(texts), length)
        mask[:, 0] = 1
        for row, vectors in enumerate(readings):
            tokens[row, 1 : 1 + len(vectors)] = vectors
            mask[row, 1 : 1 + len(vectors)] = 1
        return tokens, mask


def mean_word(tokens: Tensor, mask: Tensor) -> Tensor:
    """The mean (B,D) of a text's words, its first token, the empty word, apart; zeros for no words."""
    return (tokens * mask[..., None]).sum(1) / (mask.sum(1, keepdim=True) - 1).clamp(min=1)

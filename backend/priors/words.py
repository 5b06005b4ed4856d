"""A table of word vectors, distilled from the sentence encoder MiniLM (`prior_data.distill_words`).

Words of similar meaning have similar vectors, so that a word that is in no name of a kit may be replaced by one that
is.  MiniLM was trained on sentences, so similarity is that of use, not of looks: cat/dog .64, chair/table .50, but also
banana/coconut .70 and rocker/rock .71.  So only words above that replace each other, and common words are in
`backend.priors.lexicon`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.priors.base import PriorError


class WordTable:
    """`vectors` (V, D) for the V words of `words`."""

    def __init__(self, words: list[str], vectors: Tensor) -> None:
        if len(words) != len(vectors):
            raise ValueError(f"{len(words)} words do not match {len(vectors)} vectors")
        self.words, self.vectors = words, vectors.float()
        self._index = {word: i for i, word in enumerate(words)}
        self._unit = torch.nn.functional.normalize(self.vectors, dim=-1)

    @classmethod
    def load(cls, folder: Path) -> WordTable:
        """Read `words.txt` and `words.safetensors` of a folder; PriorError where they cannot be read."""
        try:
            vectors = load_file(folder / "words.safetensors")["vectors"]
            return cls((folder / "words.txt").read_text(encoding="utf-8").split(), vectors)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise PriorError(f"the word table in {folder} cannot be read ({error}): restore that folder") from error

    def save(self, folder: Path) -> None:
        """Write the table as fp16."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "words.txt").write_text("\n".join(self.words) + "\n", encoding="utf-8")
        save_file({"vectors": self.vectors.half()}, folder / "words.safetensors")

    def find(self, word: str) -> int | None:
        """Index of a word, or of its singular."""
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in self._index:
                return self._index[form]
        return None

    def near(self, word: str, among: Iterable[str], least: float) -> str | None:
        """The word among others with the most similar meaning; None if no cosine is at least `least`."""
        index = self.find(word)
        known = {other: self.find(other) for other in among}
        names = sorted(other for other, number in known.items() if number is not None)
        if index is None or not names:
            return None
        cosine = self._unit[[known[name] for name in names]] @ self._unit[index]
        best = int(cosine.argmax())
        return names[best] if float(cosine[best]) >= least else None

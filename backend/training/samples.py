"""Pictures that the embedded prior draws by itself: 16 prompts from six sides, one grid.

python -m backend.training.samples --weights FOLDER --out grid.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backend.cameras import orbit, view_word
from backend.guidance.base import Conditions
from backend.guidance.inversion import ddim_sample
from backend.priors.embedded import WEIGHTS, Embedded

PROMPTS = (
    "a wooden chair", "a red sofa", "a round table", "a desk lamp", "a red apple", "a pineapple", "a blue vase", "a white cup",
    "a potted plant", "a cactus", "a red car", "a yellow truck", "a fish", "a horse", "a green bottle", "a brown bookcase",
)  # fmt: skip
SIDES = 6


def draw(prior: Embedded, prompt: str, scale: float, steps: int, seed: int) -> np.ndarray:
    """One row of the grid: the prompt from `SIDES` sides, all from one noise, (64, 64*SIDES, 3) uint8.

    From the last level but one: at the last there is no signal to divide by.
    """
    cameras = orbit(SIDES, elevation=15.0)
    words = [view_word(float(azimuth), 15.0) for azimuth in cameras.azimuth]
    y = prior.condition([f"{prompt}, {word} view" for word in words], cameras)
    conditions = Conditions(y, prior.condition([""] * SIDES))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 3, prior.image_size, prior.image_size, generator=generator).repeat(SIDES, 1, 1, 1)
    t = torch.full((SIDES,), len(prior.alphas_cumprod) - 2)
    images = prior.decode(ddim_sample(prior, noise, t, conditions, steps, scale))
    return np.concatenate(list((images.clamp(0, 1) * 255).byte().numpy()), 1)


def main() -> None:
    """Draw the grid: two columns of eight prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    prior = Embedded.load("cpu", args.weights)
    rows = [draw(prior, prompt, args.scale, args.steps, args.seed) for prompt in PROMPTS]
    half = len(rows) // 2
    Image.fromarray(np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], 1)).save(args.out)


if __name__ == "__main__":
    main()

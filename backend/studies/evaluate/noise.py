"""DreamMapping's Fig. 11 for the embedded prior: its noise prediction over the levels.

    python -m backend.studies.evaluate.noise --out DIR

For clean pictures x (the prior's own), each of 20 levels t and fresh noise eps: the variance of eps_y(x_t),
its linear correlation with eps, and DCA's lambda_t for each cut-off.  For comparison the measured coefficients:
"share" is cov / var(eps), how much of eps is in eps_y, which VDM's option `annealing` measures; "least noise" is
cov / var(eps_y), the multiple of eps_y whose subtraction leaves the least of eps.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backend.files import replacing
from backend.guidance.base import correlation
from backend.guidance.rules.vdm import lambda_t
from backend.job.job import make_job
from backend.priors.base import Condition, Prior, alpha_sigma
from backend.priors.catalogue import CataloguePrior
from backend.priors.kit import EMBEDDED, INDEX
from backend.run.assemble import load_prior
from backend.studies.evaluate.references import EACH, own_cameras, own_samples, view_condition, with_all_objects
from backend.studies.plots import PALETTE, frame, page, require_matplotlib, save

PROMPTS = ("a wooden chair", "a red apple", "a blue vase", "a red car")
LEVELS, CUT_OFFS = tuple(range(25, 1000, 50)), (100, 300, 500)


@torch.no_grad()
def measure(prior: Prior, condition: Condition, clean: Tensor, seed: int = 0) -> dict[str, list[float]]:
    """Variance, correlation and coefficients at each of LEVELS, for x (N,S,C,h,w) of the condition's S rows."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[float]] = {"variance": [], "correlation": [], "share": [], "least noise": []}
    for level in LEVELS:
        pairs = [_pair(prior, x, level, condition, generator) for x in clean]
        eps, eps_y = (torch.cat(parts).flatten() for parts in zip(*pairs, strict=True))
        variance = float(eps_y.var())
        covariance = float(((eps - eps.mean()) * (eps_y - eps_y.mean())).mean())
        found["variance"].append(variance)
        found["correlation"].append(float(correlation(eps, eps_y)))
        found["share"].append(covariance / float(eps.var()))
        found["least noise"].append(covariance / variance)
    return found


def _pair(
    prior: Prior, x: Tensor, level: int, condition: Condition, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    t = torch.full((len(x),), level)
    alpha, sigma = alpha_sigma(prior, t)
    eps = torch.randn(x.shape, generator=generator)
    return eps, prior.predict(alpha * x + sigma * eps, t, condition)


def on_its_own(prior: CataloguePrior) -> dict[str, list[float]]:
    """`measure` of a kit's prior, on EACH of its own objects."""
    around = prior.grid[own_cameras(prior)]
    return measure(prior, view_condition(prior, prior.prompt, around), own_samples(prior, EACH))


def coefficients(prior: Prior) -> dict[str, list[float]]:
    """lambda_t of Eq. 18 at LEVELS, for each cut-off."""
    t = torch.tensor(LEVELS)
    alpha, _ = alpha_sigma(prior, t)
    return {f"cut-off {c}": lambda_t(t, alpha, c, len(prior.alphas_cumprod)).flatten().tolist() for c in CUT_OFFS}


def figure(curves: dict[str, list[float]], file: Path) -> None:
    """All curves over t."""
    title = "The embedded prior's noise prediction over the levels (DreamMapping, Fig. 11)"
    drawing, [[axes]] = page(1, 1, (7.0, 4.0), title)
    for (name, values), colour in zip(curves.items(), PALETTE, strict=False):
        axes.plot(LEVELS, values, color=colour, label=name)
    frame(axes, (0, 250, 500, 750, 1000), (0, 0.5, 1, 1.5), below="t")
    axes.legend(fontsize=8)
    save(drawing, file)


def main() -> None:
    """Measure, draw, and keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prior", default=EMBEDDED, help="'embedded', or the folder of a kit")
    args = parser.parse_args()
    require_matplotlib()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    jobs = [with_all_objects(make_job({"prompt": prompt, "prior": args.prior})) for prompt in PROMPTS]
    found = [load_prior(job, torch.device("cpu"))[0] for job in jobs]
    priors = [prior for prior in found if isinstance(prior, CataloguePrior)]
    if len(priors) < len(jobs):
        sys.exit(f"prior: {args.prior} is not a kit; use a folder with a {INDEX}.")
    each = [on_its_own(prior) for prior in priors]
    mean = {name: np.mean([one[name] for one in each], 0).round(4).tolist() for name in each[0]}
    curves = mean | coefficients(priors[0])
    with replacing(out / "fig11.json") as file:
        file.write_text(json.dumps({"t": LEVELS, "prompts": PROMPTS, **curves}) + "\n", encoding="utf-8")
    shown = ("variance", "correlation", "share", "least noise", "cut-off 300")
    figure({name: curves[name] for name in shown}, out / "fig11.png")


if __name__ == "__main__":
    main()

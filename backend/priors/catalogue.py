"""The prior of a kit: a diffusion model in closed form, whose data are the pictures of the kit's objects.

    words -> objects (`choosing`) -> a seed's draw of them -> their pictures from a step's cameras -> the score of these

It knows only its objects, but knows them exactly: there is no network and nothing was trained, so that results show the
effect of the distillation rule alone.  x is RGBA, so that silhouettes have a gradient of their own.  `local_score` has
the formula; `mix` sets whether results are objects of the kit or new ones from their parts.

While windows are whole pictures, all views of a step are judged together (`joint`): their likelihoods are multiplied
before the softmax, so that every view shows the same object, which multi-view diffusion models are trained for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.cameras import Cameras
from backend.priors.analytic import scaled_linear, to_pure_noise
from backend.priors.base import Condition
from backend.priors.catalogue_twin import CatalogueTwin
from backend.priors.choosing import FAINT, Choice, Chooser
from backend.priors.dye import dye
from backend.priors.grid import SIDE, grid_cameras, nearest
from backend.priors.kit import SHIPPED, Kit, KitError
from backend.priors.loading import pictures, pixels
from backend.priors.local_score import NEVER, denoised, log_likelihood, summed_over_views, window_side
from backend.priors.picture_bank import ANY, KitSample, ObjectPictures, Pictures, Read, Source
from backend.priors.settings import CatalogueSettings
from backend.priors.words import WordTable

STD = 0.1  # standard deviation s of each picture in the mixture
NEGATIVES = 8  # objects of a negative prompt that guidance moves away from
SAMPLE_SIZE = 48  # pictures that stand for the whole kit without a prompt
VIEW = re.compile(r", (front|side|back|overhead) view$")


class Catalogue:
    """A kit and the chooser of its objects; kept between jobs."""

    def __init__(self, kit: Kit, table: WordTable) -> None:
        self.kit = kit
        objects = kit.objects
        colours, shares = np.array([o.colour for o in objects]), np.array([o.share for o in objects])
        self.chooser = Chooser([o.name for o in objects], colours, shares, table)

    @classmethod
    def load(cls, folder: Path = SHIPPED) -> Catalogue:
        """Open a kit.  PriorError where it, or the word table, is missing or damaged."""
        return cls(Kit(folder), WordTable.load(SHIPPED))

    def reader(self, number: int, choice: Choice) -> Read:
        """A function that reads an object's pictures, dyed if the choice says so."""

        def read() -> NDArray[np.uint8]:
            views, to = self.kit.views(number), choice.dyes.get(number)
            return views if to is None else dye(views, self.kit.objects[number].colour, to)

        return read

    def readable(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
        """The objects whose pictures can be read, and a sentence for each of the others; KitError if none can."""
        kept, skipped = [], list[str]()
        for number in numbers.tolist():
            try:
                self.kit.views(number)
                kept.append(number)
            except KitError as error:
                if len(skipped) + 1 == len(numbers):
                    raise
                skipped.append(f"“{self.kit.objects[number].name}” is skipped: {error}")
        return np.array(kept, np.int64), skipped

    def sample(self) -> tuple[list[Read], list[int]]:
        """Random objects of the whole kit, with a camera for each; the same for every run."""
        rng = np.random.default_rng(0)
        existing = [n for n, thing in enumerate(self.kit.objects) if (self.kit.folder / thing.file).is_file()]
        numbers = rng.permutation(existing)[:SAMPLE_SIZE]
        cameras = rng.integers(len(grid_cameras()), size=len(numbers))
        return [partial(self.kit.views, number) for number in numbers.tolist()], cameras.tolist()


def draw_objects(weights: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    """Numbers of `count` objects, drawn without repetition by their weights (N,); all of them for count 0.

    Gumbel's trick: the largest log-weights after adding Gumbel noise are such a draw.
    """
    fit = np.flatnonzero(weights >= FAINT * weights.max())
    if not count or len(fit) <= count:
        return fit
    noise = np.random.default_rng(seed).gumbel(size=len(weights))[fit]
    return np.sort(fit[np.argsort(-(np.log(weights[fit]) + noise), kind="stable")[:count]])


class CataloguePrior:
    """A `Prior` for one run: the objects that fit its prompt, as drawn by its seed."""

    channels = 4

    def __init__(
        self,
        catalogue: Catalogue,
        prompt: str,
        negative: str = "",
        settings: CatalogueSettings = CatalogueSettings(),  # noqa: B008 (frozen)
        seed: int = 0,
        side: int = SIDE,
        device: torch.device | str = "cpu",
    ) -> None:
        self.catalogue, self.prompt, self.negative, self.settings = catalogue, prompt, negative, settings
        self.image_size, self.device = side, torch.device(device)
        self.grid = grid_cameras()
        self.cameras: Cameras | None = self.grid
        alphas_cumprod = to_pure_noise(scaled_linear()).float()
        self.alphas_cumprod, self._alpha_bars = alphas_cumprod.to(self.device), alphas_cumprod.tolist()
        choice = catalogue.chooser.choose(prompt, negative)
        self.numbers, damaged = catalogue.readable(draw_objects(choice.weights, settings.objects, seed))
        fit = len(draw_objects(choice.weights, 0, seed))
        fewer = [f"This seed draws from {len(self.numbers)} of these {fit}; another seed draws others."]
        self.notes = choice.notes + fewer * (len(self.numbers) + len(damaged) < fit) + damaged
        self.sources, self.log_pi = self._sources(choice)
        self._embed = lru_cache(64)(self._tokens)
        self._groups: dict[str, int] = {}

    def _sources(self, choice: Choice) -> tuple[tuple[Source, ...], dict[str, Tensor]]:
        """The sources of pictures, and for each text the log-weights of everything in them."""
        wanted = [self.catalogue.reader(n, choice) for n in self.numbers.tolist()]
        negatives = self._negatives()
        sources = (
            ObjectPictures(wanted, self.device),
            ObjectPictures([self.catalogue.reader(n, choice) for n in negatives.tolist()], self.device),
            KitSample(*self.catalogue.sample(), self.device),
        )
        never = [torch.full((source.count,), NEVER) for source in sources]
        pi = torch.from_numpy(choice.weights[self.numbers]).float()
        rows = {
            self.prompt: [pi.log(), never[1], never[2]],
            # All pictures of the kit: the run's own, and a sample that stands for all others.
            "": [torch.zeros(sources[0].count), never[1], torch.full((sources[2].count,), self._share())],
        }
        if self.negative:
            known = len(negatives) > 0
            rows[self.negative] = [never[0], torch.zeros(len(negatives)), never[2]] if known else rows[""]
        return sources, {text: torch.cat(parts).to(self.device) for text, parts in rows.items()}

    def _share(self) -> float:
        """The log of the number of pictures of the kit that each picture of the sample stands for."""
        return math.log(len(self.catalogue.kit) * len(self.grid) / SAMPLE_SIZE)

    def _negatives(self) -> NDArray[np.int64]:
        """The objects of the negative prompt, if it names any."""
        if not self.negative or not self.catalogue.chooser.understands(self.negative):
            return np.zeros(0, np.int64)
        return draw_objects(self.catalogue.chooser.choose(self.negative).weights, NEGATIVES, 0)

    def encode(self, images: Tensor) -> Tensor:
        """Colour over middle grey and alpha (B,S,S,4) in [0,1] -> x (B,4,S,S) in [-1,1], S at most the kit's side."""
        return pixels(images, min(images.shape[1], SIDE))

    def decode(self, x: Tensor) -> Tensor:
        """x (B,4,S,S) -> colour over middle grey (B,S,S,3) in [0,1]."""
        return pictures(x[:, :3])

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """B texts and cameras -> log-weights as tokens (B,1,K); `extra`: "camera" (B,) and "group" (B,).

        Rows of one group (-1: none) are views of the same object.  "" stands for every picture of the kit, of any
        object and any camera; given a camera, it has the run's objects from that camera only.

        A text with a view (", back view") that is not its camera's gets the nearest camera with that view: Perp-Neg
        moves away from these.
        """
        words = [found and found[1] for found in map(VIEW.search, texts)]
        plain = [VIEW.sub("", text) for text in texts]
        views = [ANY] * len(texts) if cameras is None else nearest(self.grid, cameras)
        moved = views if cameras is None else nearest(self.grid, cameras, words)
        groups = [
            self._groups.setdefault(text, len(self._groups)) if view == own != ANY else -1
            for text, view, own in zip(plain, moved, views, strict=True)
        ]
        tokens = torch.stack([self._embed(text) for text in plain])[:, None]
        # These stay on the CPU: they choose pictures, which is the host's work.
        return Condition(tokens, extra={"camera": torch.tensor(moved), "group": torch.tensor(groups)})

    def _tokens(self, text: str) -> Tensor:
        """Log-weights (K,) of a text without its view."""
        if text in self.log_pi:
            return self.log_pi[text]
        weights = torch.from_numpy(self.catalogue.chooser.choose(text).weights[self.numbers]).float()
        rest = torch.full((sum(source.count for source in self.sources[1:]),), NEVER)
        return torch.cat([weights.log().clamp(min=NEVER), rest]).to(self.device)

    @torch.no_grad()
    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """ε (B,4,S,S) for x_t at integer levels t (B,), without gradient."""
        return self.eps(x_t, t, condition)

    def eps(self, x_t: Tensor, t: Tensor, condition: Condition, offset: Tensor | None = None) -> Tensor:
        """As `predict`, with gradient to the tokens and to `offset` (B,4,S,S), which is added to the clean estimate."""
        alpha_bar = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        variance = (alpha * STD) ** 2 + sigma**2
        estimate = self._clean_estimates(x_t.float(), t, condition)
        clean = estimate if offset is None else estimate + offset
        return sigma / variance * (x_t - alpha * clean)

    def twin(self, rank: int, seed: int) -> CatalogueTwin:
        """A twin that learns how the scene's pictures differ from the prior's estimates."""
        return CatalogueTwin(self, rank)

    def _clean_estimates(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The estimated clean picture of each row (B,4,S,S)."""
        views, groups = condition.extra["camera"].tolist(), condition.extra["group"].tolist()
        parts = torch.split(condition.tokens[:, 0], [source.count for source in self.sources], 1)
        # Asked for all rows at once, and with their levels: each question waits for the card.
        asked = torch.stack([t, *((part > NEVER / 2).any(1) for part in parts)], 1).tolist()
        levels, allowed = [row[0] for row in asked], [row[1:] for row in asked]
        conditions = zip(zip(*parts, strict=True), allowed, views, strict=True)
        candidates = [self._candidates(row, sources, view, x_t.shape[-1]) for row, sources, view in conditions]
        found = [self._likelihood(x, level, row[1]) for x, level, row in zip(x_t, levels, candidates, strict=True)]
        if self.settings.joint:
            found = summed_over_views(found, list(zip(groups, levels, strict=True)), views)
        log_weights = [log_pi[:, None, None] + row for (log_pi, _), row in zip(candidates, found, strict=True)]
        return denoised(log_weights, [pictures.x for _, pictures in candidates])

    def _candidates(
        self, parts: Sequence[Tensor], allowed: Sequence[int], view: int, side: int
    ) -> tuple[Tensor, Pictures]:
        """The log-weights (M,) and pictures of the sources that a row allows; `parts` are its tokens, by source."""
        found = zip(self.sources, parts, allowed, strict=True)
        chosen = [(source, part) for source, part, allows in found if source.count and allows]
        pictures = [source.pictures(view, side) for source, _ in chosen]
        weights = [part.repeat(len(p.x) // len(part)) for p, (_, part) in zip(pictures, chosen, strict=True)]
        return torch.cat(weights), pictures[0] if len(pictures) == 1 else Pictures.cat(pictures)

    def _likelihood(self, x_t: Tensor, level: int, pictures: Pictures) -> Tensor:
        alpha_bar = self._alpha_bars[level]
        alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        side = window_side(sigma, self.settings.mix, x_t.shape[-1])
        return log_likelihood(x_t, pictures.x, pictures.squares, alpha, (alpha * STD) ** 2 + sigma**2, side)

"""The interface of diffusion priors for the loop and the objectives."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from backend.cameras import Cameras
from backend.errors import UserError


class PriorError(UserError):
    """A prior that cannot be used, or a text that it does not understand: one sentence that says what to do."""


@dataclass(frozen=True)
class Condition:
    """What a prediction is conditioned on: tensors whose first axis is the batch."""

    tokens: Tensor  # (B, L, D)
    extra: dict[str, Tensor] = field(default_factory=dict)  # (B, ...) each: camera, pooled text, sizes

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """Concatenate along the batch."""
        first = conditions[0]
        extra = {key: torch.cat([c.extra[key] for c in conditions]) for key in first.extra}
        return Condition(torch.cat([c.tokens for c in conditions]), extra)


class Twin(Protocol):
    """A trainable variant of a prior; the prior itself stays frozen."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """The trainable tensors by name; none for rank 0."""

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """As `Prior.predict`, with gradient to `parameters` and to the condition's tensors."""

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of a loss that was computed from one `predict`: one backward of the U-Net."""


class Prior(Protocol):
    """A text-to-image diffusion model, frozen."""

    alphas_cumprod: Tensor  # (T,) ᾱ_t, decreasing
    image_size: int  # side in pixels of the pictures it was trained on
    device: torch.device
    channels: int  # of its input pictures: 3 for colour, 4 for colour over middle grey and alpha
    cameras: Cameras | None  # the only ones that it supports; None if it takes any

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,channels) in [0,1] -> clean samples x (B,C,h,w), with gradient."""

    def decode(self, x: Tensor) -> Tensor:
        """Clean samples x (B,C,h,w) -> pictures (B,H,W,3) in [0,1]."""

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """Texts, and cameras if the prior uses them -> Condition; "" is unconditional, with or without camera.

        All conditions of one prior have the same L, so that `Condition.cat` joins them.
        """

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Noise prediction ε (B,C,h,w) for x_t (B,C,h,w) at integer levels t (B,); one forward.

        Without a gradient in x_t the result has none, as a prior's weights are frozen.
        """

    def twin(self, rank: int, seed: int) -> Twin:
        """A twin that predicts as the prior does until it is trained; it shares the prior's weights.

        `rank` is that of its low-rank weights, drawn from `seed`; with 0 it has none, but still gives gradients.
        """


def alpha_sigma(prior: Prior, t: Tensor) -> tuple[Tensor, Tensor]:
    """α_t = sqrt(ᾱ_t) and σ_t = sqrt(1-ᾱ_t), each (B,1,1,1), for integer levels t (B,)."""
    alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


class Counted:
    """A prior that counts its calls (`calls`), the pictures in them (`rows`) and their time (`seconds`).

    Calls of its twins are included.  A call is a forward or a backward; as the prior's own weights are frozen, a
    backward costs one and a half forwards of a U-Net.  A graphics card computes after the call: its time counts only
    with `waits`, for measurements, as waiting makes a run slower.
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self.alphas_cumprod, self.image_size, self.device = prior.alphas_cumprod, prior.image_size, prior.device
        self.channels, self.cameras = prior.channels, prior.cameras
        self.encode, self.decode, self.condition = prior.encode, prior.decode, prior.condition
        self.calls, self.rows, self.seconds = 0, 0, 0.0
        self.waits = False

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Count, then predict."""
        with self.count(len(x_t)):
            return self.prior.predict(x_t, t, condition)

    def twin(self, rank: int, seed: int) -> Twin:
        """A twin whose calls are counted as the prior's."""
        return CountedTwin(self.prior.twin(rank, seed), self)

    @contextmanager
    def count(self, rows: int) -> Iterator[None]:
        """One call."""
        self._wait()
        began = time.perf_counter()
        yield
        self._wait()
        self.calls += 1
        self.rows += rows
        self.seconds += time.perf_counter() - began

    def _wait(self) -> None:
        """Until the card has computed all that it was given, if the time is to be true."""
        if self.waits and self.device.type in ("cuda", "mps"):
            torch.accelerator.synchronize(self.device)


class CountedTwin:
    """A twin whose forwards and backwards are counted as a prior's calls."""

    def __init__(self, twin: Twin, counted: Counted) -> None:
        self.twin, self.counted, self.parameters = twin, counted, twin.parameters
        self.rows = 0  # of the last forward, and so of its backward

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Count, then predict."""
        self.rows = len(x_t)
        with self.counted.count(self.rows):
            return self.twin.predict(x_t, t, condition)

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Count, then backpropagate."""
        with self.counted.count(self.rows):
            return self.twin.gradients(loss, wrt)

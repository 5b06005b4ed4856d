"""What `python -m backend models --json` prints: the list of models as one line, or an event of a download per line."""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["hub", "folder", "file", "LoRA"]


class Card(msgspec.Struct, frozen=True):
    """A graphics card and its memory in bytes."""

    name: str
    memory: int


class Fit(msgspec.Struct, frozen=True):
    """Whether a model fits the card; None where nobody can say.  `text` for a person."""

    fits: bool | None
    text: str


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine.

    `name` is what --prior takes; `size` is in bytes; `problem` is a sentence where the model cannot be used as it is.
    """

    name: str
    source: Source
    family: str
    size: int
    licence: str
    whole: bool
    fit: Fit
    problem: str = ""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A suggested model of the hub; `size` in bytes of its download, `here` if that is done already."""

    name: str
    family: str
    size: int
    licence: str
    here: bool
    fit: Fit


class Listing(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="list"):
    """Everything there is; `cache` is the hub's folder, `offline` whether HF_HUB_OFFLINE forbids to ask it."""

    models: tuple[Model, ...]
    suggested: tuple[Offer, ...]
    card: Card | None
    folders: tuple[str, ...]
    cache: str
    offline: bool


class DownloadProgress(msgspec.Struct, frozen=True, tag_field="event", tag="progress"):
    """`bytes` of `total` are here; `speed` in bytes a second; `left` in seconds, None while nothing comes.

    `total` is 0 until the hub has said what the model consists of.
    """

    bytes: int
    total: int
    speed: float
    left: float | None


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The model is whole, in this folder."""

    folder: str


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """It cannot be had; the text is a sentence that says what to do."""

    text: str


class Stopped(msgspec.Struct, frozen=True, tag_field="event", tag="stopped"):
    """It was stopped; what came is kept, and the same command goes on from there."""


ModelsLine = Listing | DownloadProgress | Done | Failed | Stopped


def size_text(count: float) -> str:
    """A number of bytes as a person reads it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{max(count / 1e6, 0.1):.1f} MB"

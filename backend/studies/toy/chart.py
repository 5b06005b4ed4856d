"""A minimal plotting library on Pillow: panels with axes, dots, lines and shading, drawn at twice the size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from backend.files import replacing

SCALE = 2
Colour = tuple[int, int, int] | tuple[int, int, int, int]
INK, FAINT, WHITE = (40, 40, 40), (205, 205, 205), (255, 255, 255)
# Okabe and Ito's palette, which colour-blind people can distinguish.
BLUE, ORANGE, GREEN, RED, PURPLE = (0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167)
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE)
SMALL, NORMAL, LARGE = 11, 13, 16


@dataclass(frozen=True)
class Span:
    """An axis: its ends and its ticks."""

    low: float
    high: float
    ticks: Sequence[float] = ()

    def share(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The positions of values between the ends, as shares."""
        return (values - self.low) / (self.high - self.low)


class Chart:
    """A white page of a size in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.page = Image.new("RGB", (width * SCALE, height * SCALE), WHITE)
        self.draw = ImageDraw.Draw(self.page)

    def text(
        self, at: tuple[float, float], words: str, size: int = NORMAL, anchor: str = "la", ink: Colour = INK
    ) -> None:
        """Words at a place in pixels; anchors are Pillow's."""
        font = ImageFont.load_default(size * SCALE)
        self.draw.text((at[0] * SCALE, at[1] * SCALE), words, ink, font, anchor)

    def legend(self, at: tuple[float, float], names: Sequence[str], step: float) -> None:
        """Names in a row, each after a line of its colour."""
        for index, (name, colour) in enumerate(zip(names, PALETTE, strict=False)):
            x = at[0] + index * step
            self.draw.line([x * SCALE, at[1] * SCALE, (x + 18) * SCALE, at[1] * SCALE], colour, 3 * SCALE)
            self.text((x + 23, at[1]), name, anchor="lm")

    def save(self, file: Path) -> None:
        """Write a PNG of few colours."""
        size = self.page.width // SCALE, self.page.height // SCALE
        small = self.page.resize(size, Image.Resampling.LANCZOS)
        with replacing(file) as temporary:
            small.quantize(128, kmeans=1, dither=Image.Dither.NONE).save(temporary, optimize=True)


class Panel:
    """A plot at (left, top) of a width and height in pixels, clipped to its frame; `close` puts it on the page."""

    def __init__(self, chart: Chart, box: tuple[float, float, float, float], x: Span, y: Span) -> None:
        self.chart, self.box, self.x, self.y = chart, box, x, y
        self.inside = Image.new("RGB", (round(box[2] * SCALE), round(box[3] * SCALE)), WHITE)
        self.draw = ImageDraw.Draw(self.inside, "RGBA")

    def _places(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N,2) of the plot -> its pixels (N,2)."""
        x = self.x.share(points[:, 0]) * self.inside.width
        return np.stack([x, (1 - self.y.share(points[:, 1])) * self.inside.height], 1)

    def shade(self, levels: NDArray[np.float64], colour: Colour = (120, 120, 120)) -> None:
        """Fill with a map (H,W) in [0,1], its first row on top: white to the colour."""
        mixed = 255 - levels[..., None] * (255 - np.array(colour[:3]))
        picture = Image.fromarray(mixed.round().astype(np.uint8))
        self.inside.paste(picture.resize(self.inside.size, Image.Resampling.BILINEAR))

    def dots(self, points: NDArray[np.float64], colour: Colour, radius: float = 1.5) -> None:
        """A disc at each of the points (N,2)."""
        r = radius * SCALE
        for x, y in self._places(points[np.isfinite(points).all(1)]).clip(-1e4, 1e4):
            self.draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def line(self, points: NDArray[np.float64], colour: Colour, width: float = 1.5) -> None:
        """A line through the finite ones of the points (N,2)."""
        finite = points[np.isfinite(points).all(1)]
        places = [(float(x), float(y)) for x, y in self._places(finite).clip(-1e4, 1e4)]
        self.draw.line(places, fill=colour, width=max(1, round(width * SCALE)), joint="curve")

    def close(self, title: str = "", below: str = "") -> None:
        """Put it on the page with frame, ticks, a title above and a text below."""
        left, top, width, height = self.box
        self.chart.page.paste(self.inside, (round(left * SCALE), round(top * SCALE)))
        corners = [left * SCALE, top * SCALE, (left + width) * SCALE, (top + height) * SCALE]
        self.chart.draw.rectangle(corners, outline=FAINT, width=SCALE)
        for tick in self.x.ticks:
            at = left + float(self.x.share(np.array(tick))) * width
            self.chart.text((at, top + height + 3), f"{tick:g}", SMALL, "ma")
        for tick in self.y.ticks:
            at = top + (1 - float(self.y.share(np.array(tick)))) * height
            self.chart.text((left - 4, at), f"{tick:g}", SMALL, "rm")
        self.chart.text((left + width / 2, top - 5), title, NORMAL, "ms")
        self.chart.text((left + width / 2, top + height + (18 if self.x.ticks else 4)), below, SMALL, "ma")

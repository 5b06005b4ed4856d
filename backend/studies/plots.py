"""Pages of panels by matplotlib, which is an extra: `pip install splatsmith[charts]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import UserError
from backend.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE)
DPI = 110


def require_matplotlib() -> None:
    """UserError where it is not installed; called before anything is computed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError("matplotlib: the figures need it; install it with: pip install matplotlib") from error


def page(
    rows: int, columns: int, size: tuple[float, float], title: str, subtitle: str = ""
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns panels, each so large in inches, and its axes row by row."""
    from matplotlib.figure import Figure

    figure = Figure((max(columns * size[0], 6.0), rows * size[1] + 0.7), layout="constrained", dpi=DPI)
    figure.suptitle(f"{title}\n{subtitle}" if subtitle else title, fontsize=10, x=0.01, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.tick_params(labelsize=7, length=2)
        for side in panel.spines.values():
            side.set_color("#cdcdcd")
    return figure, axes.tolist()


def frame(axes: Axes, x: Sequence[float], y: Sequence[float], title: str = "", below: str = "") -> None:
    """Ticks at x and y, whose first and last are the panel's ends; a title above, words below."""
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xticks=list(x), yticks=list(y))
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(below, fontsize=7)


def save(figure: Figure, file: Path) -> None:
    """Write a PNG."""
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png")

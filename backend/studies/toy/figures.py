"""The paper's figures of its toy, for every objective: 4, 5, 8, 10 to 12 and 14."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.studies.toy.chart import BLUE, LARGE, NORMAL, PALETTE, RED, SMALL, Chart, Panel, Span
from backend.studies.toy.divergences import divergences
from backend.studies.toy.experiment import PAPER_STEPS, STARTS
from backend.studies.toy.measure import pooled, within
from backend.studies.toy.modes import entropy, histogram, landed, log_density
from backend.studies.toy.records import Measured, counts, start_name

COLUMNS, SIDE, GAP, HEAD = 5, 170, 62, 62
PLANE = Span(-1.75, 1.75)
DRAWN = 20  # trajectories in Fig. 5
FADED = 90  # alpha of overlapping dots


def density(side: int = 96) -> NDArray[np.float64]:
    """The square root of the mixture's density over the plane's panel (side,side), its peak 0.45."""
    line = torch.linspace(PLANE.low, PLANE.high, side)
    x, y = torch.meshgrid(line, -line, indexing="xy")
    p = log_density(torch.stack([x.flatten(), y.flatten()], 1)).exp().sqrt().view(side, side)
    return (0.45 * p / p.max()).double().numpy()


def array(points: Tensor) -> NDArray[np.float64]:
    """Points (N,2) for the chart."""
    return points.double().numpy()


def grid(total: int, title: str, subtitle: str) -> tuple[Chart, Iterator[tuple[float, float, float, float]]]:
    """A page for `total` square panels, `COLUMNS` per row, and their boxes."""
    columns = min(COLUMNS, total)
    rows = -(-total // columns)
    chart = Chart(max(40 + columns * (SIDE + GAP), 640), HEAD + rows * (SIDE + GAP) + 4)
    chart.text((20, 12), title, LARGE)
    chart.text((20, 34), subtitle, SMALL)
    places = ((index % columns, index // columns) for index in range(total))
    return chart, ((52.0 + c * (SIDE + GAP), HEAD + 20.0 + r * (SIDE + GAP), SIDE, SIDE) for c, r in places)


def figure_8(file: Path) -> None:
    """Five divergences over a."""
    curves = divergences()
    chart = Chart(640, 420)
    chart.text((20, 10), "Divergences between p = (a, 1-a) and q = (1-a, a), in nats", LARGE)
    names = [name for name in curves if name != "a"]
    chart.legend((60, 46), names, 112)
    panel = Panel(chart, (50, 66, 560, 310), Span(0, 1, (0, 0.25, 0.5, 0.75, 1)), Span(0, 4, (0, 1, 2, 3, 4)))
    a = curves["a"]
    for name, colour in zip(names, PALETTE, strict=True):
        width = {"JSD": 9, "G-JSD": 5}.get(name, 2)  # three curves coincide
        panel.line(array(torch.stack([a, curves[name]], 1)), colour, width)
    panel.close(below="a")
    chart.save(file)


def figure_4(file: Path, found: list[Measured], prior: str) -> None:
    """The control variate over the noise estimate, for the paper's ten steps with guidance."""
    subtitle = (
        f"{prior}, a class with guidance, first {PAPER_STEPS} steps; x: noise estimate, y: what the rule subtracts"
    )
    chart, boxes = grid(len(found), "Noise estimate and control variate", subtitle)
    for measured, box in zip(found, boxes, strict=True):
        panel = Panel(chart, box, Span(-12, 12, (-10, 0, 10)), Span(-12, 12, (-10, 0, 10)))
        estimate, control = measured.first_pairs()
        value = pooled(estimate, control)
        if estimate is not None and control is not None:
            pairs = torch.stack([estimate.flatten(), control.flatten()], 1)
            panel.dots(array(pairs[:: max(1, len(pairs) // 1500)]), (*BLUE, FADED), 1.1)
        panel.close(measured.name, "no control variate" if value is None else f"correlation {value:+.2f}")
    chart.save(file)


def figure_5(file: Path, found: list[Measured], prior: str, annealed: bool) -> None:
    """Trajectories from the first start."""
    levels = "t falls from 0.98 T to 0.02 T" if annealed else "t uniform"
    subtitle = f"{prior}, no class, {levels}; {DRAWN} seeds from {start_name(0)}; red: where they end"
    chart, boxes = grid(len(found), "Trajectories from one start", subtitle)
    shade = density()
    for measured, box in zip(found, boxes, strict=True):
        panel = Panel(chart, box, PLANE, PLANE)
        panel.shade(shade)
        path = (measured.annealed if annealed else measured.free).path[:, 0, :DRAWN]
        for seed in range(path.shape[1]):
            panel.line(array(path[:, seed]), (*BLUE, 130), 0.8)
        panel.dots(array(path[-1]), RED, 2.2)
        panel.close(measured.name, _where(path[-1]))
    chart.save(file)


def _where(points: Tensor) -> str:
    """The share of points that landed in a mode, and their entropy."""
    mode = landed(points)
    share = float((mode >= 0).float().mean())
    return f"{share:.0%} landed, H {entropy(histogram(mode)):.2f}" if share else "none landed"


def figure_start(file: Path, found: list[Measured], prior: str, start: int) -> None:
    """Figs. 10 to 12: the end points of 10, 100, ... seeds from one start; last with falling t."""
    kinds = counts(found[0].free.path.shape[2])
    chart = Chart(110 + (len(kinds) + 1) * 146, HEAD + 20 + len(found) * 164)
    chart.text((20, 12), f"Where points from {start_name(start)} end", LARGE)
    chart.text((20, 34), f"{prior}, no class; H: entropy in nats over the modes of those that landed", SMALL)
    shade = density()
    for row, measured in enumerate(found):
        top = HEAD + 20 + row * 164
        chart.text((12, top + 65), measured.name, NORMAL, "lm")
        free, annealed = measured.free.path[-1, start], measured.annealed.path[-1, start]
        ends = [(f"{many} seeds", free[:many]) for many in kinds] + [(f"{len(annealed)} seeds, t falls", annealed)]
        for column, (title, points) in enumerate(ends):
            panel = Panel(chart, (110 + column * 146, top, 130, 130), PLANE, PLANE)
            panel.shade(shade)
            panel.dots(array(points), (*RED, FADED if len(points) > 100 else 220), 1.4)
            panel.close(title if row == 0 else "", _where(points))
    chart.save(file)


def figure_14(file: Path, found: list[Measured], prior: str) -> None:
    """The correlation by noise level: over all points, and from draw to draw at one point."""
    chart, boxes = grid(len(found), "Correlation of noise estimate and control variate by noise level", "")
    subtitle = f"{prior}, a class with guidance; x: t as a share of T"
    chart.text((20, 36), subtitle, SMALL)
    chart.legend((330, 43), ["over all points", "at one point, from draw to draw"], 130)
    for measured, box in zip(found, boxes, strict=True):
        panel = Panel(chart, box, Span(0, 1, (0, 0.5, 1)), Span(-1, 1, (-1, 0, 1)))
        panel.line(np.array([[0.0, 0.0], [1.0, 0.0]]), (150, 150, 150), 0.7)
        probe = measured.probe
        share = probe.levels / 1000
        for measure, colour in ((pooled, PALETTE[0]), (within, PALETTE[1])):
            if probe.estimate is not None and probe.control is not None:
                pairs = zip(probe.estimate, probe.control, strict=True)
                values = torch.tensor([value if (value := measure(*pair)) is not None else torch.nan for pair in pairs])
                panel.line(array(torch.stack([share, values], 1)), colour, 2)
        panel.close(measured.name)
    chart.save(file)


def draw_figures(folder: Path, found: list[Measured], prior: str) -> None:
    """Draw all figures of one prior, as fig04-PRIOR.png and so on."""
    label = {"trained": "trained network", "exact": "exact score"}[prior]
    figure_4(folder / f"fig04-{prior}.png", found, label)
    figure_5(folder / f"fig05-{prior}.png", found, label, annealed=False)
    figure_5(folder / f"fig05-{prior}-annealed.png", found, label, annealed=True)
    for start in range(len(STARTS)):
        figure_start(folder / f"fig{10 + start}-{prior}.png", found, label, start)
    figure_14(folder / f"fig14-{prior}.png", found, label)

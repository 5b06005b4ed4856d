"""The paper's figures of its toy, for every objective: 4, 5, 8, 10 to 12 and 14."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from backend.studies.plots import BLUE, PALETTE, RED, frame, page, save
from backend.studies.toy.divergences import divergences
from backend.studies.toy.experiment import PAPER_STEPS, STARTS
from backend.studies.toy.measure import pooled, within
from backend.studies.toy.modes import entropy, histogram, landed, log_density
from backend.studies.toy.records import Measured, counts, start_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, SQUARE = 5, (2.0, 2.15)  # panels in a row; inches
LOW, HIGH = -1.75, 1.75  # of the plane that is shown
DRAWN = 20  # trajectories in Fig. 5


def grid(found: list[Measured], title: str, subtitle: str) -> tuple[Figure, Iterator[tuple[Measured, Axes]]]:
    """A page with a square panel for each objective, `COLUMNS` in a row."""
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    figure, panels = page(rows, columns, SQUARE, title, subtitle)
    axes = [panel for row in panels for panel in row]
    for spare in axes[len(found) :]:
        spare.set_axis_off()
    return figure, zip(found, axes, strict=False)


def plane(axes: Axes, title: str, below: str) -> None:
    """The plane with the mixture's density, by its square root, in grey."""
    line = torch.linspace(LOW, HIGH, 96)
    x, y = torch.meshgrid(line, line, indexing="xy")
    p = log_density(torch.stack([x.flatten(), y.flatten()], 1)).exp().sqrt().view(96, 96)
    axes.imshow(p.numpy(), cmap="Greys", origin="lower", extent=(LOW, HIGH, LOW, HIGH), vmax=float(p.max()) / 0.5)
    axes.set(xlim=(LOW, HIGH), ylim=(LOW, HIGH), xticks=[], yticks=[])
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(below, fontsize=7)


def figure_8(file: Path) -> None:
    """Five divergences over a."""
    curves = divergences()
    figure, [[axes]] = page(1, 1, (6.0, 4.0), "Divergences between p = (a, 1-a) and q = (1-a, a), in nats")
    names = [name for name in curves if name != "a"]
    for name, colour in zip(names, PALETTE, strict=True):
        width = {"JSD": 7, "G-JSD": 4}.get(name, 1.5)  # three lie on one another
        axes.plot(curves["a"], curves[name], color=colour, linewidth=width, label=name)
    frame(axes, (0, 0.25, 0.5, 0.75, 1), (0, 1, 2, 3, 4), below="a")
    axes.legend(fontsize=8)
    save(figure, file)


def figure_4(file: Path, found: list[Measured], prior: str) -> None:
    """The control variate over the noise estimate, for the paper's ten steps with guidance."""
    said = f"{prior}, a class with guidance, first {PAPER_STEPS} steps; x: noise estimate, y: what the rule subtracts"
    figure, panels = grid(found, "Noise estimate and control variate", said)
    for measured, axes in panels:
        estimate, control = measured.first_pairs()
        value = pooled(estimate, control)
        if estimate is not None and control is not None:
            every = max(1, estimate.numel() // 1500)
            pairs = estimate.flatten()[::every], control.flatten()[::every]
            axes.scatter(*pairs, s=2, color=BLUE, alpha=0.35, linewidths=0)
        below = "no control variate" if value is None else f"correlation {value:+.2f}"
        frame(axes, (-12, 0, 12), (-12, 0, 12), measured.name, below)
    save(figure, file)


def figure_5(file: Path, found: list[Measured], prior: str, annealed: bool) -> None:
    """Trajectories from the first start."""
    levels = "t falls from 0.98 T to 0.02 T" if annealed else "t uniform"
    said = f"{prior}, no class, {levels}; {DRAWN} seeds from {start_name(0)}; red: where they end"
    figure, panels = grid(found, "Trajectories from one start", said)
    for measured, axes in panels:
        path = (measured.annealed if annealed else measured.free).path[:, 0, :DRAWN]
        axes.plot(path[..., 0], path[..., 1], color=BLUE, alpha=0.5, linewidth=0.6)
        axes.scatter(path[-1, :, 0], path[-1, :, 1], s=8, color=RED, linewidths=0, zorder=3)
        plane(axes, measured.name, _where(path[-1]))
    save(figure, file)


def _where(points: Tensor) -> str:
    """The share of points that landed in a mode, and their entropy."""
    mode = landed(points)
    share = float((mode >= 0).float().mean())
    return f"{share:.0%} landed, H {entropy(histogram(mode)):.2f}" if share else "none landed"


def figure_start(file: Path, found: list[Measured], prior: str, start: int) -> None:
    """Figs. 10 to 12: the end points of 10, 100, ... seeds from one start; last with falling t."""
    kinds = counts(found[0].free.path.shape[2])
    said = f"{prior}, no class; H: entropy in nats over the modes of those that landed"
    title = f"Where points from {start_name(start)} end"
    figure, panels = page(len(found), len(kinds) + 1, (1.7, 1.75), title, said)
    for measured, row in zip(found, panels, strict=True):
        free, annealed = measured.free.path[-1, start], measured.annealed.path[-1, start]
        ends = [(f"{many} seeds", free[:many]) for many in kinds] + [(f"{len(annealed)} seeds, t falls", annealed)]
        for axes, (kind, points) in zip(row, ends, strict=True):
            crowd = len(points) > 100
            axes.scatter(
                points[:, 0], points[:, 1], s=4, color=RED, alpha=0.35 if crowd else 0.85, linewidths=0, zorder=3
            )
            plane(axes, kind if measured is found[0] else "", _where(points))
        row[0].set_ylabel(measured.name, fontsize=8)
    save(figure, file)


def figure_14(file: Path, found: list[Measured], prior: str) -> None:
    """The correlation by noise level: of everything at once, and from draw to draw at one point."""
    said = f"{prior}, a class with guidance; x: t as a share of T; blue: over all points; orange: at one point, from "
    figure, panels = grid(
        found, "Correlation of noise estimate and control variate by noise level", f"{said}draw to draw"
    )
    for measured, axes in panels:
        axes.axhline(0, color="#969696", linewidth=0.5)
        probe = measured.probe
        for measure, colour in ((pooled, PALETTE[0]), (within, PALETTE[1])):
            if probe.estimate is not None and probe.control is not None:
                values = [measure(*pair) for pair in zip(probe.estimate, probe.control, strict=True)]
                axes.plot(probe.levels / 1000, [torch.nan if v is None else v for v in values], color=colour)
        frame(axes, (0, 0.5, 1), (-1, 0, 1), measured.name)
    save(figure, file)


def draw_figures(folder: Path, found: list[Measured], prior: str) -> None:
    """Draw all figures of one prior, as fig04-PRIOR.png and so on."""
    label = {"trained": "trained network", "exact": "exact score"}[prior]
    figure_4(folder / f"fig04-{prior}.png", found, label)
    figure_5(folder / f"fig05-{prior}.png", found, label, annealed=False)
    figure_5(folder / f"fig05-{prior}-annealed.png", found, label, annealed=True)
    for start in range(len(STARTS)):
        figure_start(folder / f"fig{10 + start}-{prior}.png", found, label, start)
    figure_14(folder / f"fig14-{prior}.png", found, label)

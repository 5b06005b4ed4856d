"""What `evaluate` says of each objective: means with their intervals, and how far they are from another one's."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from backend.evaluate.measures import interval

Group = dict[str, Any]  # of one objective and prompt: a figure of each seed in a list, or one of all seeds
Spread = tuple[float, float | None]  # a mean, and half its 95 % interval
Row = dict[str, Spread]  # by figure
Values = dict[int | None, float]  # one prompt's, by seed

ABOUT = ("objective", "prompt", "seeds")


def summary(groups: list[Group]) -> dict[str, Row]:
    """By objective: the mean of each figure over prompts and seeds, and half its 95 % interval.

    The interval is over seeds, each the mean of the same prompts: it says what other seeds would give.  Where there is
    one seed, or the figure is of several, it is over prompts.
    """
    found: dict[str, Row] = {}
    for name in dict.fromkeys(group["objective"] for group in groups):
        mine = [group for group in groups if group["objective"] == name]
        figures = dict.fromkeys(key for group in mine for key in group if key not in ABOUT)
        by_prompt = {figure: [_values(group, figure) for group in mine] for figure in figures}
        found[name] = {figure: _over_seeds(values) for figure, values in by_prompt.items() if any(values)}
    return found


def differences(groups: list[Group], baseline: str, figure: str) -> dict[str, Spread]:
    """By objective: the figure less the baseline's on the same prompts and seeds, and half its 95 % interval.

    The interval is over prompts, each the mean of its seeds: it says what other prompts would give.  Over seeds where
    there is one prompt.  Objectives that share nothing with the baseline are left out.
    """
    base = {group["prompt"]: _values(group, figure) for group in groups if group["objective"] == baseline}
    found = {}
    for name in dict.fromkeys(group["objective"] for group in groups if group["objective"] != baseline):
        mine = {group["prompt"]: _values(group, figure) for group in groups if group["objective"] == name}
        pairs = [_less(mine[prompt], base[prompt]) for prompt in mine.keys() & base.keys()]
        pairs = [pair for pair in pairs if pair]
        if pairs:
            found[name] = interval([fmean(pair.values()) for pair in pairs] if pairs[1:] else [*pairs[0].values()])
    return found


def markdown(rows: dict[str, Row]) -> str:
    """The summary as a table."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = ["| objective | " + " | ".join(column.replace("_", " ") for column in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, row in rows.items():
        cells = (_text(*row[key]) if key in row else "" for key in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _text(mean: float, half: float | None) -> str:
    return f"{mean:.3g}" if half is None else f"{mean:.3g} ± {half:.2g}"


def _values(group: Group, figure: str) -> Values:
    value = group.get(figure)
    by_seed = zip(group["seeds"], value, strict=True) if isinstance(value, list) else [(None, value)]
    return {seed: number for seed, number in by_seed if number is not None}


def _less(one: Values, other: Values) -> Values:
    return {seed: one[seed] - other[seed] for seed in one.keys() & other.keys()}


def _over_seeds(by_prompt: list[Values]) -> Spread:
    by_prompt = [values for values in by_prompt if values]
    means = [fmean(values.values()) for values in by_prompt]
    shared = set.intersection(*(set(values) for values in by_prompt))
    over = [fmean(values[seed] for values in by_prompt) for seed in shared] if len(shared) > 1 else means
    return fmean(means), interval(over)[1]

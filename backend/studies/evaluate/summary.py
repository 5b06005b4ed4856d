"""The summary of `evaluate` by objective: means with their intervals, and differences to a baseline."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any, Literal, NamedTuple

from backend.studies.evaluate.measures import interval

ABOUT = ("objective", "prompt", "seeds", "nearest")
DIFFERENCE = "kid_difference"
THEMES = {
    "relative to the prior": (
        "psnr", "psnr_rgba", "new", "largest", "largest_in_view", "turned", "second_faces", "modes",
        "relative_agreement", "relative_top5", "own_agreement", "own_top5",
    ),
    "cost": ("seconds", "prior_calls", "prior_rows"),
}  # fmt: skip

Group = dict[str, Any]  # of one objective and prompt: figures are lists over seeds, or one value for all seeds
Values = dict[int | None, float]  # one prompt's, by seed


class Spread(NamedTuple):
    """A mean, half of its 95 % interval (None for a single value), and what that interval is over."""

    mean: float
    half: float | None
    over: Literal["seeds", "prompts"]


Row = dict[str, Spread]  # by figure


def summary(groups: list[Group], baseline: str) -> dict[str, Row]:
    """By objective: every figure over prompts and seeds, and the difference of KID to the baseline.

    Intervals are over seeds, each with the mean over the same prompts; they are over prompts, each with the mean over
    its seeds, where the prompts share fewer than two seeds or the figure has one value for all seeds.
    """
    found: dict[str, Row] = {}
    base = {group["prompt"]: _values(group, "kid") for group in groups if group["objective"] == baseline}
    for name in dict.fromkeys(group["objective"] for group in groups):
        mine = [group for group in groups if group["objective"] == name]
        figures = dict.fromkeys(key for group in mine for key in group if key not in ABOUT)
        by_prompt = {figure: [_values(group, figure) for group in mine] for figure in figures}
        found[name] = {figure: _spread(values) for figure, values in by_prompt.items() if any(values)}
        kids = {group["prompt"]: _values(group, "kid") for group in mine}
        if name != baseline and (difference := _difference(kids, base)):
            found[name][DIFFERENCE] = difference
    return found


def markdown(rows: dict[str, Row], baseline: str) -> str:
    """The summary as Markdown tables, one per theme, with a note on the intervals."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    themes = {theme: [key for key in columns if key in keys] for theme, keys in THEMES.items()}
    rest = [key for key in columns if not any(key in keys for keys in THEMES.values())]
    tables = {"by the judges": rest, **themes}
    lines = [line for theme, keys in tables.items() if keys for line in _table(theme, keys, rows)]
    wide = [(key, spread.over) for row in rows.values() for key, spread in row.items() if spread.half is not None]
    if wide:
        prompts = ", ".join(dict.fromkeys(key for key, over in wide if over == "prompts")).replace("_", " ")
        lines += [f"± is half of a 95 % interval, over seeds; over prompts for {prompts or 'nothing'}."]
    if DIFFERENCE in columns:
        lines.append(f"The difference is to {baseline} on the same prompts and seeds.")
    return "\n".join(lines) + "\n"


def _table(theme: str, columns: list[str], rows: dict[str, Row]) -> list[str]:
    lines = [f"| {theme} | " + " | ".join(column.replace("_", " ") for column in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, row in rows.items():
        cells = (_text(row[key], key == DIFFERENCE) if key in row else "" for key in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _text(spread: Spread, signed: bool) -> str:
    mean = f"{spread.mean:+.3g}" if signed else f"{spread.mean:.3g}"
    return mean if spread.half is None else f"{mean} ± {spread.half:.2g}"


def _values(group: Group, figure: str) -> Values:
    """Each seed's value; the mean if a seed occurs twice."""
    value = group.get(figure)
    found = defaultdict[int | None, list[float]](list)
    for seed, number in zip(group["seeds"], value, strict=True) if isinstance(value, list) else [(None, value)]:
        if number is not None:
            found[seed].append(number)
    return {seed: fmean(numbers) for seed, numbers in found.items()}


def _spread(by_prompt: list[Values]) -> Spread:
    by_prompt = [values for values in by_prompt if values]
    shared = [seed for seed in by_prompt[0] if all(seed in values for values in by_prompt)]
    if len(shared) > 1:
        return Spread(*interval([fmean(values[seed] for values in by_prompt) for seed in shared]), "seeds")
    return Spread(*interval([fmean(values.values()) for values in by_prompt]), "prompts")


def _difference(mine: dict[str, Values], base: dict[str, Values]) -> Spread | None:
    """The difference to the baseline with its interval over prompts, or over seeds if there is only one prompt."""
    pairs = [
        {seed: value - base[prompt][seed] for seed, value in values.items() if seed in base[prompt]}
        for prompt, values in mine.items()
        if prompt in base
    ]
    pairs = [pair for pair in pairs if pair]
    if not pairs:
        return None
    if len(pairs) == 1:
        return Spread(*interval([*pairs[0].values()]), "seeds")
    return Spread(*interval([fmean(pair.values()) for pair in pairs]), "prompts")

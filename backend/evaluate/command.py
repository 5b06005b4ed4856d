"""`evaluate`: many finished jobs at once; a table, JSON, and a contact sheet.

What a job's folder needs is computed once and kept there, so that an interrupted call goes on.  A folder that cannot be
evaluated is told in a sentence, and the rest is still evaluated.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from backend.assemble import choose_device, embedded_prior
from backend.cameras import orbit
from backend.evaluate.diversity import diversity
from backend.evaluate.judge import NAME, Judge
from backend.evaluate.labels import labels
from backend.evaluate.measures import fid, inception_variance, interval, janus, kid
from backend.evaluate.others import OtherJudges
from backend.evaluate.real import Real
from backend.evaluate.references import references
from backend.evaluate.results import DIVERSE, ELEVATION, VIEWS, EvaluationError, Result, look
from backend.evaluate.sheet import sheet
from backend.export.files import replacing
from backend.priors.base import Prior

FIGURES = ("agreement", "top5", "t3", "quality", "saturation", "seconds", "unet_rows")
TURN = orbit(VIEWS, elevation=ELEVATION).azimuth

console = Console(stderr=True, highlight=False)


def evaluate(
    folders: Sequence[Path], out: Path, others: OtherJudges, with_references: bool = True, real: Real | None = None
) -> int:
    """Evaluate the jobs in these folders; the exit code: 2 where none could be."""
    judge, results = Judge(), list[Result]()
    for folder in track(list(dict.fromkeys(folders)), "evaluating", console=console, transient=True):
        try:
            results.append(look(folder, judge))
        except EvaluationError as error:
            console.print(f"[yellow]Left out:[/] {error}", soft_wrap=True)
    if not results:
        console.print("There is nothing to evaluate: name folders that `generate` has finished.")
        return 2
    out.mkdir(parents=True, exist_ok=True)
    prior = embedded_prior(choose_device("auto")) if with_references else None
    prompts = sorted({result.job.prompt for result in results})
    drawn = {prompt: _reference(prior, prompt, judge, out) for prompt in prompts} if prior is not None else {}
    groups = [_group(name, members, drawn, others) for name, members in _groups(results)]
    by_objective = summary(groups)
    table: dict[str, Any] = {"judge": NAME, "views": VIEWS, "groups": groups, "objectives": by_objective}
    if real is not None:
        table["real_agreement"] = {prompt: real.agreement(prompt, judge) for prompt in prompts}
    with replacing(out / "evaluation.json") as file:
        file.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    (out / "evaluation.md").write_text(markdown(by_objective), encoding="utf-8")
    sheet([result.folder for result in results if (result.folder / "turntable.png").exists()]).save(
        out / "sheet.png", optimize=True
    )
    console.print(markdown(by_objective))
    console.print(f"{len(results)} results: evaluation.json, evaluation.md and sheet.png in {out}")
    return 0


def _groups(results: list[Result]) -> list[tuple[str, list[Result]]]:
    """Results of one prompt and one objective with one setting, whose names come first; they differ in their seeds."""
    found = defaultdict[tuple[str, str], list[Result]](list)
    for name, result in zip(labels([result.job for result in results]), results, strict=True):
        found[name, result.job.prompt].append(result)
    return [(key[0], found[key]) for key in sorted(found)]


def _reference(prior: Prior, prompt: str, judge: Judge, out: Path) -> tuple[Tensor, Tensor]:
    """What the judge sees in the prior's own pictures of a prompt (R,D), and their azimuths (R,)."""
    pictures, azimuth = references(prior, prompt, out)
    return judge.features(pictures), azimuth


def _group(
    name: str, members: list[Result], drawn: dict[str, tuple[Tensor, Tensor]], others: OtherJudges
) -> dict[str, Any]:
    """The figures of one objective and prompt: each seed's, and those that only several have."""
    prompt = members[0].job.prompt
    found: dict[str, Any] = {"objective": name, "prompt": prompt, "seeds": [m.job.seed for m in members]}
    for figure in FIGURES:
        found[figure] = [getattr(member.known, figure) for member in members]
    if len(members) > 1:
        found["diversity"] = diversity(torch.stack([member.features[DIVERSE] for member in members]))
        found["inception_variance"] = inception_variance(torch.stack([member.probabilities for member in members]))
    if prompt in drawn:
        found |= against(members, *drawn[prompt])
    return found | others.figures(members)


def against(members: list[Result], reference: Tensor, azimuth: Tensor) -> dict[str, Any]:
    """FID and KID of all views against the prior's own pictures (R,D), and each seed's Janus score."""
    seen = torch.cat([member.features for member in members])
    ahead = ((azimuth + 180) % 360 - 180).abs() <= 45
    behind = ((azimuth + 180) % 360 - 180).abs() >= 135
    faces = [janus(member.features, TURN, reference[ahead], reference[behind]) for member in members]
    return {"fid": fid(seen, reference), "kid": kid(seen, reference), "janus": faces}


def summary(groups: list[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """By objective: the mean over prompts and seeds of each figure, and half its 95 % interval."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for name in dict.fromkeys(group["objective"] for group in groups):
        values = defaultdict[str, list[float]](list)
        for group in (group for group in groups if group["objective"] == name):
            for key, value in group.items():
                if key not in ("objective", "prompt", "seeds"):
                    values[key] += [v for v in (value if isinstance(value, list) else [value]) if v is not None]
        found[name] = {key: interval(numbers) for key, numbers in values.items() if numbers}
    return found


def markdown(rows: dict[str, dict[str, tuple[float, float]]]) -> str:
    """The summary as a table."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = ["| objective | " + " | ".join(column.replace("_", " ") for column in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, row in rows.items():
        cells = (f"{row[key][0]:.3g} ± {row[key][1]:.2g}" if key in row else "" for key in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines).replace(" ± nan", "") + "\n"

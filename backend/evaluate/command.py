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
from backend.evaluate.measures import fid, inception_variance, janus, kid
from backend.evaluate.others import OtherJudges
from backend.evaluate.real import Real
from backend.evaluate.references import references
from backend.evaluate.results import DIVERSE, ELEVATION, VIEWS, EvaluationError, Result, look
from backend.evaluate.sheet import grid, sheet
from backend.evaluate.summary import Group, Row, differences, markdown, summary
from backend.export.files import replacing
from backend.priors.base import Prior

FIGURES = ("agreement", "top5", "t3", "quality", "saturation", "seconds", "unet_calls", "unet_rows")
TURN = orbit(VIEWS, elevation=ELEVATION).azimuth

console = Console(stderr=True, highlight=False)


def evaluate(
    folders: Sequence[Path], out: Path, others: OtherJudges, with_references: bool = True, real: Real | None = None
) -> int:
    """Evaluate the jobs in these folders; the exit code: 2 where none could be.

    The first one's objective is what the others are compared with.
    """
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
    alike = _alike(results)
    groups = [_group(name, members, drawn, others) for (name, _), members in alike.items()]
    table: dict[str, Any] = {"judge": NAME, "views": VIEWS, "groups": groups, "objectives": _rows(groups)}
    if real is not None:
        table["real_agreement"] = {prompt: real.agreement(prompt, judge) for prompt in prompts}
    with replacing(out / "evaluation.json") as file:
        file.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    text = markdown(table["objectives"])
    (out / "evaluation.md").write_text(text, encoding="utf-8")
    sheet([result.folder for result in results]).save(out / "sheet.png", optimize=True)
    grid({key: [member.folder for member in members] for key, members in alike.items()}).save(
        out / "grid.png", optimize=True
    )
    console.print(text)
    console.print(f"{len(results)} results: evaluation.json, evaluation.md, sheet.png and grid.png in {out}")
    return 0


def _alike(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    """Results by objective with its settings and prompt, in the order that they came; they differ in their seeds."""
    found = defaultdict[tuple[str, str], list[Result]](list)
    for name, result in zip(labels([result.job for result in results]), results, strict=True):
        found[name, result.job.prompt].append(result)
    return found


def _rows(groups: list[Group]) -> dict[str, Row]:
    """The table: each objective's figures, and its KID less the first one's."""
    rows, first = summary(groups), groups[0]["objective"]
    for name, difference in differences(groups, first, "kid").items():
        rows[name][f"kid less {first}'s"] = difference
    return rows


def _reference(prior: Prior, prompt: str, judge: Judge, out: Path) -> tuple[Tensor, Tensor]:
    """What the judge sees in the prior's own pictures of a prompt (R,D), and their azimuths (R,)."""
    pictures, azimuth = references(prior, prompt, out)
    return judge.features(pictures), azimuth


def _group(name: str, members: list[Result], drawn: dict[str, tuple[Tensor, Tensor]], others: OtherJudges) -> Group:
    """The figures of one objective and prompt: each seed's, and those that only several have."""
    prompt = members[0].job.prompt
    found: Group = {"objective": name, "prompt": prompt, "seeds": [m.job.seed for m in members]}
    for figure in FIGURES:
        found[figure] = [getattr(member.known, figure) for member in members]
    if len(members) > 1:
        found["diversity"] = diversity(torch.stack([member.features[DIVERSE] for member in members]))
        found["inception_variance"] = inception_variance(torch.stack([member.probabilities for member in members]))
    if prompt in drawn:
        found |= against(members, *drawn[prompt])
    return found | others.figures(members)


def against(members: list[Result], reference: Tensor, azimuth: Tensor) -> dict[str, Any]:
    """Each seed's FID and KID against the prior's own pictures (R,D), and its Janus score."""
    ahead = ((azimuth + 180) % 360 - 180).abs() <= 45
    behind = ((azimuth + 180) % 360 - 180).abs() >= 135
    faces = [janus(member.features, TURN, reference[ahead], reference[behind]) for member in members]
    return {
        "fid": [fid(member.features, reference) for member in members],
        "kid": [kid(member.features, reference) for member in members],
        "janus": faces,
    }

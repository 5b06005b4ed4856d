"""`evaluate`: many finished jobs at once; a table, JSON, and contact sheets.

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
from rich.progress import track
from torch import Tensor

from backend.cameras import half_turn, orbit
from backend.files import replacing
from backend.priors.base import PriorError
from backend.run.assemble import choose_device, load_prior
from backend.studies.evaluate.classes import classes_of
from backend.studies.evaluate.diversity import diversity
from backend.studies.evaluate.finished_job import DIVERSE, VIEWS, EvaluationError, Result, agreement, look, top5
from backend.studies.evaluate.judge import NAME, Judge
from backend.studies.evaluate.labels import labels
from backend.studies.evaluate.measures import fid, inception_variance, janus, kid
from backend.studies.evaluate.optional_judges import OptionalJudges
from backend.studies.evaluate.references import ELEVATION, of_all, references
from backend.studies.evaluate.sheet import SheetError, grid, sheet
from backend.studies.evaluate.summary import Group, markdown, summary
from backend.terminal import console, say, skipped

FIGURES = ("agreement", "top5", "t3", "quality", "saturation", "seconds", "prior_calls", "prior_rows")
LIKENESS = ("psnr", "psnr_rgba", "new", "largest", "largest_in_view", "turned", "second_faces")
Drawn = dict[tuple[str, str], tuple[Tensor, Tensor]]  # by prior and prompt: features (R,D), azimuths (R,)
TURN = orbit(VIEWS, elevation=ELEVATION).azimuth


def evaluate(folders: Sequence[Path], out: Path, others: OptionalJudges, with_references: bool = True) -> int:
    """Evaluate the jobs in these folders; the exit code: 2 where none could be.

    The objective of the first that can be is what the others are compared with.
    """
    judge = Judge()
    results = _looked(folders, judge)
    if not results:
        say("There is nothing to evaluate: name folders that `generate` has finished.")
        return 2
    out.mkdir(parents=True, exist_ok=True)
    drawn = _references(results, judge, out) if with_references else {}
    alike = _alike(results)
    told = track(alike.items(), "comparing", console=console, transient=True)
    groups = [_group(name, members, drawn, judge, others) for (name, _), members in told]
    baseline = groups[0]["objective"]
    rows = summary(groups, baseline)
    table: dict[str, Any] = {"judge": NAME, "views": VIEWS, "baseline": baseline, "groups": groups, "objectives": rows}
    with replacing(out / "evaluation.json") as file:
        file.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    text = markdown(rows, baseline)
    (out / "evaluation.md").write_text(text, encoding="utf-8")
    say(text)
    _draw_sheets({key: [member.folder for member in members] for key, members in alike.items()}, out)
    say(f"{len(results)} results: evaluation.json, evaluation.md and the sheets in {out}")
    return 0


def _looked(folders: Sequence[Path], judge: Judge) -> list[Result]:
    """Each folder once; those that cannot be evaluated are told and left out."""
    results, once = list[Result](), dict.fromkeys(folder.resolve() for folder in folders)
    for folder in track(once, "evaluating", console=console, transient=True):
        try:
            results.append(look(folder, judge))
        except EvaluationError as error:
            skipped(str(error))
    return results


def _draw_sheets(folders: dict[tuple[str, str], list[Path]], out: Path) -> None:
    """sheet.png, a row a job, and grid.png, objectives and prompts; a job without a turntable is in neither."""
    try:
        sheet([folder for members in folders.values() for folder in members]).save(out / "sheet.png")
        grid(folders).save(out / "grid.png")
    except SheetError as error:
        say(str(error), "No sheets:")


def _alike(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    """Results by objective with its settings and prompt, in the order that they came; they differ in their seeds."""
    found = defaultdict[tuple[str, str], list[Result]](list)
    for name, result in zip(labels([result.job for result in results]), results, strict=True):
        found[name, result.job.prompt].append(result)
    return found


def _references(results: list[Result], judge: Judge, out: Path) -> Drawn:
    """What the judge sees in each prior's own pictures of its prompts; a prior that cannot be loaded has none."""
    found: Drawn = {}
    jobs = {(result.job.prior, result.job.prompt): result.job for result in results}
    for (name, prompt), job in track(jobs.items(), "drawing", console=console, transient=True):
        try:
            prior, _ = load_prior(of_all(job), choose_device("auto"))
            pictures, azimuth = references(prior, name, prompt, out)
        except PriorError as error:
            say(f"for {prompt}: {error}", "No FID, KID, Janus and own agreement")
            continue
        found[name, prompt] = judge.features(pictures), azimuth
    return found


def _group(name: str, members: list[Result], drawn: Drawn, judge: Judge, others: OptionalJudges) -> Group:
    """The figures of one objective and prompt: each seed's, and those that only several have."""
    job = members[0].job
    found: Group = {"objective": name, "prompt": job.prompt, "seeds": [m.job.seed for m in members]}
    for figure in FIGURES:
        found[figure] = [getattr(member.known, figure) for member in members]
    if len(members) > 1:
        found["diversity"] = diversity(torch.stack([member.features[DIVERSE] for member in members]))
        found["inception_variance"] = inception_variance(torch.stack([member.probabilities for member in members]))
    if (job.prior, job.prompt) in drawn:
        reference, azimuth = drawn[job.prior, job.prompt]
        found |= against(members, reference, azimuth) | beside(members, judge.probabilities(reference))
    return found | likenesses(members) | others.figures(members)


def likenesses(members: list[Result]) -> dict[str, Any]:
    """What each seed has of its kit's objects, and how many different ones the seeds are nearest to ("modes")."""
    known = [member.known.likeness for member in members]
    nearest = [one and one.nearest for one in known]
    if not any(nearest):
        return {}
    figures = {figure: [one and getattr(one, figure) for one in known] for figure in LIKENESS}
    return {**figures, "nearest": nearest, "modes": len({*nearest} - {None})}


def beside(members: list[Result], own: Tensor) -> dict[str, Any]:
    """Agreement and top five on the prior's own pictures, p (R,1000), and each seed's in units of these."""
    found: dict[str, Any] = {}
    for figure, measure in (("agreement", agreement), ("top5", top5)):
        value = measure(own, classes_of(members[0].job.prompt))
        if value:  # neither unknown to the judge nor never seen by it
            theirs = [getattr(member.known, figure) for member in members]
            found |= {f"own_{figure}": value, f"relative_{figure}": [one / value for one in theirs]}
    return found


def against(members: list[Result], reference: Tensor, azimuth: Tensor) -> dict[str, Any]:
    """Each seed's FID and KID against the prior's own pictures (R,D), and its Janus score."""
    ahead = half_turn(azimuth).abs() <= 45
    behind = half_turn(azimuth).abs() >= 135
    faces = [janus(member.features, TURN, reference[ahead], reference[behind]) for member in members]
    return {
        "fid": [fid(member.features, reference) for member in members],
        "kid": [kid(member.features, reference) for member in members],
        "janus": faces,
    }

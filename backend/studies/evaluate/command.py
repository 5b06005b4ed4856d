"""`evaluate`: many finished jobs at once; a table, JSON, and contact sheets.

Figures of a job are computed once and kept in its folder, so that an interrupted call can be repeated.  A folder that
cannot be evaluated is reported in a sentence and skipped.
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
from backend.job.job import Job
from backend.priors.base import PriorError
from backend.priors.settings import LoRAFile
from backend.run.assemble import load_prior
from backend.run.devices import choose_device
from backend.run.particle_folders import with_particles
from backend.studies.evaluate.classes import classes_of
from backend.studies.evaluate.diversity import diversity
from backend.studies.evaluate.finished_job import (
    DIVERSE,
    VIEWS,
    EvaluatedJob,
    EvaluationError,
    agreement,
    evaluate_job,
    top5,
)
from backend.studies.evaluate.judge import NAME, Judge
from backend.studies.evaluate.labels import labels
from backend.studies.evaluate.measures import fid, inception_variance, janus, kid
from backend.studies.evaluate.optional_judges import OptionalJudges
from backend.studies.evaluate.references import ELEVATION, references, with_all_objects
from backend.studies.evaluate.sheet import SheetError, grid, sheet
from backend.studies.evaluate.summary import Group, markdown, summary
from backend.terminal import console, say, skipped

FIGURES = ("agreement", "top5", "t3", "quality", "saturation", "seconds", "prior_calls", "prior_rows")
LIKENESS = ("psnr", "psnr_rgba", "new", "largest", "largest_in_view", "turned", "second_faces")
DrawnBy = tuple[str, tuple[LoRAFile, ...], str]  # prior, its LoRAs, prompt
References = dict[DrawnBy, tuple[Tensor, Tensor]]  # features (R,D), azimuths (R,)
TURN = orbit(VIEWS, elevation=ELEVATION).azimuth


def evaluate(folders: Sequence[Path], out: Path, others: OptionalJudges, with_references: bool = True) -> int:
    """Evaluate the jobs in these folders; the exit code: 2 where none could be evaluated.

    The others are compared with the objective of the first job.
    """
    judge = Judge()
    jobs = _evaluate_all(folders, judge)
    if not jobs:
        say("There is nothing to evaluate: name folders that `generate` has finished.")
        return 2
    out.mkdir(parents=True, exist_ok=True)
    drawn = _references(jobs, judge, out) if with_references else {}
    grouped = _grouped(jobs)
    tracked = track(grouped.items(), "comparing", console=console, transient=True)
    groups = [_group(name, members, drawn, judge, others) for (name, _), members in tracked]
    baseline = groups[0]["objective"]
    rows = summary(groups, baseline)
    table: dict[str, Any] = {"judge": NAME, "views": VIEWS, "baseline": baseline, "groups": groups, "objectives": rows}
    with replacing(out / "evaluation.json") as file:
        file.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    text = markdown(rows, baseline)
    (out / "evaluation.md").write_text(text, encoding="utf-8")
    say(text)
    _draw_sheets({key: [member.folder for member in members] for key, members in grouped.items()}, out)
    say(f"{len(jobs)} jobs: evaluation.json, evaluation.md and the sheets in {out}")
    return 0


def _evaluate_all(folders: Sequence[Path], judge: Judge) -> list[EvaluatedJob]:
    """Each folder once, with its other particles; those that cannot be evaluated are reported and skipped."""
    jobs = list[EvaluatedJob]()
    for folder in track(with_particles(folders), "evaluating", console=console, transient=True):
        try:
            jobs.append(evaluate_job(folder, judge))
        except EvaluationError as error:
            skipped(str(error))
    return jobs


def _draw_sheets(folders: dict[tuple[str, str], list[Path]], out: Path) -> None:
    """Write sheet.png, a row per job, and grid.png, objectives by prompts; without jobs that have no turntable."""
    try:
        sheet([folder for members in folders.values() for folder in members]).save(out / "sheet.png")
        grid(folders).save(out / "grid.png")
    except SheetError as error:
        say(str(error), "No sheets:")


def _grouped(jobs: list[EvaluatedJob]) -> dict[tuple[str, str], list[EvaluatedJob]]:
    """The jobs by objective with its settings and by prompt, in their order; in a group they differ in their seeds."""
    found = defaultdict[tuple[str, str], list[EvaluatedJob]](list)
    for name, evaluated in zip(labels([evaluated.job for evaluated in jobs]), jobs, strict=True):
        found[name, evaluated.job.prompt].append(evaluated)
    return found


def _references(jobs: list[EvaluatedJob], judge: Judge, out: Path) -> References:
    """The judge's features of each prior's own pictures of its prompts; none where a prior cannot be loaded."""
    found: References = {}
    distinct = {_drawn_by(evaluated.job): evaluated.job for evaluated in jobs}
    for key, job in track(distinct.items(), "drawing", console=console, transient=True):
        try:
            prior, _ = load_prior(with_all_objects(job), choose_device("auto"))
            pictures, azimuth = references(prior, job.prior, job.prompt, out, job.loras)
        except PriorError as error:
            say(f"for {job.prompt}: {error}", "No FID, KID, Janus and own agreement")
            continue
        found[key] = judge.features(pictures), azimuth
    return found


def _drawn_by(job: Job) -> DrawnBy:
    """What a prior's own pictures depend on."""
    return job.prior, job.loras, job.prompt


def _group(name: str, members: list[EvaluatedJob], drawn: References, judge: Judge, others: OptionalJudges) -> Group:
    """The figures of one objective and prompt: one per seed, and those over several seeds."""
    job = members[0].job
    found: Group = {"objective": name, "prompt": job.prompt, "seeds": [m.job.seed for m in members]}
    for figure in FIGURES:
        found[figure] = [getattr(member.figures, figure) for member in members]
    if len(members) > 1:
        found["diversity"] = diversity(torch.stack([member.features[DIVERSE] for member in members]))
        found["inception_variance"] = inception_variance(torch.stack([member.probabilities for member in members]))
    if _drawn_by(job) in drawn:
        reference, azimuth = drawn[_drawn_by(job)]
        found |= distances_to_prior(members, reference, azimuth) | relative_to_prior(
            members, judge.probabilities(reference)
        )
    return found | likenesses(members) | others.figures(members)


def likenesses(members: list[EvaluatedJob]) -> dict[str, Any]:
    """Each seed's likeness to its kit's objects, and how many different objects the seeds are nearest to ("modes")."""
    known = [member.figures.likeness for member in members]
    nearest = [one and one.nearest for one in known]
    if not any(nearest):
        return {}
    figures = {figure: [one and getattr(one, figure) for one in known] for figure in LIKENESS}
    return {**figures, "nearest": nearest, "modes": len({*nearest} - {None})}


def relative_to_prior(members: list[EvaluatedJob], own: Tensor) -> dict[str, Any]:
    """Agreement and top five on the prior's own pictures, p (R,1000), and each seed's relative to these."""
    found: dict[str, Any] = {}
    for figure, measure in (("agreement", agreement), ("top5", top5)):
        value = measure(own, classes_of(members[0].job.prompt))
        if value:  # not None, and not 0
            theirs = [getattr(member.figures, figure) for member in members]
            found |= {f"own_{figure}": value, f"relative_{figure}": [one / value for one in theirs]}
    return found


def distances_to_prior(members: list[EvaluatedJob], reference: Tensor, azimuth: Tensor) -> dict[str, Any]:
    """Each seed's FID and KID against the prior's own pictures (R,D), and its Janus score."""
    ahead = half_turn(azimuth).abs() <= 45
    behind = half_turn(azimuth).abs() >= 135
    faces = [janus(member.features, TURN, reference[ahead], reference[behind]) for member in members]
    return {
        "fid": [fid(member.features, reference) for member in members],
        "kid": [kid(member.features, reference) for member in members],
        "janus": faces,
    }

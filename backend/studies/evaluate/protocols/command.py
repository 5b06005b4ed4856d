"""`evaluate --protocol`: the figures of a paper for finished jobs, beside those that were published.

Each result's figures are kept in a file of their own in OUT/PROTOCOL, part by part, so that a call that was interrupted
or killed goes on where it stopped when it is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backend.studies.evaluate.protocols import diversedream, dreammapping, t3bench
from backend.studies.evaluate.protocols.judges import (
    Given,
    diversedream_judges,
    dreammapping_judges,
    language_model,
    t3_judges,
)
from backend.studies.evaluate.protocols.llm import LLM
from backend.studies.evaluate.protocols.prompt_sets import Sets, read_sets
from backend.studies.evaluate.protocols.published import PUBLISHED
from backend.studies.evaluate.protocols.rows import Plan, Row
from backend.studies.evaluate.protocols.subjects import Subject, subjects
from backend.studies.evaluate.protocols.table import show, shown_columns, write
from backend.terminal import note, say

Result = tuple[list[Row], list[str]]  # rows, and all columns in their order


def evaluate_protocol(protocol: str, folders: Sequence[Path], out: Path, given: Given, plan: Plan) -> int:
    """Evaluate the jobs in these folders; the exit code: 2 where none gave a figure.

    Raises JobError or UserError before anything is computed where an option cannot be used.
    """
    sets = read_sets(plan.prompts if protocol == "t3bench" else None)
    llm = language_model(given)
    jobs = subjects(folders)
    if not jobs:
        say("There is nothing to evaluate: name folders that `generate` or `compare` has finished.")
        return 2
    rows, columns = _run(protocol, jobs, given, plan, sets, llm)
    if not any(row.values for row in rows):
        say(f"{protocol}: no figure could be computed; what is missing is said above.")
        return 2
    everything = [*rows, *PUBLISHED[protocol]]
    chosen = shown_columns(everything, columns)
    write(out, protocol, everything, chosen, plan.notes)
    show(everything, chosen, plan.notes)
    say(f"{protocol}.json and {protocol}.md in {out}")
    return 0


def _run(protocol: str, jobs: Sequence[Subject], given: Given, plan: Plan, sets: Sets, llm: LLM | None) -> Result:
    if protocol == "t3bench":
        if plan.prompts is None:
            note("These are not T3Bench's prompts; --prompts names the folder data of its repository.")
        return t3bench.evaluate(jobs, t3_judges(given, llm), sets, plan), list(t3bench.columns(sets))
    if protocol == "dreammapping":
        judges = dreammapping_judges(given, plan.samples)
        return dreammapping.evaluate(jobs, judges, plan), list(dreammapping.COLUMNS)
    return diversedream.evaluate(jobs, diversedream_judges(given), plan), list(diversedream.COLUMNS)

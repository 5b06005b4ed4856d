"""`toy`: the experiment with a trained network and with the exact score; writes figures and toy.json."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from backend.errors import UserError
from backend.files import replacing
from backend.guidance.rules import RULES
from backend.priors.base import Prior
from backend.studies.plots import require_matplotlib
from backend.studies.toy.corrective import train_corrective
from backend.studies.toy.divergences import divergences
from backend.studies.toy.experiment import (
    GROUPS,
    GUIDANCE,
    LEARNING_RATE,
    PAPER_STEPS,
    STARTS,
    Variant,
    obstacle,
    variants,
)
from backend.studies.toy.figures import draw_figures, figure_8
from backend.studies.toy.findings import findings
from backend.studies.toy.modes import HELD, LANDED, exact_prior
from backend.studies.toy.network import Network, fresh, load, save, train
from backend.studies.toy.records import Measured, finite, measure, summary
from backend.studies.toy.trained import Trained
from backend.terminal import console, say

MOST = 1000  # seeds, as in the paper
SEED = 0
NETWORK, RECORD = "network.safetensors", "toy.json"


class ToyError(UserError):
    """Input that the toy cannot use."""


def toy(out: Path, seeds: int, steps: int, epochs: int, objectives: Sequence[str], overwrite: bool) -> int:
    """Run everything and write it to `out`; the exit code.  Bad input is refused before anything is written.

    A network in `out` that was trained with these settings is reused.
    """
    names = _checked(seeds, steps, epochs, objectives)
    refuse_if_used(out, overwrite)
    out.mkdir(parents=True, exist_ok=True)
    began, worked = time.time(), time.process_time()
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        network = _network(out / NETWORK, epochs, bar)
        skipped, record = dict[str, str](), dict[str, Any]()
        priors: dict[str, Prior] = {"trained": Trained(network), "exact": exact_prior()}
        for prior_name, prior in priors.items():
            made = train_corrective(prior, prior_name, out) if "lmc" in names else ""
            rules = _usable(variants(names, made), prior, skipped)
            found = _measure_all(rules, prior, seeds, steps, prior_name, bar)
            table = summary(found)
            record |= table if prior_name == "trained" else {prior_name: table}
            record.setdefault("findings", {})[prior_name] = findings(table)
            if found:
                draw_figures(out, found, prior_name)
    figure_8(out / "fig08.png")
    header: dict[str, Any] = {
        "left_out": skipped,
        "settings": _settings(seeds, steps, epochs),
        "seconds": time.time() - began,
    }
    header["processor_seconds"] = time.process_time() - worked
    _write(out / RECORD, header | record | {"divergences": {k: v.tolist() for k, v in divergences().items()}})
    _print_findings(record["findings"], skipped, out, time.time() - began)
    return 0


def _checked(seeds: int, steps: int, epochs: int, objectives: Sequence[str]) -> tuple[str, ...]:
    """The objectives to run; ToyError where a number or a name is invalid."""
    for name, value, most in (("seeds", seeds, MOST), ("steps", steps, 100_000), ("epochs", epochs, 100_000)):
        if not 1 <= value <= most:
            raise ToyError(f"{name}: {value} is out of range; use a number from 1 to {most}.")
    require_matplotlib()
    for name in objectives:
        if name not in RULES:
            raise ToyError(f"objectives: {name!r} is not one of {', '.join(RULES)}.")
    return tuple(dict.fromkeys(objectives)) or tuple(RULES)


def refuse_if_used(out: Path, overwrite: bool) -> None:
    """ToyError where `out` is a file, or a folder that is not empty without `overwrite`."""
    if out.exists() and not out.is_dir():
        raise ToyError(f"out: {out} is a file; name a folder.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ToyError(f"out: {out} is not empty; name another folder or add --overwrite.")


def _network(file: Path, epochs: int, bar: Progress) -> Network:
    """The trained network: the saved one, or a new one, which is saved."""
    kept = load(file, epochs, SEED)
    if kept is not None:
        return kept
    network = fresh(SEED)
    task = bar.add_task("training the network", total=epochs)
    for _ in train(network, epochs, SEED):
        bar.advance(task)
    save(network, file, epochs, SEED)
    return network


def _usable(rules: list[Variant], prior: Prior, skipped: dict[str, str]) -> list[Variant]:
    """The rules that can take a step on points; the reasons of the others are added to `skipped`."""
    reasons = {rule.name: obstacle(rule, prior) for rule in rules}
    skipped |= {name: reason for name, reason in reasons.items() if reason is not None}
    return [rule for rule in rules if reasons[rule.name] is None]


def _measure_all(
    rules: list[Variant], prior: Prior, seeds: int, steps: int, prior_name: str, bar: Progress
) -> list[Measured]:
    task: TaskID = bar.add_task(prior_name, total=len(rules))
    found = []
    for rule in rules:
        bar.update(task, description=f"{prior_name}: {rule.name}")
        found.append(measure(rule, prior, seeds, steps))
        bar.advance(task)
    return found


def _settings(seeds: int, steps: int, epochs: int) -> dict[str, Any]:
    return {
        "seeds": seeds,
        "steps": steps,
        "paper_steps": PAPER_STEPS,
        "epochs": epochs,
        "learning_rate": LEARNING_RATE,
        "guidance_scale": GUIDANCE,
        "starts": STARTS,
        "groups_with_levels_of_their_own": GROUPS,
        "landed_within_widths": LANDED,
        "reached_by_one_in": HELD,
        "seed": SEED,
    }


def _write(file: Path, record: dict[str, Any]) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(finite(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _print_findings(found: dict[str, list[dict[str, Any]]], skipped: dict[str, str], out: Path, seconds: float) -> None:
    """Print each claim with its verdict."""
    for prior_name, claims in found.items():
        say("", prior_name, "bold")
        for claim in claims:
            verdict, colour = ("  yes", "green") if claim["confirmed"] else ("  no ", "yellow")
            values = ", ".join(f"{name} {_short(claim[name])}" for name in ("sds", "jsd"))
            say(f"{claim['claim']} ({values})", verdict, colour)
    for name, reason in skipped.items():
        say(f"{name}: {reason}", "Skipped:")
    say(f"Done in {seconds:.0f} s: {out}")


def _short(value: Any) -> str:
    """A number, or those for all starts."""
    return "/".join(f"{v:.3g}" for v in value.values()) if isinstance(value, dict) else f"{value:.3g}"

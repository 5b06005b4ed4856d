"""How long a farm takes for many jobs, and what its server and storage have to carry: python -m tools.farm_simulation.

A simulation by events: cards that are free take the first waiting job; a machine that dies loses what came after the
last checkpoint, which is noticed a while later, and then the job is the first to be taken again.  docs/scale.md has
what it prints; `--help` lists its numbers.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count

HOUR = 3600.0
SHORTEST = 60.0  # seconds of a job, however much their lengths differ
RUNS = 5  # of each farm, with seeds of their own; the middle one is told


@dataclass(frozen=True)
class Farm:
    """Jobs and cards; times in seconds unless the name says otherwise."""

    jobs: int = 1000
    cards: int = 100
    minutes: float = 15.0  # of a job, on average
    spread: float = 0.0  # standard deviation of the jobs' lengths, as a share of the average
    start: float = 0.0  # until a job is loaded and begins, each time
    hours_to_failure: float = 0.0  # of a card's machine, on average; 0: none fails
    notice: float = 0.0  # until it is noticed that a machine is gone, and its job waits again
    repair: float = 0.0  # until that machine is back, from then on
    checkpoint: float = 0.0  # between two checkpoints; 0: there are none, and a killed job begins anew
    outage: float = 0.0  # for which the server is away, from each full hour on
    tied: bool = False  # whether the running jobs end with the server; what was not saved is lost


@dataclass(frozen=True)
class Outcome:
    """What one simulated batch took."""

    minutes: float  # until the last job was done
    lost_hours: float  # of cards: work done twice, and loading again
    deaths: int


@dataclass
class _Batch:
    """The state of one simulation."""

    farm: Farm
    chance: random.Random
    left: list[float]  # seconds of work of each job
    waiting: deque[int]
    idle: deque[int]
    lost: float = 0.0
    deaths: int = 0
    # When, what, and of which card and job; the number before them keeps the order of things at the same time.
    events: list[tuple[float, int, str, int, int]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    def later(self, when: float, what: str, card: int, job: int) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), what, card, job))


def simulate(farm: Farm, seed: int = 0) -> Outcome:
    """Run all jobs of the farm once.  ValueError where it has no job or no card."""
    if farm.jobs < 1 or farm.cards < 1:
        raise ValueError("A farm has at least one job and one card.")
    chance, mean = random.Random(seed), 60 * farm.minutes
    lengths = [max(SHORTEST, chance.gauss(mean, farm.spread * mean)) if farm.spread else mean for _ in range(farm.jobs)]
    batch = _Batch(farm, chance, lengths, deque(range(farm.jobs)), deque(range(farm.cards)))
    now, done = 0.0, 0
    _hand_out(batch, now)
    while done < farm.jobs:
        now, _, what, card, job = heapq.heappop(batch.events)
        if what == "lost":
            batch.waiting.appendleft(job)
        else:
            batch.idle.append(card)
            done += what == "done"
        _hand_out(batch, now)
    return Outcome(now / 60, batch.lost / HOUR, batch.deaths)


def _hand_out(batch: _Batch, now: float) -> None:
    """Give waiting jobs to idle cards; while the server is away, they begin when it is back."""
    while batch.idle and batch.waiting:
        _begin(batch, batch.idle.popleft(), batch.waiting.popleft(), _server_back(batch.farm, now))


def _begin(batch: _Batch, card: int, job: int, now: float) -> None:
    """Run a job on a card until it is done, its machine dies, or its server goes away with it."""
    farm = batch.farm
    needed = farm.start + batch.left[job]
    never = float("inf")
    death = batch.chance.expovariate(1 / (HOUR * farm.hours_to_failure)) if farm.hours_to_failure else never
    away = HOUR - now % HOUR if farm.tied and farm.outage else never
    ran = min(death, away)
    if ran >= needed:
        batch.later(now + needed, "done", card, job)
        return
    worked = max(0.0, ran - farm.start)
    kept = worked - worked % farm.checkpoint if farm.checkpoint else 0.0
    batch.left[job] -= kept
    batch.lost += ran - kept
    gone = now + ran
    if ran == death:
        batch.deaths += 1
        batch.later(gone + farm.notice, "lost", card, job)
        batch.later(gone + farm.notice + farm.repair, "back", card, job)
    else:
        batch.later(gone + farm.outage, "lost", card, job)
        batch.later(gone + farm.outage, "back", card, job)


def _server_back(farm: Farm, now: float) -> float:
    """The next moment at which the server is there; it is there for the whole first hour."""
    since = now % HOUR
    return now if now < HOUR or since >= farm.outage else now - since + farm.outage


REAL = Farm(spread=0.1, start=20.0, checkpoint=12.0)
FAILING = replace(REAL, hours_to_failure=50.0, notice=70.0, repair=600.0)
FARMS = {
    "nothing costs anything": Farm(),
    "20 s to load, lengths differ by 10 %": REAL,
    "a machine dies in 50 h of each card": FAILING,
    "the same, noticed after 300 s": replace(FAILING, notice=300.0),
    "the same, without checkpoints": replace(FAILING, checkpoint=0.0),
    "a machine dies in 2 h of each card": replace(FAILING, hours_to_failure=2.0),
    "the server is away 5 min an hour, jobs go on": replace(REAL, outage=300.0),
    "the same, and jobs end with it": replace(REAL, outage=300.0, tied=True),
    "10 cards": replace(REAL, cards=10),
    "1,000 cards": replace(REAL, cards=1000),
}


def table(farms: dict[str, Farm]) -> list[str]:
    """A row of markdown for each farm: the middle of RUNS runs, and the least that was possible."""
    rows = ["| | minutes | least possible | card hours worked twice | deaths |", "|---|---|---|---|---|"]
    for name, farm in farms.items():
        runs = [simulate(farm, seed) for seed in range(RUNS)]
        minutes, lost, deaths = (
            statistics.median(values)
            for values in zip(*((run.minutes, run.lost_hours, run.deaths) for run in runs), strict=True)
        )
        least = farm.jobs * farm.minutes / min(farm.cards, farm.jobs)
        rows.append(f"| {name} | {minutes:,.0f} | {least:,.0f} | {lost:.1f} | {deaths:.0f} |")
    return rows


def main(arguments: Sequence[str]) -> int:
    """Print the table of docs/scale.md, or the row of the farm that the arguments describe."""
    parser = argparse.ArgumentParser(prog="python -m tools.farm_simulation", description=__doc__)
    for setting in fields(Farm):
        option = f"--{setting.name.replace('_', '-')}"
        if isinstance(setting.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(setting.default), default=setting.default)
    farm = Farm(**vars(parser.parse_args(arguments)))
    print("\n".join(table({"this farm": farm} if arguments else FARMS)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

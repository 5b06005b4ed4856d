"""T3Bench's three sets of prompts, or others, from files of the user.

T3Bench's repository has no licence, so its prompts do not come with Splatsmith: `--prompts` names its folder `data`,
with prompt_single.txt, prompt_surr.txt and prompt_multi.txt, or a single file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend.job.job import JobError
from backend.studies.prompts import read_prompts

T3_SETS = ("single", "surr", "multi")  # one object, one with surroundings, several objects
OWN = "own prompts"  # of jobs, where no sets are named


@dataclass(frozen=True)
class Sets:
    """The set of each prompt; None: every prompt is in the one set OWN."""

    prompts: dict[str, str] | None

    @property
    def names(self) -> list[str]:
        """The sets, in their order."""
        return [OWN] if self.prompts is None else list(dict.fromkeys(self.prompts.values()))

    def of(self, prompt: str) -> str | None:
        """The set of a prompt, None where it is in none."""
        return OWN if self.prompts is None else self.prompts.get(prompt)

    def size(self, name: str) -> int | None:
        """The number of prompts in a set, None for OWN."""
        return None if self.prompts is None else sum(one == name for one in self.prompts.values())


def read_sets(path: Path | None) -> Sets:
    """The sets in a folder or a file.  JobError where there are none, or they cannot be read."""
    if path is None:
        return Sets(None)
    files = [path / f"prompt_{name}.txt" for name in T3_SETS] if path.is_dir() else [path]
    there = [file for file in files if file.exists() or file == path]
    if not there:
        raise JobError(
            f"prompts: {path} has none of {', '.join(file.name for file in files)}; name T3Bench's folder data."
        )
    found: dict[str, str] = {}
    for file in there:
        name = file.stem.removeprefix("prompt_")
        found = dict.fromkeys(read_prompts(file), name) | found  # a prompt belongs to the first set that has it
    if not found:
        raise JobError(f"prompts: there is no usable line in {path}; write one prompt per line.")
    return Sets({prompt: found[prompt] for prompt in sorted(found, key=lambda one: _place(found[one]))})


def _place(name: str) -> int:
    return T3_SETS.index(name) if name in T3_SETS else len(T3_SETS)

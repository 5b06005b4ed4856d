"""The judges of each protocol, by the paths that the user gives; what is missing is told, and what gives it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from backend.studies.evaluate.image_reward import image_reward
from backend.studies.evaluate.judge import NAME, Judge
from backend.studies.evaluate.optional_judges import Inception, clip_judge, clip_scores, dino_judge, loaded
from backend.studies.evaluate.protocols.captions import captioner
from backend.studies.evaluate.protocols.diversedream import OTHER, DiverseDreamJudges
from backend.studies.evaluate.protocols.dreammapping import FID, HUGE, LARGE, OTHER_FID, DreamMappingJudges
from backend.studies.evaluate.protocols.llm import KEY, LLM
from backend.studies.evaluate.protocols.records import weights_mark
from backend.studies.evaluate.protocols.t3bench import BY_CLIP, QUALITY, Score, T3Judges
from backend.terminal import note, skipped

MODEL, TIMEOUT = "gpt-4", 60.0


@dataclass(frozen=True)
class Given:
    """The weights and the language model that the user names; the fields are the options of the command line."""

    clip: str | None = None
    clip_bigg: str | None = None
    dino: str | None = None
    inception: Path | None = None
    image_reward: str | None = None
    blip: str | None = None
    llm: str | None = None
    llm_model: str | None = None
    llm_timeout: float | None = None


USED = {
    "t3bench": ("clip", "image_reward", "blip", "llm", "llm_model", "llm_timeout", "prompts"),
    "dreammapping": ("clip", "clip_bigg", "inception", "views", "no_samples"),
    "diversedream": ("dino", "inception", "views"),
}


def tell_unused(chosen: Sequence[str], protocol: str) -> None:
    """A sentence for those of the chosen options that a protocol does not use."""
    known = set().union(*USED.values())
    if unused := [option(name) for name in chosen if name in known and name not in USED[protocol]]:
        note(f"Not used by {protocol}: {', '.join(unused)}.")


def t3_judges(given: Given, llm: LLM | None) -> T3Judges:
    """ImageReward, CLIP, BLIP and a language model."""
    if llm is None:
        skipped(f"the alignment, which needs a language model: give the address of one with {option('llm')} URL.")
    clip = _judge("CLIP", given.clip, clip_judge, BY_CLIP, "clip", "PATH")
    reward = _judge("ImageReward", given.image_reward, image_reward, QUALITY, "image_reward", "DIR")
    scores: dict[str, tuple[Score, str]] = {}
    if reward is not None:
        scores[QUALITY] = reward, weights_mark(str(given.image_reward))
    if clip is not None:

        def by_clip(pictures: Tensor, prompt: str) -> Tensor:
            return clip_scores(clip, pictures, prompt)

        scores[BY_CLIP] = by_clip, weights_mark(str(given.clip))
    describe = _judge("BLIP", given.blip, _tried_captioner, "the alignment", "blip", "DIR")
    return T3Judges(scores, None if describe is None else (describe, weights_mark(str(given.blip))), llm)


def dreammapping_judges(given: Given, samples: bool) -> DreamMappingJudges:
    """Two models of CLIP, and Inception or the judge that ships."""
    named = {LARGE: ("clip", given.clip), HUGE: ("clip_bigg", given.clip_bigg)}
    clips = {
        column: (judge, weights_mark(str(path)))
        for column, (name, path) in named.items()
        if (judge := _judge(column, path, clip_judge, column, name, "PATH")) is not None
    }
    inception = _inception(given, "The distance is") if samples else None
    if inception is None:
        return DreamMappingJudges(clips, Judge().features, NAME, OTHER_FID)
    return DreamMappingJudges(clips, inception, weights_mark(str(given.inception)), FID)


def diversedream_judges(given: Given) -> DiverseDreamJudges:
    """DINO, and Inception or the judge that ships."""
    dino = _judge("DINO", given.dino, dino_judge, "cosine", "dino", "PATH")
    known = None if dino is None else (dino, weights_mark(str(given.dino)))
    inception = _inception(given, "IV and IQ are")
    if inception is not None:
        return DiverseDreamJudges((inception.probabilities, weights_mark(str(given.inception))), "", known)
    shipped = Judge()

    def probabilities(pictures: Tensor) -> Tensor:
        return shipped.probabilities(shipped.features(pictures))

    return DiverseDreamJudges((probabilities, NAME), OTHER, known)


def option(name: str) -> str:
    """A field as the command line has it."""
    return f"--{name.replace('_', '-')}"


def _judge(name: str, path: Any, load: Callable[[Any], Any], gives: str, field: str, kind: str) -> Any:
    """The judge, None where it is not given or cannot be loaded; both are told."""
    if path is None:
        skipped(f"{gives}, which needs {name}: give it with {option(field)} {kind}.")
    return loaded(name, path, load)


def _inception(given: Given, gives: str) -> Inception | None:
    """The judge, None and a sentence where the one that ships takes its place."""
    if given.inception is None:
        note(f"{gives} by {NAME}, which no paper has; give Inception with {option('inception')} FILE.")
    found: Inception | None = loaded("Inception", given.inception, Inception)
    return found


def _tried_captioner(folder: str) -> Callable[..., Any]:
    """A captioner that takes a single picture too, as `loaded` tries it."""
    describe = captioner(folder)
    return lambda pictures: describe([pictures] if isinstance(pictures, Tensor) else pictures)


def language_model(given: Given) -> LLM | None:
    """The model at the address that is given.  UserError where the address cannot be used."""
    if given.llm is None:
        return None
    return LLM(given.llm, given.llm_model or MODEL, os.environ.get(KEY, ""), given.llm_timeout or TIMEOUT)

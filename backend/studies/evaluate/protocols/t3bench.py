"""T3Bench (He et al., 2310.02977), after its released code: run_eval_quality.py, run_caption.py, run_eval_alignment.py.

Quality: the mesh from the 162 corners of an icosphere at distance 2.2, with five fields of view each; ImageReward's
score of each picture, the best of the five, three times the mean with the neighbours (regional convolution), the
largest, times 20 plus 50.  With CLIP in place of ImageReward: the same, as 100 x cosine.

Alignment: captions from 12 corners at distance 2.2 x 2.2, as that code has it, made into one by a language model, which
then grades from 1 to 5 how much of the prompt is in it.  The page's scores are from 0 to 100 and go down to 11.7, where
the quality would have to be below 4 if grade 1 were 20: so grade 1 is 0 here, and 5 is 100.  The code's questions have
no licence and are not copied; ours ask for the same in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.studies.evaluate.measures import t3_score
from backend.studies.evaluate.protocols.captions import Captioner
from backend.studies.evaluate.protocols.llm import GIVE_UP, LLM, LLMError, caption, grade
from backend.studies.evaluate.protocols.mesh_pictures import View, view_of
from backend.studies.evaluate.protocols.prompt_sets import T3_SETS, Sets
from backend.studies.evaluate.protocols.records import Record
from backend.studies.evaluate.protocols.rows import Plan, Row, by_method, counted, each, known, mean
from backend.studies.evaluate.protocols.subjects import Subject
from backend.studies.evaluate.sphere import sphere_cameras
from backend.terminal import note, skipped

DISTANCE, FIELDS = 2.2, (60.0, 45.0, 36.0, 30.0, 24.0)  # degrees: pi / 3, 4, 5, 6, 7.5
QUALITY, BY_CLIP, ALIGNMENT, AVERAGE = "quality", "quality by CLIP", "alignment", "average"
MERGE = (
    "The following sentences describe one and the same 3D object, each seen from another side. Write one short caption "
    "of what they agree on. Leave out the background, what it stands on, and its pose. Answer with the caption alone."
)
GRADE = (
    "A 3D object was made from a prompt, and somebody who did not know the prompt has described the object. Grade how "
    "much of the prompt the description covers, from 1, nothing, to 5, all of it. Colours and details of the prompt "
    "that are right count in favour. What is in the description alone does not count against it. Answer with the "
    "number alone."
)
Score = Callable[[Tensor, str], Tensor]  # pictures (B,H,W,3), prompt -> (B,)


@dataclass(frozen=True)
class T3Judges:
    """What judges: by column the score of a picture and the mark of its weights; captions; a language model."""

    scores: dict[str, tuple[Score, str]]
    captions: tuple[Captioner, str] | None = None
    llm: LLM | None = None


def evaluate(subjects: Sequence[Subject], judges: T3Judges, sets: Sets, plan: Plan) -> list[Row]:
    """A row for each method.  `sets` are the prompts of each set; with none all prompts are one set."""
    chosen = [(subject, name) for subject in subjects if (name := sets.of(subject.prompt)) is not None]
    if left_out := len(subjects) - len(chosen):
        note(f"{counted(left_out, 'job')} not evaluated: the prompts are in none of the sets.")
    figures: dict[Subject, dict[str, float]] = {}

    def evaluate_one(subject: Subject) -> None:
        figures[subject] = _figures(subject, judges, plan)

    each([subject for subject, _ in chosen], evaluate_one, "evaluating")
    of = {subject: name for subject, name in chosen if subject in figures}
    if unscored := sum(ALIGNMENT not in figures[subject] for subject in of) if _aligns(judges) else 0:
        plan.notes.append(
            f"{counted(unscored, 'job')} without an alignment: call the same command again when the LLM answers."
        )
    return [_row(method, members, of, figures, sets) for method, members in by_method(of).items()]


def quality(view: View, prompt: str, scores: Sequence[Score], side: int) -> list[float]:
    """The largest score of each kind after regional convolution."""
    best: list[Tensor] = []
    for fov in FIELDS:
        found = [
            torch.stack([s(some, prompt) for s in scores]) for some in view(sphere_cameras(2, DISTANCE, fov), side)
        ]
        best.append(torch.cat(found, 1))
    return [t3_score(of_corners) for of_corners in torch.stack(best).amax(0)]


def alignment(captions: Sequence[str], prompt: str, llm: LLM) -> tuple[str, int]:
    """One caption of several, and its grade, 1 to 5.  LLMError where the model gives none."""
    sides = "\n".join(f"{number}: {text}" for number, text in enumerate(captions, 1))
    whole = caption(llm.ask(f"{MERGE}\n\n{sides}"))
    return whole, grade(llm.ask(f"{GRADE}\n\nPrompt: {prompt}\nDescription: {whole}"))


def _figures(subject: Subject, judges: T3Judges, plan: Plan) -> dict[str, float]:
    record, mark = subject.record(plan.folder), f"{subject.mark}-{plan.side}"
    found = _qualities(subject, judges, record, mark, plan.side)
    if judges.captions is not None and judges.llm is not None:
        given = _grade(subject, judges.captions, judges.llm, record, mark, plan.side)
        found |= {} if given is None else {ALIGNMENT: 25.0 * (given - 1)}
    if {QUALITY, ALIGNMENT} <= found.keys():
        found[AVERAGE] = (found[QUALITY] + found[ALIGNMENT]) / 2
    return found


def _qualities(subject: Subject, judges: T3Judges, record: Record, mark: str, side: int) -> dict[str, float]:
    marks = {name: f"{mark}-{weights}" for name, (_, weights) in judges.scores.items()}
    missing = [name for name in marks if record.get(name, marks[name]) is None]
    if missing:
        view, of = view_of(subject)
        values = quality(view, subject.prompt, [judges.scores[name][0] for name in missing], side)
        for name, value in zip(missing, values, strict=True):
            score = 50 + 20 * value if name == QUALITY else value
            record.put(name, marks[name], {"score": score, "seen": of})
    return {name: float(record.get(name, marks[name])["score"]) for name in marks}


def _grade(
    subject: Subject, captioner: tuple[Captioner, str], llm: LLM, record: Record, mark: str, side: int
) -> int | None:
    """The grade of a result, 1 to 5; None, and a sentence, where the language model gives none."""
    describe, weights = captioner
    mark = f"{mark}-{weights}"

    def captions() -> list[str]:
        view, _ = view_of(subject)
        return describe(view(sphere_cameras(0, DISTANCE**2, FIELDS[0]), side))

    texts = record.part("captions", mark, captions)
    model = f"{mark}-{llm.name}-{llm.model}"
    if (kept := record.get(ALIGNMENT, model)) is not None:
        return int(kept["grade"])
    if llm.gone:
        return None
    try:
        whole, given = alignment(texts, subject.prompt, llm)
    except LLMError as error:
        again = "" if not llm.gone else f" It has been asked {GIVE_UP} times without an answer, and is asked no more."
        skipped(f"the alignment of {subject.prompt!r}, as {error}{again}")
        return None
    record.put(ALIGNMENT, model, {"caption": whole, "grade": given})
    return given


def _row(
    method: str,
    members: Sequence[Subject],
    of: dict[Subject, str],
    figures: dict[Subject, dict[str, float]],
    sets: Sets,
) -> Row:
    values: dict[str, float | None] = {}
    names = [name for name in sets.names if any(of[subject] == name for subject in members)]
    for name in names:
        mine = [figures[subject] for subject in members if of[subject] == name]
        for column in (QUALITY, BY_CLIP, ALIGNMENT):
            values[f"{name} {column}"] = mean(one.get(column) for one in mine)
        values[f"{name} {AVERAGE}"] = mean(one.get(AVERAGE) for one in mine)
    values[AVERAGE] = mean(values[f"{name} {AVERAGE}"] for name in names) if set(T3_SETS) <= set(names) else None
    return Row(method, known(values), ", ".join(_covered(name, members, of, sets) for name in names), ours=True)


def _covered(name: str, members: Sequence[Subject], of: dict[Subject, str], sets: Sets) -> str:
    """How many prompts of a set have a result."""
    done = len({subject.prompt for subject in members if of[subject] == name})
    whole = sets.size(name)
    return counted(done, "prompt") if whole is None else f"{name} {done} of {counted(whole, 'prompt')}"


def _aligns(judges: T3Judges) -> bool:
    return judges.captions is not None and judges.llm is not None


def columns(sets: Sets) -> Iterator[str]:
    """The columns of the table, in their order."""
    for name in dict.fromkeys((*T3_SETS, *sets.names)):
        yield from (f"{name} {column}" for column in (QUALITY, BY_CLIP, ALIGNMENT, AVERAGE))
    yield AVERAGE

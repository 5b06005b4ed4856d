"""What the doctor says of graphics cards: which are there, which torch there is for them, what draws the splats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.cards import Answer
from tools.card import SMALL, WHAT_FITS_A_SMALL_CARD
from tools.environments import Environment
from tools.findings import SET_UP, Finding, printed_in
from tools.torch_build import wrong_build

REPORT = "from backend.run.devices import report; print(report())"


def card_findings(root: Path, backend: Environment, answer: Answer) -> list[Finding]:
    """The cards, then torch and the renderer where they are installed."""
    return [*_cards(backend, answer), *_torch(root, backend, len(answer.cards))]


def _cards(backend: Environment, answer: Answer) -> list[Finding]:
    choice = backend.torch
    mend = choice.mend if choice else ""
    if answer.trouble:
        return [Finding("graphics card", "not known", answer.trouble)]
    if not answer.cards:
        return [Finding("graphics card", choice.why if choice else "none")]
    found = [Finding("graphics card", card.told + small(card.mib), mend) for card in answer.cards]
    if len(found) > 1:
        found.append(Finding("which card", "cuda:0, the fastest, is used; --device cuda:1 takes the next"))
    return [*found, Finding("driver", f"NVIDIA {answer.cards[0].driver}")]


def small(mib: int) -> str:
    """What fits a card with little memory; nothing to say of others."""
    return f": {WHAT_FITS_A_SMALL_CARD}" if 0 < mib < SMALL else ""


def _torch(root: Path, backend: Environment, cards: int) -> list[Finding]:
    """The build of torch, where runs compute, and what draws the splats, as the environment itself says."""
    choice = backend.torch
    if not backend.ready("run"):
        fits = choice.why if choice and choice.cuda else "the build for the CPU"
        return [Finding("torch", f"is not set up for this machine yet; what fits: {fits}", SET_UP)]
    said = printed_in(backend, REPORT, packages=root)
    if not said:
        return [Finding("torch", "does not start with the backend", SET_UP)]
    report: dict[str, Any] = json.loads(said.splitlines()[-1])
    build = f"CUDA {report['cuda']}" if report["cuda"] else "built for the CPU"
    more = "; --device mps takes a large prior to Apple's graphics card" if report["mps"] else ""
    unused = "".join(report["unused"]) if cards and not (choice and choice.mend) else ""
    mend = SET_UP if wrong_build(backend) else unused
    device = report["device"]
    used = f"{report['cards'][int(device.partition(':')[2] or 0)]} ({device})" if device != "cpu" else "the CPU"
    broken = f"; they cannot be built: {report['kernels']}" if report["kernels"] else ""
    return [
        Finding("torch", f"{report['torch']}, {build}", mend),
        Finding("runs on", used + more),
        Finding("renderer", report["renderer"] + broken, SET_UP if broken else ""),
        Finding("compiler", "none is needed"),
    ]

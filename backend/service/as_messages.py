"""Converts the backend's objects to messages."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from backend.run import events
from backend.scenes.splats import Splats
from shared import messages

STAGES: dict[type, Literal["draft", "run", "mesh"]] = {
    events.DraftStep: "draft",
    events.StepDone: "run",
    events.MeshStep: "mesh",
}


def matrix(values: Tensor) -> messages.Matrix:
    """A (4,4) tensor as in messages."""
    return msgspec.convert(values.tolist(), messages.Matrix)


def splats_message(
    splats: Splats, job: str, step: int, to_scene: messages.Matrix, *, final: bool = False
) -> messages.Splats:
    """N splats with activated values: scales in metres, opacities in [0,1], quaternions of length 1."""
    quats = torch.nn.functional.normalize(splats.quats, dim=-1)
    fields = (splats.means, quats, splats.log_scales.exp(), splats.opacity_logits.sigmoid(), splats.sh)
    means, quats_, scales, opacities, sh = (value.detach().cpu().float().contiguous().numpy() for value in fields)
    return messages.Splats(
        job=job, step=step, final=final, to_scene=to_scene,
        means=means, quats=quats_, scales=scales, opacities=opacities, sh=sh,
    )  # fmt: skip


def event_message(event: events.Event, job: str, to_scene: messages.Matrix) -> messages.FromServer | None:
    """The message to clients for an event; None for events that they are not sent."""
    match event:
        case events.StepDone() | events.DraftStep() | events.MeshStep():
            return messages.Progress(job=job, stage=STAGES[type(event)], **vars(event))
        case events.Preview(step, image):
            return messages.Preview(job=job, step=step, image=np.ascontiguousarray(image))
        case events.Snapshot(step, splats):
            return splats_message(splats, job, step, to_scene)
        case events.Warning(text):
            return messages.Warning(job=job, text=text)
        case events.ResultReady():
            return None

"""From the CPU to a card and back, without more waiting than needed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def onto(value: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device.  On the way to a card nobody waits; CUDA has taken the numbers when the call returns."""
    return value.to(device, non_blocking=device.type != "cpu")


def numbers(values: Mapping[str, float | Tensor]) -> dict[str, float]:
    """Numbers, some of which are scalars on one card: all of these are fetched at once."""
    scalars = {name: value.detach().float() for name, value in values.items() if isinstance(value, Tensor)}
    fetched = torch.stack(list(scalars.values())).tolist() if scalars else []
    found = dict(zip(scalars, fetched, strict=True))
    return {name: found[name] if name in found else float(value) for name, value in values.items()}

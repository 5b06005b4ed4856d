"""From the CPU to a card and back, without more waiting than needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def onto(value: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device.  On the way to a card nobody waits; CUDA has taken the numbers when the call returns."""
    return value.to(device, non_blocking=device.type != "cpu")


def all_finite(parameters: Iterable[Tensor]) -> bool:
    """Whether parameters and their gradients are finite; a card is asked once, not for each."""
    values = [value for p in parameters for value in (p.detach(), p.grad) if value is not None]
    return bool(torch.stack([torch.isfinite(value).all() for value in values]).all())


def rows(table: Tensor, index: Tensor) -> Tensor:
    """`table[index]` (...,C) of a table (N,C), with the same gradient each time on the CPU.

    The gradient of indexing is added up by several threads in no fixed order, and so differs in its last bits.
    """
    return table.index_select(0, index.flatten()).view(*index.shape, table.shape[-1])


def numbers(values: Mapping[str, float | Tensor]) -> dict[str, float]:
    """Numbers, some of which are scalars on one card: all of these are fetched at once."""
    scalars = {name: value.detach().float() for name, value in values.items() if isinstance(value, Tensor)}
    fetched = torch.stack(list(scalars.values())).tolist() if scalars else []
    found = dict(zip(scalars, fetched, strict=True))
    return {name: found[name] if name in found else float(value) for name, value in values.items()}

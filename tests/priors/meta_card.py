"""A graphics card that is none: torch's meta device, which has shapes and no numbers.

Where the code asks it for a number, as it may, it gets a plausible one, and the question is counted: each makes the
host wait.  Where the code mixes devices, torch itself raises.
"""

import traceback
from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend.priors.loading import Denoiser
from backend.priors.stable_diffusion import StableDiffusion

META, aten = torch.device("meta"), torch.ops.aten


def on_card(values):
    return any(isinstance(value, torch.Tensor) and value.device == META for value in tree_leaves(values))


def number(dtype):
    return True if dtype == torch.bool else 0.5 if dtype.is_floating_point else 7


def place():
    """The line of ours that is at work."""
    ours = [frame for frame in traceback.extract_stack() if "/backend/" in frame.filename]
    return f"{ours[-1].filename.partition('/backend/')[2]}:{ours[-1].lineno}" if ours else "?"


class Card(TorchDispatchMode):
    """Counts what makes the host wait, by the line that did it, and refuses to mix devices."""

    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, first = kwargs or {}, args[0] if args else None
        there = isinstance(first, torch.Tensor) and first.device == META
        if func in (aten._local_scalar_dense.default, aten.equal.default) and there:
            self.waits[place()] += 1
            return number(first.dtype) if func is aten._local_scalar_dense.default else True
        if func is aten.nonzero.default and there:
            self.waits[place()] += 1
            return torch.empty(max(1, first.numel() // 2), first.dim(), dtype=torch.long, device=META)
        if func is aten._to_copy.default:
            return self._copied(func, first, args, kwargs, there)
        if func is aten.copy_.default and on_card(args) and first.device != args[1].device:
            self.waits[place()] += 0 if kwargs.get("non_blocking") or args[2:] == (True,) else 1
        return func(*args, **kwargs)

    def _copied(self, func, first, args, kwargs, there):
        to = torch.device(kwargs.get("device", first.device))
        if there and to.type == "cpu":
            self.waits[place()] += 1
            return torch.full(first.shape, number(first.dtype), dtype=kwargs.get("dtype") or first.dtype)
        if not there and to == META:
            self.waits[place()] += 0 if kwargs.get("non_blocking") else 1
        return func(*args, **kwargs)


def plain_adam(monkeypatch):
    """The fused Adam has no kernel for a device without numbers; the plain one does the same."""
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *args, **options: adam(*args, **(options | {"fused": False})))


def on_the_card(prior):
    """A prior of the Stable Diffusion family with its networks on the card; its text encoders stay on the CPU."""
    unet, vae = prior.denoiser.unet.to(META), prior.vae.to(META)
    prior.pipeline.register_modules(unet=unet, vae=vae)
    return StableDiffusion(prior.pipeline, Denoiser(unet, prior.alphas_cumprod, prior.denoiser.prediction_type))

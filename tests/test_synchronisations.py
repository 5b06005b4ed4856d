"""How often a step waits for the card: each time it asks for a number, and each time it copies without saying non_blocking.

The "card" is torch's meta device, which has shapes and no numbers; where the code asks for one, it gets a plausible one.
"""

import traceback
from collections import Counter

import pytest
import tiny_pipelines as tiny
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.priors import text_encoder
from backend.priors.loading import Denoiser
from backend.priors.stable_diffusion import StableDiffusion, load_stable_diffusion
from backend.render import base, card
from backend.run.assemble import assemble
from backend.run.distill import distill

META, aten = torch.device("meta"), torch.ops.aten
ALLOWED = 6


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


@pytest.fixture
def everything_on_the_card(monkeypatch):
    """Our CUDA kernels' way, whose launches do not wait; the plain Adam, as the fused one has no meta kernel."""
    monkeypatch.setattr(base, "compositing", lambda _device: card.Composite.apply)
    monkeypatch.setattr(card, "launch", lambda *_: None)
    monkeypatch.setattr(text_encoder, "free_bytes", lambda _device: 0.0)
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *args, **options: adam(*args, **(options | {"fused": False})))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    loaded = load_stable_diffusion(tiny.save_stable_diffusion(tmp_path_factory.mktemp("tiny")), "cpu")
    unet, vae = loaded.denoiser.unet.to(META), loaded.vae.to(META)
    denoiser = Denoiser(unet, loaded.alphas_cumprod, loaded.denoiser.prediction_type)
    loaded.pipeline.register_modules(unet=unet, vae=vae)
    return StableDiffusion(loaded.pipeline, denoiser)


@pytest.mark.parametrize("objective", RULES)
def test_a_step_waits_for_the_card_six_times_at_most(everything_on_the_card, prior, objective):
    fields = {"prompt": "a red chair", "objective": objective, "prior": "/some/model"}
    recipe = {"steps": 50, "stages": [{"side": 32}], "splats": {"initial_count": 100, "refine_start": 0.5}}
    job = make_job({**fields, "recipe": recipe})
    run, _ = assemble(job, prior, META)
    steps = distill(run, 50)
    with Card() as waits:
        next(steps)  # texts are encoded, constants are copied
        waits.waits.clear()
        next(steps)
    assert waits.waits.total() <= ALLOWED, waits.waits

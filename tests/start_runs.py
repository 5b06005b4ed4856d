"""Small runs that start from something, for the tests of starts."""

import tiny_pipelines as tiny
import torch
from msgspec.structs import replace

from backend.cameras import orbit
from backend.job.job import make_job
from backend.run import draft
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.scenes.splats import render_splats


def save_model(factory):
    """A large prior of a few thousand random weights."""
    return str(tiny.save_stable_diffusion(factory.mktemp("model")))


def fields(model, **changes):
    """A job of few small steps with the model, which starts from a draft."""
    recipe = {"views": 1, "steps": 3, "stages": [{"side": 32}], "splats": {"initial_count": 3500}}
    return {
        "prompt": "a wooden chair",
        "objective": "sds",
        "prior": model,
        "start": "draft",
        "recipe": recipe,
    } | changes


def short_drafts(monkeypatch, steps=4):
    """Drafts of so many steps."""
    whole = draft.draft_job
    monkeypatch.setattr(draft, "draft_job", lambda job: shortened(whole(job), steps))


def shortened(job, steps):
    return replace(job, recipe=replace(job.recipe, steps=steps))


def begun(tmp_path, name="out", **changes):
    return Session.begin(make_job(changes), JobFolder(tmp_path / name))


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def alpha(splats):
    return render_splats(splats, orbit(4), 64, 64, torch.ones(4, 3)).alpha[..., 0]


def overlap(one, other):
    """Intersection over union of what is covered."""
    return float(torch.minimum(one, other).sum() / torch.maximum(one, other).sum())


def psnr(one, other):
    return float(-10 * (one - other).square().mean().log10())

"""Scenes for the renderer's tests, and the comparison with gsplat's reference in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from backend.cameras import orbit
from backend.render import rasterization
from backend.studies.bench import gsplat_reference

NAMES = ("means", "quats", "scales", "opacities", "colors")


def cloud(count: int = 300, seed: int = 0) -> dict[str, Tensor]:
    """A ball of splats of all sizes around the origin."""
    random = torch.Generator().manual_seed(seed)
    return {
        "means": torch.randn(count, 3, generator=random) * 0.35,
        "quats": torch.randn(count, 4, generator=random),
        "scales": torch.rand(count, 3, generator=random) * 0.15,
        "opacities": torch.rand(count, generator=random),
        "colors": torch.rand(count, 3, generator=random),
    }


def edge_cases() -> dict[str, dict[str, Tensor]]:
    """Clouds at the limits of what the optimiser makes."""
    plain = cloud()
    faint = plain["opacities"].clone()
    faint[:150] = 0.003
    return {
        "plain": plain,
        "opaque": plain | {"opacities": torch.ones(300)},
        "half below 1/255": plain | {"opacities": faint},
        "flat": plain | {"scales": plain["scales"] * torch.tensor([1e-4, 1.0, 1.0])},
        "needles": plain | {"scales": plain["scales"] * torch.tensor([1e-3, 1e-3, 30.0])},
        "outside and behind": plain | {"means": plain["means"] * 8},
        "huge": plain | {"scales": plain["scales"] * 20},
        "sub-pixel": plain | {"scales": plain["scales"] * 1e-4},
        "one": cloud(1),
    }


def view(cameras: int, width: int, height: int | None = None) -> dict[str, Any]:
    """The camera arguments."""
    height = width if height is None else height
    seen_from = orbit(cameras, start=10.0)
    intrinsics = seen_from.intrinsics(width, height)
    return {"viewmats": seen_from.viewmats, "Ks": intrinsics, "width": width, "height": height}


def errors(scene: dict[str, Tensor], looks: dict[str, Any], **options: Any) -> dict[str, float]:
    """Relative L2 error of pixels, alphas and the gradient of every tensor, against the reference in float64.

    The loss is a random linear function of pixels and alphas.
    """
    tensors = scene | {key: value for key, value in (looks | options).items() if isinstance(value, Tensor)}
    rest = {key: value for key, value in (looks | options).items() if key not in tensors}
    weights: list[Tensor] = []
    results = []
    for render, dtype in ((gsplat_reference.rasterization, torch.float64), (rasterization, torch.float32)):
        leaves = {key: value.to(dtype, copy=True).requires_grad_(key != "Ks") for key, value in tensors.items()}
        means, others = leaves["means"], {key: leaf for key, leaf in leaves.items() if key != "means"}
        pixels, alphas, info = render(means, **others, **rest)
        info["means2d"].retain_grad()
        if not weights:
            random = torch.Generator().manual_seed(1)
            weights = [torch.randn(out.shape, generator=random, dtype=dtype) for out in (pixels, alphas)]
        loss = (pixels * weights[0].to(dtype)).sum() + (alphas * weights[1].to(dtype)).sum()
        loss.backward()
        unused = {key: torch.zeros_like(leaf) for key, leaf in leaves.items() if leaf.requires_grad}
        gradients = unused | {key: leaf.grad for key, leaf in leaves.items() if leaf.grad is not None}
        results.append({"pixels": pixels, "alphas": alphas, "means2d": info["means2d"].grad} | gradients)
    expected, got = results
    assert expected.keys() == got.keys()
    return {key: relative(got[key], expected[key]) for key in expected}


def relative(got: Tensor, expected: Tensor) -> float:
    """‖got - expected‖ / ‖expected‖."""
    return float((got.detach().double() - expected.detach()).norm() / expected.detach().norm().clamp(min=1e-12))

"""DPM-Solver++ (Lu et al., 2211.01095), second order, by diffusers' scheduler, for any of our priors."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.guidance.guide import Conditions
from backend.guidance.inversion import estimate
from backend.priors.base import Prior


def dpm_solver_sample(
    prior: Prior, noise: Tensor, _t: Tensor, conditions: Conditions, steps: int, guidance_scale: float
) -> Tensor:
    """From pure noise (B,C,h,w) to clean samples (B,C,h,w); the levels are the solver's own, from the highest."""
    from diffusers import DPMSolverMultistepScheduler

    signal = prior.alphas_cumprod.double().cpu().clamp(min=1e-8)  # a schedule may end without any signal
    before = torch.cat([signal.new_ones(1), signal[:-1]])
    solver = DPMSolverMultistepScheduler(
        num_train_timesteps=len(signal), trained_betas=(1 - signal / before).tolist(), algorithm_type="dpmsolver++"
    )
    solver.set_timesteps(steps, device=noise.device)
    x = noise
    for level in solver.timesteps:
        eps = estimate(prior, x, int(level), conditions, guidance_scale)
        x = solver.step(eps, level, x, return_dict=False)[0]
    return x

"""JSD: Jensen-Shannon score distillation (Do, Hua, "Text-to-3D Generation using Jensen-Shannon Score Distillation").

The noisy sample is not drawn but found by DDIM inversion.  The prior's estimate for a second, "minority" sample is
subtracted, which is made from the first by denoising it in one step and adding fresh noise:

    x_hat   = DDIM inversion of x up to t,  whose noise is eps_inv = (x_hat - alpha_t x) / sigma_t
    x_bar_0 = (x_hat - sigma_t eps_y(x_hat)) / alpha_t
    x_bar   = alpha_t x_bar_0 + sigma_t eps

    "paper"    (Eq. 12)   g = w(t) [eps_hat(x_hat) - eps_hat(x_bar)]
    "released"            g = w(t) [(1+k) (eps_hat(x_hat) - eps_inv) + k (eps_hat(x_bar) - eps)]

The second line is what the authors' code (KhoiDOO/jsddreamer) amounts to with w = sigma/alpha: it pulls x to
x_bar_0 and, k times, to the one-step denoising of x_bar; that is SDI plus an SDS step at the denoised estimate.  Its
settings are `RELEASED`.  Eq. 12 prints w = alpha/sigma, while Eq. 6 leads to w = 1; both can be chosen.

Cost at 10 steps: ten forwards of inversion at t = 980, six at 600, three at 250, and two of scores.  The released code
uses one more, for a step from "level -99" to level 1.

A job's `particles` are the paper's comparison (Figs. 5, 10 to 12): scenes that begin alike and differ in their noise.
They do not know of one another.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing
from backend.guidance.inversion import Eta, InversionScale, Start, Steps, ddim_inversion


class JSDOptions(Options, frozen=True):
    """The paper's settings."""

    rule: Annotated[Literal["paper", "released"], Meta(description="Eq. 12, or what the released code does")] = "paper"
    guidance_scale: Guidance = 13.5
    weight: Weighing = "alpha/sigma"
    inversion_steps: Steps = 10
    inversion_guidance_scale: InversionScale = 1.0
    inversion_eta: Eta = 0.0
    inversion_start: Start = "estimate"
    denoise_guided: Annotated[bool, Meta(description="Denoise the first sample with guidance")] = False
    k: Annotated[float, Meta(ge=0, le=10, description="Share of the minority sample in the released rule")] = 1.0


RELEASED = JSDOptions(
    rule="released", weight="sigma/alpha", inversion_guidance_scale=-13.5, inversion_eta=0.3, denoise_guided=True
)


class JSD(Rule[JSDOptions]):
    """Three to twelve forwards of the U-Net a step, fewer as t falls."""

    Options = JSDOptions
    particles = True

    def gradient(self, batch: Batch) -> Score:
        """Inversion, one-step denoising, fresh noise, and the difference of the two estimates."""
        o, (alpha, sigma) = self.options, batch.scales
        x_hat, eps_inv = ddim_inversion(
            batch, o.inversion_steps, o.inversion_guidance_scale, o.inversion_eta, o.inversion_start
        )
        eps_hat, eps_y = batch.guided(x_hat, o.guidance_scale)
        x_bar_0 = (x_hat - sigma * (eps_hat if o.denoise_guided else eps_y)) / alpha
        eps = batch.noise()
        eps_bar, _ = batch.guided(alpha * x_bar_0 + sigma * eps, o.guidance_scale)
        released = (1 + o.k) * (eps_hat - eps_inv) + o.k * (eps_bar - eps)
        difference = eps_hat - eps_bar if o.rule == "paper" else released
        return batch.score(o.weight, difference, eps_hat, eps_bar)

"""SDI: score distillation via inversion (Lukoianov et al., "Score Distillation via Reparametrized DDIM", 2405.15891).

    g = w(t) [eps_hat(x_hat) - eps_inv],    w = sigma_t / alpha_t
    x_hat = DDIM inversion of x up to t,  whose noise is eps_inv = (x_hat - alpha_t x) / sigma_t

SDS would be a step of DDIM on the pictures of a scene if its noise were the one that leads to the scene; inversion
finds that noise.  With w = sigma/alpha the gradient is x minus the one-step denoising of x_hat, which is the loss of
the released code.

Decided here:
* The released code writes guidance as eps_y + s (eps_y - eps_null): its 7.5 and -7.5 are 8.5 and -6.5 in our
  convention.  The defaults are the paper's numbers in our convention.
* It inverts to a level up to T/steps above t and still calls the result x_t; here the inversion ends at t.
* Each of its steps adds fresh noise (eta 0.3, see inversion.py); so do ours.
* t falls over the run; the recipe sets that.
"""

from __future__ import annotations

from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing
from backend.guidance.inversion import Eta, InversionScale, Start, Steps, ddim_inversion


class SDIOptions(Options, frozen=True):
    """The paper's settings."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma/alpha"
    inversion_steps: Steps = 10
    inversion_guidance_scale: InversionScale = -7.5
    inversion_eta: Eta = 0.3
    inversion_start: Start = "estimate"


class SDI(Rule[SDIOptions]):
    """Two to eleven forwards of the U-Net a step, fewer as t falls."""

    Options = SDIOptions

    def gradient(self, batch: Batch) -> Score:
        """The noise that inversion finds, subtracted from the prompt's estimate there."""
        o = self.options
        x_hat, eps_inv = ddim_inversion(
            batch, o.inversion_steps, o.inversion_guidance_scale, o.inversion_eta, o.inversion_start
        )
        eps_hat, _ = batch.guided(x_hat, o.guidance_scale)
        return batch.score(o.weight, eps_hat - eps_inv, eps_hat, eps_inv)

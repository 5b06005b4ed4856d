"""VDM with DCA: variational distribution mapping (Cai et al., DreamMapping).

    g = w(t) [eps_hat(x_t) - lambda_t M_psi(eps_y(x_t))],    x_t = alpha_t x + sigma_t eps
    lambda_t = 1 for t > 300 of 1000, else 1 - alpha_bar_t   (Eq. 18, distribution coefficient annealing)

M_psi is trained beside the run, one step of Adam before each use, to name the noise behind a prediction:
||M_psi(eps_y) - eps||^2 (Eq. 17, Alg. 1).  At its best it is E[eps | eps_y], and the rule is SDS with a control
variate of lower variance.  The metrics "mapping_loss" and "mapping_corr" say how near it has come.

What the paper leaves open, and what is done here:
* Start: the identity plus a correction ("residual"), so that the first steps already subtract eps_y.  The bare network
  ("plain") starts near zero; for its `warm_up` first steps it learns while eps itself is subtracted, as in SDS.
* BatchNorm goes by the batch at hand, always (see ulite.py).
* DCA gives less weight to what is subtracted where a prediction has lost some of the noise.  How much it has lost can
  be measured instead ("annealing" = "measured"): lambda_t is then the slope of eps_y over eps, view by view, at every
  level.
* w(t): sigma/alpha, the shape of the code base that the paper builds on.  Its factor 0.1 is left out: Adam does not see
  it, and against the regularisers a recipe has weights of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Conditions, Score, Weight, correlation, guided, noise_like, scored, weight
from backend.guidance.mapping import MappingOptions, NoiseMapping
from backend.priors.base import Prior, alpha_sigma


class VDMOptions(MappingOptions, frozen=True):
    """The paper's settings, and those it leaves open."""

    guidance_scale: Annotated[float, Meta(ge=0, le=1000, description="How strongly the prompt pulls")] = 7.5
    weight: Annotated[Weight, Meta(description="How much each noise level counts")] = "sigma/alpha"
    cut_off: Annotated[
        int,
        Meta(
            ge=0, le=1000, description="Up to this level, of 1000, the mapping is subtracted in part only, by the level"
        ),
    ] = 300
    annealing: Annotated[
        Literal["cut-off", "measured"], Meta(description="The mapping's share: by the level, or by what is found")
    ] = "cut-off"
    warm_up: Annotated[
        int, Meta(ge=0, le=100_000, description="Steps that subtract plain noise while the mapping learns")
    ] = 0
    train_every: Annotated[int, Meta(ge=1, le=1000, description="Train the mapping at every n-th step")] = 1


class VDM:
    """One forward of the U-Net a step, and one or two of U-Lite."""

    Options = VDMOptions

    def __init__(self, options: VDMOptions) -> None:
        self.options, self.iteration = options, 0
        self.mapping: NoiseMapping | None = None
        self._saved: dict[str, Tensor] = {}

    @torch.no_grad()
    def gradient(
        self, prior: Prior, x: Tensor, t: Tensor, conditions: Conditions, progress: float, generator: torch.Generator
    ) -> Score:
        """x (B,C,h,w), t (B,) -> the gradient of each view (B,C,h,w), to be averaged by the loop."""
        o = self.options
        alpha, sigma = alpha_sigma(prior, t)
        eps = noise_like(x, generator)
        eps_hat, eps_y = guided(prior, alpha * x + sigma * eps, t, conditions, o.guidance_scale)
        mapped = self._mapped(eps_y, eps, generator)
        control = eps if self.iteration < o.warm_up else mapped
        measured = o.annealing == "measured"
        share = slope(eps_y, eps) if measured else lambda_t(t, alpha, o.cut_off, len(prior.alphas_cumprod))
        difference = eps_hat - share * control
        self.iteration += 1
        known = {"mapping_loss": float(F.mse_loss(mapped, eps)), "mapping_corr": correlation(mapped, eps)}
        return scored(weight(o.weight, alpha, sigma) * difference, eps_hat, control, **known)

    def _mapped(self, eps_y: Tensor, eps: Tensor, generator: torch.Generator) -> Tensor:
        """M_psi(eps_y), after its own step."""
        if self.mapping is None and self._saved:
            self.mapping = NoiseMapping.restore(self._saved, self.options, eps_y.device)
        elif self.mapping is None:
            self.mapping = NoiseMapping.create(eps_y, self.options, generator)
        if self.iteration < self.options.warm_up or self.iteration % self.options.train_every == 0:
            self.mapping.fit(eps_y, eps)
        out: Tensor = self.mapping(eps_y)
        return out

    def state_dict(self) -> dict[str, Tensor]:
        """The mapping's weights, its Adam, and how many steps were taken."""
        state = self._saved if self.mapping is None else self.mapping.saved()
        return {**state, "iteration": torch.tensor(self.iteration)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what `state_dict` gave; the mapping is built at the next step, on the samples' device."""
        self.iteration = int(state["iteration"])
        self.mapping, self._saved = None, {key: value for key, value in state.items() if key != "iteration"}


def lambda_t(t: Tensor, alpha: Tensor, cut_off: int, total: int) -> Tensor:
    """Eq. 18 at levels t (B,) of `total`, whose signal scales are alpha (B,1,1,1): (B,1,1,1)."""
    return torch.where(t.view(-1, 1, 1, 1) * 1000 > cut_off * total, torch.ones_like(alpha), 1 - alpha**2)


def slope(eps_y: Tensor, eps: Tensor) -> Tensor:
    """Of each prediction (B,C,h,w) over the noise it was made from: (B,1,1,1), 1 where it has lost none of it."""
    return (eps_y * eps).mean((1, 2, 3), keepdim=True) / eps.square().mean((1, 2, 3), keepdim=True)

"""VDM with DCA: variational distribution mapping (Cai et al., DreamMapping).

    g = w(t) [eps_hat(x_t) - lambda_t M_psi(eps_y(x_t))],    x_t = alpha_t x + sigma_t eps
    lambda_t = 1 for t > 300 of 1000, else 1 - alpha_bar_t   (Eq. 18, distribution coefficient annealing)

M_psi is trained beside the run, one step of Adam before each use, to predict the noise behind a prediction:
||M_psi(eps_y) - eps||^2 (Eq. 17, Alg. 1).  Its optimum is E[eps | eps_y], and the rule is then SDS with a control
variate of lower variance.  The metrics "mapping_loss" and "mapping_corr" show how close it is.

What the paper leaves open, and our choice:
* Start: the identity plus a correction ("residual"), so that the first steps already subtract eps_y.  The bare network
  ("plain") starts near zero; for its `warm_up` first steps it learns while eps itself is subtracted, as in SDS.
* BatchNorm always uses the current batch's statistics (see ulite.py).
* DCA subtracts less where a prediction has lost some of the noise.  How much it has lost can also be measured
  ("annealing" = "measured"): lambda_t is then the slope of eps_y over eps, view by view, at every level.
* w(t): sigma/alpha, as in the code base that the paper builds on.  Its factor 0.1 is omitted: Adam is invariant to it,
  and the recipe weighs the regularisers itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Guidance, Level, Rule, Score, Weighing, correlation
from backend.guidance.noise_mapping import MappingOptions, NoiseMapping


class VDMOptions(MappingOptions, frozen=True):
    """The paper's settings, and choices that it leaves open."""

    guidance_scale: Guidance = 7.5
    weight: Weighing = "sigma/alpha"
    cut_off: Annotated[Level, Meta(description="Up to this level, of 1000, the mapping is subtracted only in part")] = (
        300
    )
    annealing: Annotated[
        Literal["cut-off", "measured"], Meta(description="The mapping's share: by the noise level, or as measured")
    ] = "cut-off"
    warm_up: Annotated[
        int, Meta(ge=0, le=100_000, description="Steps that subtract plain noise while the mapping learns")
    ] = 0
    train_every: Annotated[int, Meta(ge=1, le=1000, description="Train the mapping at every n-th step")] = 1


class VDM(Rule[VDMOptions]):
    """One forward of the U-Net a step, and one or two of U-Lite."""

    Options = VDMOptions

    def __init__(self, options: VDMOptions) -> None:
        super().__init__(options)
        self.iteration = 0
        self.mapping: NoiseMapping | None = None
        self._saved: dict[str, Tensor] = {}

    @torch.no_grad()
    def gradient(self, batch: Batch) -> Score:
        """Subtract the mapped prediction, weighted by DCA."""
        o, eps = self.options, batch.noise()
        eps_hat, eps_y = batch.guided(batch.noised(eps), o.guidance_scale)
        mapped = self._mapped(eps_y, eps, batch.generator)
        control = eps if self.iteration < o.warm_up else mapped
        annealed = lambda_t(batch.t, batch.scales[0], o.cut_off, batch.total)
        share = slope(eps_y, eps) if o.annealing == "measured" else annealed
        self.iteration += 1
        quality = {"mapping_loss": F.mse_loss(mapped, eps), "mapping_corr": correlation(mapped, eps)}
        return batch.score(o.weight, eps_hat - share * control, eps_hat, control, **quality)

    def _mapped(self, eps_y: Tensor, eps: Tensor, generator: torch.Generator) -> Tensor:
        """M_psi(eps_y), after its training step."""
        if self.mapping is None and self._saved:
            self.mapping = NoiseMapping.restore(self._saved, self.options, eps_y.device)
        elif self.mapping is None:
            self.mapping = NoiseMapping.create(eps_y, self.options, generator)
        if self.iteration < self.options.warm_up or self.iteration % self.options.train_every == 0:
            self.mapping.fit(eps_y, eps)
        out: Tensor = self.mapping(eps_y)
        return out

    def state_dict(self) -> dict[str, Tensor]:
        """The mapping's weights, its Adam, and the number of steps."""
        state = self._saved if self.mapping is None else self.mapping.saved()
        return {**state, "iteration": torch.tensor(self.iteration)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave; the mapping is built at the next step, on the samples' device."""
        self.iteration = int(state["iteration"])
        self.mapping, self._saved = None, {key: value for key, value in state.items() if key != "iteration"}


def lambda_t(t: Tensor, alpha: Tensor, cut_off: int, total: int) -> Tensor:
    """Eq. 18 at levels t (B,) of `total`, whose signal scales are alpha (B,1,1,1): (B,1,1,1)."""
    return torch.where(t.view(-1, 1, 1, 1) * 1000 > cut_off * total, torch.ones_like(alpha), 1 - alpha**2)


def slope(eps_y: Tensor, eps: Tensor) -> Tensor:
    """The slope (B,1,1,1) of each prediction (B,C,h,w) over its noise; 1 where it has lost none of it."""
    return (eps_y * eps).mean((1, 2, 3), keepdim=True) / eps.square().mean((1, 2, 3), keepdim=True)

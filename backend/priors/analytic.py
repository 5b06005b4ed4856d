"""A prior whose noise prediction is exact: a mixture of Gaussians of one isotropic width.

If x is drawn from sum_k w_k N(mu_k, s^2 I), then x_t is from sum_k w_k N(alpha_t mu_k, v_t I), v_t = alpha_t^2 s^2 +
sigma_t^2, and the prediction of a perfect network, -sigma_t grad log p(x_t), is

    eps(x_t, t) = sigma_t / v_t  sum_k r_k (x_t - alpha_t mu_k),    r_k ~ w_k exp(-|x_t - alpha_t mu_k|^2 / (2 v_t))

It is used by the tests, for their closed forms, and by the two-dimensional toy of the JSD paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.cameras import Cameras
from backend.priors.base import Condition, PriorError, alpha_sigma


def scaled_linear(levels: int = 1000, first: float = 0.00085, last: float = 0.012) -> Tensor:
    """alpha_bar (T,) of Stable Diffusion: square roots of beta evenly spaced."""
    return (1 - torch.linspace(first**0.5, last**0.5, levels, dtype=torch.float64) ** 2).cumprod(0)


def linear(levels: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """alpha_bar (T,) of DDPM, and of the JSD paper's toy: betas evenly spaced."""
    return (1 - torch.linspace(first, last, levels, dtype=torch.float64)).cumprod(0)


def to_pure_noise(alphas_cumprod: Tensor) -> Tensor:
    """A schedule's alpha_bar (T,), shifted so that the last level is noise alone (Lin et al., 2305.08891, alg. 1)."""
    root = alphas_cumprod.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


class Analytic:
    """Modes `means` (K,C,h,w), all `std` wide and equally likely; points of a plane are (K,2,1,1).

    Modes have colour channels, or four channels: colour over middle grey, and alpha.  Texts "0" to "K-1" name a mode,
    "" stands for all of them.  Cameras are ignored.
    """

    cameras: Cameras | None = None

    def __init__(self, means: Tensor, std: float | Tensor, alphas_cumprod: Tensor | None = None) -> None:
        self.means, self.std = means, std
        schedule = scaled_linear() if alphas_cumprod is None else alphas_cumprod
        self.alphas_cumprod = schedule.to(means)
        self.image_size, self.device = means.shape[-1], means.device
        self.channels = 4 if means.shape[1] == 4 else 3

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,C) in [0,1] -> x (B,C,h,w) in [-1,1], resized to the means' sides; C is 3 or 4."""
        x = images.permute(0, 3, 1, 2) * 2 - 1
        return F.interpolate(x, self.means.shape[2:], mode="bilinear", antialias=True)

    def decode(self, x: Tensor) -> Tensor:
        """x (B,C,h,w) -> pictures (B,h,w,3) in [0,1], without their alpha."""
        return ((x[:, :3] + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)

    def condition(self, texts: Sequence[str], cameras: Cameras | None = None) -> Condition:
        """The log-weights of the modes, as tokens (B,1,K)."""
        return Condition(torch.stack([self._log_weights(text) for text in texts])[:, None])

    def _log_weights(self, text: str) -> Tensor:
        count = len(self.means)
        if text == "":
            return self.means.new_zeros(count)
        if not text.isdecimal() or int(text) >= count:
            raise PriorError(f'The text "{text}" is not a mode: use a number from 0 to {count - 1}, or no text.')
        return self.means.new_full((count,), -torch.inf).index_fill(0, torch.tensor(int(text)), 0.0)

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The exact eps (B,C,h,w) for x_t (B,C,h,w) at levels t (B,)."""
        alpha, sigma = alpha_sigma(self, t)
        variance = (alpha * self.std) ** 2 + sigma**2
        away = x_t[:, None] - alpha[:, None] * self.means  # (B,K,C,h,w)
        log_r = condition.tokens[:, 0] - (away**2).sum((2, 3, 4)) / (2 * variance.view(-1, 1))
        expected = torch.einsum("bk,bkchw->bchw", log_r.softmax(1), away)
        return sigma / variance * expected

    def twin(self, rank: int, seed: int) -> AnalyticTwin:
        """A twin that shifts and widens all modes alike, which is enough to become any one isotropic Gaussian."""
        return AnalyticTwin(self, learns=rank > 0)


class AnalyticTwin:
    """An `Analytic` whose modes learn one shift (C,h,w) and one factor of their width: exact before and after."""

    def __init__(self, prior: Analytic, learns: bool) -> None:
        zero = torch.zeros_like(prior.means[0], requires_grad=True)
        width = torch.zeros_like(prior.means[0, 0, 0, 0], requires_grad=True)
        self.prior, self.shift, self.log_width = prior, zero, width
        self.parameters: dict[str, Tensor] = {"shift": zero, "log_width": width} if learns else {}

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """As `Analytic.predict`, for the modes as learned, with gradient."""
        std = self.prior.std * self.log_width.exp()
        return Analytic(self.prior.means + self.shift, std, self.prior.alphas_cumprod).predict(x_t, t, condition)

    def gradients(self, loss: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of a loss that was computed from `predict`."""
        return list(torch.autograd.grad(loss, list(wrt)))

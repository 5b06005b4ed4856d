"""Fig. 8: five divergences between p = (a, 1-a) and q = (1-a, a), in nats.

    KLD     KL(q || p), the reverse one, which SDS minimises
    JD      KL(p || q) + KL(q || p)                                                  (Jeffreys)
    JSD     KL(p || m) / 2 + KL(q || m) / 2,        m = (p + q) / 2                  (Lin 1991)
    G-JSD   KL(p || g) / 2 + KL(q || g) / 2,        g = sqrt(p q), normalised        (Nielsen 2019, alpha = 1/2)
    approx  E_q[log(1 - D)] + log 2 = KL(q || m),   D = p / (p + q)

The last is what a generator minimises against the optimal discriminator (Goodfellow et al. 2014), whose log odds are
those of p and q: the half of JSD that depends on q's samples.  This follows the paper's abstract; its formula was not
available.  Here m = g = (1/2, 1/2), as p and q mirror each other, so the last three are the same curve.  Without
normalisation the geometric one would be JD/4, and unbounded.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 100


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) (N,) of distributions (N,K); 0 log 0 is 0, and infinite where q is 0 and p is not."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1)


def _geometric_mean(p: Tensor, q: Tensor) -> Tensor:
    """sqrt(p q) (N,K), normalised; uniform where it is 0 everywhere, which is the limit for this family."""
    mean = (p * q).sqrt()
    total = mean.sum(1, keepdim=True)
    return torch.where(total > 0, mean / total.clamp(min=1e-300), 1 / p.shape[1])


def divergences(steps: int = STEPS) -> dict[str, Tensor]:
    """`a` (steps+1,) from 0 to 1, and each divergence (steps+1,)."""
    a = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    p, q = torch.stack([a, 1 - a], 1), torch.stack([1 - a, a], 1)
    m, g = (p + q) / 2, _geometric_mean(p, q)
    return {
        "a": a,
        "KLD": _kl(q, p),
        "JD": _kl(p, q) + _kl(q, p),
        "JSD": (_kl(p, m) + _kl(q, m)) / 2,
        "G-JSD": (_kl(p, g) + _kl(q, g)) / 2,
        "approx": _kl(q, m),
    }

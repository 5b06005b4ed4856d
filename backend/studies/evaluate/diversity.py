"""How different the results of several seeds are: 1 minus the mean cosine of a classifier's features between them.

DiverseDream's measure (Tran et al., 2312.02192) with another network: pictures from the same sides, the cosine for
every pair of results at each side, averaged.  0 means identical; the value for two unlike objects gives the scale.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def diversity(features: Tensor) -> float:
    """Features (S,V,D) of S results from V sides -> 1 - mean cosine over all pairs of results and all sides."""
    unit = F.normalize(features, dim=-1)
    cosines = torch.einsum("svd,wvd->vsw", unit, unit)
    one, other = torch.triu_indices(len(features), len(features), offset=1)
    return 1 - float(cosines[:, one, other].mean())

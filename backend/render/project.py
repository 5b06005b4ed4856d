"""EWA projection of 3D Gaussians onto the picture plane (Zwicker et al., 2001), differentiable by torch.

gsplat's formulas: with M = R(q) diag(s) the covariance is M Mᵀ, and the picture's is J W M (J W M)ᵀ + eps2d I, where W
is the camera's rotation and J the Jacobian of the pinhole projection at the mean.  Written out by component, as batched
2x3 and 3x3 products are several times slower.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Projected:
    """N Gaussians seen by C cameras.

    means2d (C,N,2) px; factors (C,N,3) = (p, q, r) of the inverse covariance, such that a Gaussian falls off as
    exp(-s), s = (p (dx + q dy)² + r dy²) / 2, with dx, dy in px from the pixel to the mean; depths (C,N) along the
    axis; in_range (C,N) whether they lie between the planes.
    """

    means2d: Tensor
    factors: Tensor
    depths: Tensor
    in_range: Tensor

    @property
    def conics(self) -> Tensor:
        """The inverse covariance's xx, xy and yy (C,N,3) in 1/px², gsplat's form."""
        p, q, r = self.factors.unbind(-1)
        return torch.stack([p, p * q, p * q * q + r], -1)


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotations (N,3,3) of quaternions (N,4) wxyz of any length; the identity for length 0."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    # fmt: off
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]
    # fmt: on
    return torch.stack(entries, -1).view(-1, 3, 3)


def project(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    viewmats: Tensor,
    intrinsics: Tensor,
    width: int,
    height: int,
    near_plane: float,
    far_plane: float,
    eps2d: float,
) -> Projected:
    """Project means (N,3), quats (N,4), scales (N,3) into cameras viewmats (C,4,4), intrinsics (C,3,3) in pixels."""
    rotation = viewmats[:, :3, :3]
    x, y, depths = (means @ rotation.transpose(1, 2) + viewmats[:, None, :3, 3]).unbind(-1)
    fx, fy, cx, cy = (intrinsics[:, row, column, None] for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    in_range = (depths > near_plane) & (depths < far_plane)
    inverse_depth = 1 / torch.where(in_range, depths, 1.0)  # never 1/0, whose gradient would be NaN
    slope_x, slope_y = x * inverse_depth, y * inverse_depth
    means2d = torch.stack([fx * slope_x + cx, fy * slope_y + cy], -1)

    root = torch.einsum("cij,njk->cnik", rotation, rotation_matrices(quats) * scales[:, None, :])  # W M
    # J is evaluated at most 15 % outside the picture: farther out its linear projection diverges.
    bent_x = _clamp_slope(slope_x, cx, fx, width)[..., None]
    bent_y = _clamp_slope(slope_y, cy, fy, height)[..., None]
    row_x = (fx * inverse_depth)[..., None] * (root[..., 0, :] - bent_x * root[..., 2, :])  # first row of J W M
    row_y = (fy * inverse_depth)[..., None] * (root[..., 1, :] - bent_y * root[..., 2, :])
    return Projected(means2d, _factors(row_x, row_y, eps2d), depths, in_range)


def _clamp_slope(slope: Tensor, centre: Tensor, focal: Tensor, pixels: int) -> Tensor:
    margin = 0.15 * pixels
    return slope.clamp(-(centre + margin) / focal, (pixels - centre + margin) / focal)


def _factors(row_x: Tensor, row_y: Tensor, eps2d: float) -> Tensor:
    """Factors (C,N,3) of the inverse of the covariance whose square root has these rows (C,N,3), blurred by eps2d px².

    The determinant is a sum of squares here and nothing is subtracted, as the usual xx yy - xy² loses a needle's small
    axis in float32.
    """
    xx, xy, yy = (row_x * row_x).sum(-1), (row_x * row_y).sum(-1), (row_y * row_y).sum(-1)
    minors = torch.linalg.cross(row_x, row_y)
    det = (minors * minors).sum(-1) + eps2d * (xx + yy) + eps2d * eps2d
    yy = yy + eps2d
    return torch.stack([yy / det.clamp(min=1e-10), -xy / yy, 1 / yy], -1)

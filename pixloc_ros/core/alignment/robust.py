"""Barron's general robust loss (CVPR 2019) on squared residuals x >= 0 of any shape.

c^2 rho(x / c^2) with c = scale; alpha 2: squared, 1: pseudo-Huber, 0: Cauchy, -2: Geman-McClure.
"""

from __future__ import annotations

import torch
from torch import Tensor


def loss(x: Tensor, alpha: float, scale: float) -> Tensor:
    """Near zero it is x itself."""
    c2 = scale * scale
    if alpha == 2:
        return x
    if alpha == 0:
        return 2 * c2 * torch.log1p(x / (2 * c2))
    stretch = abs(alpha - 2)
    return c2 * (2 * stretch / alpha) * ((x / (stretch * c2) + 1) ** (alpha / 2) - 1)


def weight(x: Tensor, alpha: float, scale: float) -> Tensor:
    """Derivative of the loss in x: the weight of iteratively re-weighted least squares, 1 at 0."""
    if alpha == 2:
        return torch.ones_like(x)
    return (x / (abs(alpha - 2) * scale * scale) + 1) ** (alpha / 2 - 1)


def second_derivative(x: Tensor, alpha: float, scale: float) -> Tensor:
    """Second derivative of the loss in x, never positive: how fast the weight falls."""
    if alpha == 2:
        return torch.zeros_like(x)
    c2 = scale * scale
    return -0.5 / c2 * (x / (abs(alpha - 2) * c2) + 1) ** (alpha / 2 - 2)

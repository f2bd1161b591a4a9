"""Robust losses on squared residuals."""
from __future__ import annotations

import torch
from torch import Tensor


def barron(x: Tensor, alpha: float, scale: float) -> tuple[Tensor, Tensor]:
    """General robust loss (Barron, CVPR 2019) on squared residuals x >= 0, any shape.

    Returns the loss c^2 rho(x / c^2) with c = scale, and its derivative in x, the weight of
    iteratively re-weighted least squares. alpha 2: squared, 1: pseudo-Huber, 0: Cauchy, -2:
    Geman-McClure. The weight at zero is one.
    """
    c2 = scale * scale
    x = x / c2
    if alpha == 2:
        return c2 * x, torch.ones_like(x)
    if alpha == 0:
        return 2 * c2 * torch.log1p(x / 2), 2 / (x + 2)
    stretch = abs(alpha - 2)
    base = x / stretch + 1
    loss = 2 * stretch / alpha * (base ** (alpha / 2) - 1)
    return c2 * loss, base ** (alpha / 2 - 1)

"""The pose prior as a term of the normal equations."""
from __future__ import annotations

import torch
from torch import Tensor

from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.geometry.so3 import hat, log_so3


def prior_terms(T: Pose, T_prior: Pose, information: Tensor) -> tuple[Tensor, Tensor]:
    """J^T L J (B, 6, 6) and J^T L e (B, 6) of the cost e^T L e / 2 at the poses T (B).

    e (B, 6), in metres and radians, is the left increment from the prior to T:

        T = T_prior.retract(e):  w = log(R R_prior^T),  d = t - R R_prior^T t_prior

    and its derivative in a further left increment (dt, dw) of T follows from exp(dw) exp(w) =
    exp(w + Jl^-1(w) dw) and d' = d + dt + dw x d:

        J = [[I, -hat(d)], [0, Jl^-1(w)]]
    """
    relative = T.R @ T_prior.R.mT
    w = log_so3(relative)
    d = T.t - (relative @ T_prior.t[..., None])[..., 0]
    identity = torch.eye(3, dtype=d.dtype, device=d.device).expand(relative.shape)
    J = torch.cat((
        torch.cat((identity, -hat(d)), -1),
        torch.cat((torch.zeros_like(relative), inverse_left_jacobian(w)), -1),
    ), -2)
    JtL = J.mT @ information
    return JtL @ J, (JtL @ torch.cat((d, w), -1)[..., None])[..., 0]


def inverse_left_jacobian(w: Tensor) -> Tensor:
    """Jl^-1 (..., 3, 3) of SO(3) at rotation vectors w (..., 3) shorter than pi.

    I - hat(w) / 2 + (1 - (a / 2) cot(a / 2)) / a^2 hat(w)^2, a = ||w|| (Sola et al., "A micro Lie
    theory", 2018, equation 146).
    """
    squared = w.square().sum(-1)
    small = squared < 1e-2
    half = torch.where(small, torch.ones_like(squared), squared).sqrt() / 2
    exact = (1 - half / torch.tan(half)) / (4 * half * half)
    series = 1 / 12 + squared / 720 + squared.square() / 30240
    factor = torch.where(small, series, exact)[..., None, None]
    W = hat(w)
    identity = torch.eye(3, dtype=w.dtype, device=w.device)
    return identity - W / 2 + factor * (W @ W)

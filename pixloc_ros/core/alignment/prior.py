"""The pose prior as a term of the normal equations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pixloc_ros.core.geometry.pose import Pose
from pixloc_ros.core.geometry.so3 import hat


def prior_terms(T: Pose, T_prior: Pose, information: Tensor) -> tuple[Tensor, Tensor]:
    """J^T L J (B, 6, 6) and J^T L e (B, 6) of the cost e^T L e / 2 at the poses T (B).

    e (B, 6), in metres and radians, is the left increment from the prior to T:

        T = T_prior.retract(e):  w = log(R R_prior^T),  d = t - R R_prior^T t_prior

    and its derivative in a further left increment (dt, dw) of T follows from exp(dw) exp(w) =
    exp(w + Jl^-1(w) dw) and d' = d + dt + dw x d:

        J = [[I, -hat(d)], [0, Jl^-1(w)]]
    """
    relative = T.R @ T_prior.R.mT
    w = rotation_vector(relative)
    d = T.t - (relative @ T_prior.t[..., None])[..., 0]
    identity = torch.eye(3, dtype=d.dtype, device=d.device).expand_as(relative)
    J = torch.cat(
        (
            torch.cat((identity, -hat(d)), -1),
            torch.cat((torch.zeros_like(relative), inverse_left_jacobian(w)), -1),
        ),
        -2,
    )
    JtL = J.mT @ information
    return JtL @ J, (JtL @ torch.cat((d, w), -1)[..., None])[..., 0]


def rotation_vector(R: Tensor) -> Tensor:
    """(..., 3) of rotations (..., 3, 3) by less than pi: log_so3 with few operations, because a
    step of the solver on a CPU costs what its number of operations costs."""
    sine = (
        torch.stack(
            (R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]),
            -1,
        )
        / 2
    )
    cosine = (R.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    angle = torch.atan2(torch.linalg.vector_norm(sine, dim=-1), cosine)
    return sine / torch.sinc(angle / math.pi)[..., None]


def inverse_left_jacobian(w: Tensor) -> Tensor:
    """Jl^-1 (..., 3, 3) of SO(3) at rotation vectors w (..., 3) shorter than pi.

    I - hat(w) / 2 + (1 - (a / 2) cot(a / 2)) / a^2 hat(w)^2, a = ||w|| (Sola et al., "A micro Lie
    theory", 2018, equation 146). Near zero the factor loses its digits, but hat(w)^2 is as small.
    """
    half = torch.linalg.vector_norm(w, dim=-1)[..., None, None] / 2
    missing = 1 - torch.cos(half) / torch.sinc(half / math.pi)
    factor = missing / (4 * half * half).clamp_min(1e-12)
    W = hat(w)
    return torch.eye(3, dtype=w.dtype, device=w.device) - W / 2 + factor * (W @ W)

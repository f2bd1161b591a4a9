"""Rotations in torch: exponential, logarithm and quaternions, differentiable everywhere.

Batched over leading dimensions, free of host synchronisation. Neither values nor gradients are NaN
near zero: the exponential is written with sinc, the logarithm has its Taylor series there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Below this squared sine of half the angle the logarithm's series is exact to float64 rounding.
_SMALL = 1e-4
# Keeps the derivatives of a square root at zero finite.
_TINY = 1e-30


def hat(w: Tensor) -> Tensor:
    """(..., 3) vectors -> (..., 3, 3) skew matrices with hat(w) p = w x p."""
    identity = torch.eye(3, dtype=w.dtype, device=w.device)
    return torch.linalg.cross(*torch.broadcast_tensors(w[..., None], identity), dim=-2)


def exp_so3(w: Tensor) -> Tensor:
    """(..., 3) axis-angle in radians -> (..., 3, 3) rotations."""
    return rotate(w, torch.eye(3, dtype=w.dtype, device=w.device))


def rotate(w: Tensor, columns: Tensor) -> Tensor:
    """exp(hat(w)) @ columns, for axis-angle w (..., 3) in radians and columns (..., 3, N).

    Rodrigues: X + sin(a)/a w x X + (1 - cos(a))/a^2 w x (w x X); sinc is exact at zero, too.
    """
    axis, columns = torch.broadcast_tensors(w[..., None], columns)
    angle = (w.square().sum(-1)[..., None, None] + _TINY).sqrt()
    once = torch.linalg.cross(axis, columns, dim=-2)
    twice = torch.linalg.cross(axis, once, dim=-2)
    half = torch.sinc(angle / (2 * math.pi))
    return columns + torch.sinc(angle / math.pi) * once + half * half / 2 * twice


def log_so3(R: Tensor) -> Tensor:
    """(..., 3, 3) rotations -> (..., 3) axis-angle, of length at most pi."""
    q = to_quaternion(R)
    v, w = q[..., :3], q[..., 3:]
    s2 = (v * v).sum(-1, keepdim=True)  # squared sine of half the angle
    small = s2 < _SMALL
    s = torch.where(small, torch.ones_like(s2), s2).sqrt()
    series = 2 * (1 + s2 / 6 * (1 + s2 * 9 / 20 * (1 + s2 * 25 / 42 * (1 + s2 * 49 / 72))))
    return v * torch.where(small, series, 2 * torch.atan2(s, w) / s)


def from_quaternion(q_xyzw: Tensor) -> Tensor:
    """(..., 4) quaternions (x, y, z, w), of any non-zero norm -> (..., 3, 3) rotations."""
    x, y, z, w = torch.nn.functional.normalize(q_xyzw, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - z * w),
        2 * (x * z + y * w),
        2 * (x * y + z * w),
        1 - 2 * (x * x + z * z),
        2 * (y * z - x * w),
        2 * (x * z - y * w),
        2 * (y * z + x * w),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def to_quaternion(R: Tensor) -> Tensor:
    """(..., 3, 3) rotations -> (..., 4) unit quaternions (x, y, z, w) with w >= 0.

    Each row of 4 q q^T is a multiple of q; that with the largest diagonal is conditioned best.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = R.flatten(-2).unbind(-1)
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    xw, yw, zw = m21 - m12, m02 - m20, m10 - m01
    rows = [
        1 + m00 - m11 - m22,
        xy,
        xz,
        xw,
        xy,
        1 - m00 + m11 - m22,
        yz,
        yw,
        xz,
        yz,
        1 - m00 - m11 + m22,
        zw,
        xw,
        yw,
        zw,
        1 + m00 + m11 + m22,
    ]
    outer = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    best = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    q = torch.nn.functional.normalize(outer.gather(-2, index).squeeze(-2), dim=-1)
    return torch.where(q[..., 3:] < 0, -q, q)

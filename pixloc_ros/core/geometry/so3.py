"""Rotations in torch: exponential, logarithm and quaternions, differentiable everywhere.

Batched over leading dimensions, free of host synchronisation. Near the singular points the closed
forms are replaced by their Taylor series, selected with `where` on safe arguments, so that neither
values nor gradients are NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Below this squared angle (0.1 rad) the series are exact to float64 rounding.
_SMALL = 1e-2


def hat(w: Tensor) -> Tensor:
    """(..., 3) vectors -> (..., 3, 3) skew matrices with hat(w) p = w x p."""
    x, y, z = w.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3))


def exp_so3(w: Tensor) -> Tensor:
    """(..., 3) axis-angle in radians -> (..., 3, 3) rotations.

    Rodrigues in the form cos(a) I + sin(a)/a hat(w) + (1 - cos(a))/a^2 w w^T.
    """
    x, y, z = w.unbind(-1)
    a2 = x * x + y * y + z * z
    sin_a, versine = _exp_coefficients(a2)
    sx, sy, sz = sin_a * x, sin_a * y, sin_a * z
    vx, vy, vz = versine * x, versine * y, versine * z
    cos = 1 - versine * a2
    xy, xz, yz = vx * y, vx * z, vy * z
    rows = [cos + vx * x, xy - sz, xz + sy, xy + sz, cos + vy * y, yz - sx, xz - sy, yz + sx,
            cos + vz * z]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def _exp_coefficients(a2: Tensor) -> tuple[Tensor, Tensor]:
    """sin(a)/a and (1 - cos(a))/a^2 as functions of the squared angle."""
    small = a2 < _SMALL
    a = torch.where(small, torch.ones_like(a2), a2).sqrt()
    half = (a / 2).sin() / a
    series_sin = 1 - a2 / 6 * (1 - a2 / 20 * (1 - a2 / 42 * (1 - a2 / 72)))
    series_versine = 0.5 - a2 / 24 * (1 - a2 / 30 * (1 - a2 / 56 * (1 - a2 / 90)))
    return (
        torch.where(small, series_sin, a.sin() / a),
        torch.where(small, series_versine, 2 * half * half),
    )


def log_so3(R: Tensor) -> Tensor:
    """(..., 3, 3) rotations -> (..., 3) axis-angle, of length at most pi."""
    q = to_quaternion(R)
    v, w = q[..., :3], q[..., 3:]
    s2 = (v * v).sum(-1, keepdim=True)  # squared sine of half the angle
    small = s2 < _SMALL * 1e-2
    s = torch.where(small, torch.ones_like(s2), s2).sqrt()
    series = 2 * (1 + s2 / 6 * (1 + s2 * 9 / 20 * (1 + s2 * 25 / 42 * (1 + s2 * 49 / 72))))
    return v * torch.where(small, series, 2 * torch.atan2(s, w) / s)


def from_quaternion(q_xyzw: Tensor) -> Tensor:
    """(..., 4) quaternions (x, y, z, w), of any non-zero norm -> (..., 3, 3) rotations."""
    x, y, z, w = torch.nn.functional.normalize(q_xyzw, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def to_quaternion(R: Tensor) -> Tensor:
    """(..., 3, 3) rotations -> (..., 4) unit quaternions (x, y, z, w) with w >= 0.

    Each row of 4 q q^T is a multiple of q; that with the largest diagonal is conditioned best.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = R.flatten(-2).unbind(-1)
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    xw, yw, zw = m21 - m12, m02 - m20, m10 - m01
    rows = [
        1 + m00 - m11 - m22, xy, xz, xw,
        xy, 1 - m00 + m11 - m22, yz, yw,
        xz, yz, 1 - m00 - m11 + m22, zw,
        xw, yw, zw, 1 + m00 + m11 + m22,
    ]  # fmt: skip
    outer = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    best = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    q = torch.nn.functional.normalize(outer.gather(-2, index).squeeze(-2), dim=-1)
    return torch.where(q[..., 3:] < 0, -q, q)

"""Lens distortion models: forward, derivative, inverse, and the radius up to which they are valid.

Everything acts on normalised image coordinates (x / z, y / z). A radial model maps the radius r to
r s(u) with u = r^2; it is one-to-one only until d(r s)/dr first vanishes. Past this fold two rays
share a pixel, so points there must not be projected (they would land inside the image).

Models (coefficients in OpenCV's order):
- pinhole: none
- radtan: k1, k2, p1, p2
- rational: k1, k2, p1, p2, k3, k4, k5, k6
- prism: those of rational, then thin prism s1, s2, s3, s4 and the sensor's tilt tau_x, tau_y (rad)
- equidistant: k1, k2, k3, k4; r s = a (1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8), a = atan(r)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

#: [[a, b], [c, d]] as (a, b, c, d), (..., N) each.
Slope = tuple[Tensor, Tensor, Tensor, Tensor]

NUM_COEFFICIENTS = {"pinhole": 0, "radtan": 4, "rational": 8, "prism": 14, "equidistant": 4}

# The limit of models without a fold, 89.94 degrees off the axis: powers stay finite in float32.
MAX_RADIUS2 = 1e6

_RADIAL_STEPS = 40
_TANGENTIAL_STEPS = 6


def distort(
    model: str, k: Tensor, x: Tensor, y: Tensor, jacobian: bool = True
) -> tuple[Tensor, Tensor, Slope | None]:
    """Distort the points (x, y) (..., N) with the coefficients k (..., D).

    Returns the distorted x and y and, if asked for, the derivative [[a, b], [c, d]] as
    (a, b, c, d); it is symmetric but for prisms.
    """
    coefficients = k[..., None, :].unbind(-1)
    u = x * x + y * y
    s, ds = _SCALES[model](coefficients, u, jacobian)
    tangential = model != "equidistant"
    dx, dy = x * s, y * s
    if tangential:
        p1, p2 = coefficients[2:4]
        xy2 = 2 * x * y
        dx = dx + (p1 * xy2 + p2 * (u + 2 * x * x))
        dy = dy + (p2 * xy2 + p1 * (u + 2 * y * y))
    if model == "prism":
        s1, s2, s3, s4, tau_x, tau_y = coefficients[8:]
        dx, dy = dx + u * (s1 + u * s2), dy + u * (s3 + u * s4)
    if ds is None:
        return (*_tilt(tau_x, tau_y, dx, dy), None) if model == "prism" else (dx, dy, None)
    g = 2 * ds
    gx = g * x
    a, b, d = s + gx * x, gx * y, s + g * y * y
    if tangential:
        p1y, p2x = 2 * p1 * y, 2 * p2 * x
        a = a + (p1y + 3 * p2x)
        b = b + 2 * (p1 * x + p2 * y)
        d = d + (p2x + 3 * p1y)
    if model != "prism":
        return dx, dy, (a, b, b, d)
    sx, sy = 2 * (s1 + 2 * u * s2), 2 * (s3 + 2 * u * s4)
    slope = a + sx * x, b + sx * y, b + sy * x, d + sy * y
    tilted = _tilt(tau_x, tau_y, dx, dy)
    return *tilted, _tilted_slope(tau_x, tau_y, dx, dy, *tilted, slope)


def _tilt(tau_x: Tensor, tau_y: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Onto a sensor that is turned by tau_x and then tau_y, as OpenCV defines it."""
    cx, sx, cy, sy = tau_x.cos(), tau_x.sin(), tau_y.cos(), tau_y.sin()
    w = cy * (cx - sx * y) + sy * x
    return cx * x / w, (cy * y - sx * sy * x) / w


def _tilted_slope(
    tau_x: Tensor, tau_y: Tensor, x: Tensor, y: Tensor, xt: Tensor, yt: Tensor, slope: Slope
) -> Slope:
    """The derivative of (xt, yt), which are (x, y) tilted, from that of (x, y)."""
    cx, sx, cy, sy = tau_x.cos(), tau_x.sin(), tau_y.cos(), tau_y.sin()
    w = cy * (cx - sx * y) + sy * x
    a, b, c, d = slope
    xx, xy = (cx - xt * sy) / w, xt * cy * sx / w
    yx, yy = -sy * (sx + yt) / w, cy * (1 + yt * sx) / w
    return xx * a + xy * c, xx * b + xy * d, yx * a + yy * c, yx * b + yy * d


def _untilt(tau_x: Tensor, tau_y: Tensor, xt: Tensor, yt: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `_tilt`."""
    cx, sx, cy, sy = tau_x.cos(), tau_x.sin(), tau_y.cos(), tau_y.sin()
    w = cy * cx / (1 + sx * yt - sy * cx * xt)
    x = xt * w / cx
    return x, (yt * w + sx * sy * x) / cy


def _radtan_scale(k, u: Tensor, derivative: bool) -> tuple[Tensor, Tensor | None]:
    k1, k2 = k[:2]
    s = 1 + u * (k1 + u * k2)
    return s, (k1 + 2 * k2 * u) if derivative else None


def _rational_scale(k, u: Tensor, derivative: bool) -> tuple[Tensor, Tensor | None]:
    k1, k2, _, _, k3, k4, k5, k6 = k[:8]
    inverse = 1 / (1 + u * (k4 + u * (k5 + u * k6)))
    s = (1 + u * (k1 + u * (k2 + u * k3))) * inverse
    if not derivative:
        return s, None
    top = k1 + u * (2 * k2 + 3 * k3 * u)
    bottom = k4 + u * (2 * k5 + 3 * k6 * u)
    return s, (top - s * bottom) * inverse


def _equidistant_scale(k, u: Tensor, derivative: bool) -> tuple[Tensor, Tensor | None]:
    k1, k2, k3, k4 = k
    small = u < 1e-4
    safe = torch.where(small, torch.ones_like(u), u)
    r = safe.sqrt()
    a = torch.atan(r)
    v = a * a
    s = a * (1 + v * (k1 + v * (k2 + v * (k3 + v * k4)))) / r
    # series of s in u: exact to float64 rounding below the threshold
    c1, c2 = k1 - 1 / 3, 1 / 5 - k1 + k2
    c3 = k3 - 5 / 3 * k2 + 14 / 15 * k1 - 1 / 7
    series = 1 + u * (c1 + u * (c2 + u * c3))
    value = torch.where(small, series, s)
    if not derivative:
        return value, None
    slope = 1 + v * (3 * k1 + v * (5 * k2 + v * (7 * k3 + v * (9 * k4))))
    ds = (slope / (1 + safe) - s) / (2 * safe)
    return value, torch.where(small, c1 + u * (2 * c2 + 3 * c3 * u), ds)


_SCALES = {
    "radtan": _radtan_scale,
    "rational": _rational_scale,
    "prism": _rational_scale,
    "equidistant": _equidistant_scale,
}


def undistort(
    model: str, k: Tensor, max_radius2: Tensor, xd: Tensor, yd: Tensor
) -> tuple[Tensor, Tensor]:
    """The inverse of `distort`, (..., N) each, within the valid radius max_radius2 (...).

    A tilt is undone, then the radius is found, without the tangential terms and the thin prism,
    which Newton's method adds. A point that no ray reaches ends on the outermost circle. The result
    is differentiable: the last step has the gradients of the implicit function.
    """
    if model == "pinhole":
        return xd, yd
    if model == "prism":
        tau_x, tau_y = k[..., None, 12:].unbind(-1)
        xd, yd = _untilt(tau_x, tau_y, xd, yd)
        k = torch.nn.functional.pad(k[..., :12], (0, 2))
    limit2 = max_radius2[..., None] * (1 - 1e-6)
    with torch.no_grad():
        rd = (xd * xd + yd * yd).sqrt()
        scale = _undistort_radius(model, k, limit2.sqrt(), rd) / rd.clamp(min=1e-12)
        x, y = xd * scale, yd * scale
        for _ in range(_TANGENTIAL_STEPS):
            x, y = _newton_step(model, k, x, y, xd, yd)
            shrink = (limit2 / (x * x + y * y).clamp(min=1e-12)).sqrt().clamp(max=1)
            x, y = x * shrink, y * shrink
        inside = shrink == 1
    x1, y1 = _newton_step(model, k, x, y, xd, yd)
    return torch.where(inside, x1, x), torch.where(inside, y1, y)


def _undistort_radius(model: str, k: Tensor, limit: Tensor, rd: Tensor) -> Tensor:
    """Solve r s(r^2) = rd for r in [0, limit], where the left side grows.

    Newton's step is taken where it stays in the bracket and steps shrink by half each time (or are
    down to rounding); elsewhere the bracket is halved.
    """
    coefficients = k[..., None, :].unbind(-1)
    r = torch.minimum(rd, limit)
    low, high = torch.zeros_like(r), limit.expand_as(r)
    step = high
    for _ in range(_RADIAL_STEPS):
        u = r * r
        s, ds = _SCALES[model](coefficients, u, True)
        assert ds is not None
        error = r * s - rd
        high, low = torch.where(error > 0, r, high), torch.where(error > 0, low, r)
        newton = r - error / (s + 2 * u * ds)  # NaN or infinite on a vanishing slope: not taken
        move = (newton - r).abs()
        take = (newton >= low) & (newton <= high) & (move <= torch.maximum(step / 2, 1e-5 * r))
        new = torch.where(take, newton, (low + high) / 2)
        step, r = (new - r).abs(), new
    return r


def _newton_step(
    model: str, k: Tensor, x: Tensor, y: Tensor, xd: Tensor, yd: Tensor
) -> tuple[Tensor, Tensor]:
    fx, fy, slope = distort(model, k, x, y)
    assert slope is not None
    a, b, c, d = (part.detach() for part in slope)
    ex, ey = fx - xd, fy - yd
    determinant = a * d - b * c
    tiny = torch.full_like(determinant, 1e-9)
    determinant = torch.where(determinant.abs() < 1e-9, tiny, determinant)
    return x - (d * ex - b * ey) / determinant, y - (a * ey - c * ex) / determinant


def max_valid_radius2(model: str, k: Sequence[float]) -> float:
    """The squared normalised radius where the radial part of a model first folds (or has a pole).

    That is the smallest positive root of d(r s)/dr, at most MAX_RADIUS2. Host side, float64.
    """
    k = [float(value) for value in k]
    if model == "pinhole":
        return MAX_RADIUS2
    if model == "radtan":
        return _smallest_root([1, 3 * k[0], 5 * k[1]], MAX_RADIUS2)
    if model in ("rational", "prism"):
        top = np.polynomial.Polynomial([1, k[0], k[1], k[4]])
        bottom = np.polynomial.Polynomial([1, k[5], k[6], k[7]])
        u = np.polynomial.Polynomial([0, 1])
        slope = top * bottom + 2 * u * (top.deriv() * bottom - top * bottom.deriv())
        pole = _smallest_root(bottom.coef, MAX_RADIUS2)
        return _smallest_root(slope.coef, pole)
    in_angle2 = [1, 3 * k[0], 5 * k[1], 7 * k[2], 9 * k[3]]
    angle = math.sqrt(_smallest_root(in_angle2, (math.pi / 2) ** 2))
    return min(math.tan(angle) ** 2, MAX_RADIUS2)


def _smallest_root(coefficients: Sequence[float] | np.ndarray, upper: float) -> float:
    """The smallest real root in (0, upper) of a polynomial (constant term first), else `upper`."""
    c = np.trim_zeros(np.asarray(coefficients, dtype=np.float64), "b")
    # a leading term that is negligible all the way to `upper` would spoil the companion matrix
    terms = np.abs(c) * upper ** np.arange(len(c))
    while len(c) > 1 and terms[len(c) - 1] < 1e-14 * terms[: len(c) - 1].max():
        c = c[:-1]
    roots = np.roots(c[::-1])
    real = roots.real[np.abs(roots.imag) <= 1e-7 * np.abs(roots)]
    return float(min([r for r in real if 0 < r < upper], default=upper))

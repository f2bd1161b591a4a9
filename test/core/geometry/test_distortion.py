"""Where distortion models fold over, and their inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pixloc_ros.core.geometry import Camera
from pixloc_ros.core.geometry.distortion import MAX_RADIUS2, distort, max_valid_radius2, undistort

F64 = torch.float64
SHAPES = {"radtan": 4, "rational": 8, "equidistant": 4}


def coefficients(model: str, bound: float = 0.5):
    values = st.floats(-bound, bound, allow_subnormal=False)
    return st.lists(values, min_size=SHAPES[model], max_size=SHAPES[model])


def radial(model: str, k, r: torch.Tensor) -> torch.Tensor:
    """The distorted radius at the radii r, tangential terms left out."""
    k = torch.tensor(k, dtype=F64)
    if model != "equidistant":
        k[2:4] = 0
    return distort(model, k, r, torch.zeros_like(r), jacobian=False)[0]


def first_decrease(model: str, k, upper: float) -> float:
    """The same limit by brute force: the radius where the distorted radius stops growing."""
    r = torch.linspace(0, upper, 400_001, dtype=F64)
    falls = radial(model, k, r).diff() < 0
    return r[int(falls.to(torch.uint8).argmax())].item() if falls.any() else math.inf


@pytest.mark.parametrize(
    "model, k, expected",
    [
        ("pinhole", [], MAX_RADIUS2),
        ("radtan", [0, 0, 0.01, 0.01], MAX_RADIUS2),
        ("radtan", [0.5, 0.05, 0, 0], MAX_RADIUS2),  # grows for ever: no limit
        ("radtan", [-0.3, 0, 0, 0], 1 / 0.9),  # the official rule has none here
        ("radtan", [0.2, -0.01, 0, 0], (0.6 + math.sqrt(0.36 + 0.2)) / 0.1),
        ("radtan", [-0.5, 0.05, 0, 0], (1.5 - math.sqrt(2.25 - 1)) / 0.5),  # the smaller root
        ("rational", [-0.3, 0, 0, 0, 0, 0, 0, 0], 1 / 0.9),
        ("rational", [0, 0, 0, 0, 0, -0.25, 0, 0], 4.0),  # pole of 1 / (1 - u / 4)
        ("rational", [0, 0, 0, 0, 0, 1, 0, 0], 1.0),  # r / (1 + r^2) peaks at one
        ("equidistant", [0, 0, 0, 0], MAX_RADIUS2),
        ("equidistant", [-1 / 3, 0, 0, 0], math.tan(1.0) ** 2),
        ("equidistant", [-0.01, 0, 0, 0], MAX_RADIUS2),  # folds only behind the camera
    ],
)
def test_known_folds(model, k, expected):
    assert max_valid_radius2(model, k) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", SHAPES)
@settings(max_examples=30)
@given(data=st.data())
def test_fold_is_where_the_distorted_radius_stops_growing(model, data):
    k = data.draw(coefficients(model))
    limit = math.sqrt(max_valid_radius2(model, k))
    r = torch.linspace(0, min(limit, 50.0), 20_001, dtype=F64)[:-1]
    grows = radial(model, k, r).diff()
    assert (grows > -1e-9).all()  # never past a fold
    if limit < 20:
        after = torch.linspace(limit * (1 - 1e-3), limit * (1 + 1e-2), 1001, dtype=F64)
        slope = radial(model, k, after).diff() / after.diff()
        scale = slope.abs().max()
        # the slope vanishes there, or there is a pole
        assert slope.abs().min() < 0.05 * max(1.0, scale) or scale > 100


@pytest.mark.parametrize(
    "model, k",
    [
        ("radtan", [-0.4, 0.19, 0, 0]),
        ("radtan", [-0.5, 0.05, 0, 0]),
        ("rational", [0.3, -0.1, 0, 0, 0.02, 0.5, -0.05, 0.01]),
        ("rational", [-0.28, 0.07, 0, 0, -0.008, 0, 0, 0]),
        ("equidistant", [-0.15, 0.02, -0.03, 0.001]),
    ],
)
def test_fold_equals_a_dense_scan(model, k):
    limit = math.sqrt(max_valid_radius2(model, k))
    upper = 20.0
    scan = first_decrease(model, k, upper)
    if limit < upper:
        assert scan == pytest.approx(limit, abs=upper / 1e5)
    else:
        assert scan == math.inf


def test_points_past_the_fold_are_invalid_although_they_land_in_the_image():
    for model, k in [
        ("radtan", [-0.3, 0, 0, 0]),
        ("rational", [-0.3, 0, 0, 0, 0, 0, 0, 0]),
        ("equidistant", [-1 / 3, 0, 0, 0]),
    ]:
        camera = Camera.build(model, (640, 480), (100, 100), (320, 240), k)
        edge = math.sqrt(max_valid_radius2(model, k))
        points = torch.tensor([[edge * s, 0, 1.0] for s in (0.5, 0.99, 1.01, 1.2)])
        p2d, valid = camera.project(points)
        assert valid.tolist() == [True, True, False, False]
        assert (p2d[:, 0] < 640).all()


CASES = {
    "radtan": (-0.2, 0.05, 0.001, -0.002),
    "rational": (0.3, -0.1, 0.001, -0.002, 0.02, 0.5, -0.05, 0.01),
    "prism": (
        *(0.3, -0.1, 0.001, -0.002, 0.02, 0.5, -0.05, 0.01),
        *(0.003, -0.001, -0.002, 0.0015, 0.04, -0.03),
    ),
    "equidistant": (0.02, -0.01, 0.004, -0.001),
}


@pytest.mark.parametrize("model", [*CASES, "pinhole"])
@pytest.mark.parametrize("dtype, atol", [(F64, 1e-10), (torch.float32, 2e-5)])
def test_rays_undo_the_projection(model, dtype, atol):
    camera = Camera.build(model, (640, 480), (300, 310), (321, 236), CASES.get(model, ()), dtype)
    v, u = torch.meshgrid(torch.arange(0, 480, 16), torch.arange(0, 640, 16), indexing="ij")
    p2d = torch.stack([u, v], dim=-1).reshape(-1, 2).to(dtype)
    rays = camera.rays(p2d)
    assert (rays[:, 2] == 1).all()
    back, valid = camera.project(7 * rays)
    torch.testing.assert_close(back, p2d, rtol=0, atol=atol * 300)
    border = (p2d == 0).any(-1)  # rounding may push these out of the image
    assert valid[~border].all()


@pytest.mark.parametrize("model", SHAPES)
@settings(max_examples=40)
@given(data=st.data())
def test_undistort_undoes_distort_within_the_valid_radius(model, data):
    """Without tangential terms, at any radius up to 95 % of the fold."""
    k = data.draw(coefficients(model, 0.3))
    limit2 = max_valid_radius2(model, k)
    if model != "equidistant":
        k[2:4] = [0.0, 0.0]
    r = data.draw(st.floats(0, 0.95)) * math.sqrt(min(limit2, 4.0))
    angle = data.draw(st.floats(-math.pi, math.pi))
    k = torch.tensor(k, dtype=F64)
    x = torch.tensor([r * math.cos(angle)], dtype=F64)
    y = torch.tensor([r * math.sin(angle)], dtype=F64)
    xd, yd, (a, b, c, d) = distort(model, k, x, y)
    assume(abs(a * d - b * c) > 1e-2)
    x1, y1 = undistort(model, k, torch.tensor(limit2, dtype=F64), xd, yd)
    np.testing.assert_allclose([x1, y1], [x, y], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("model", CASES)
def test_rays_have_implicit_gradients(model):
    k = torch.tensor(CASES[model], dtype=F64, requires_grad=True)
    p = torch.tensor([[0.2, -0.1], [0.4, 0.3], [1e-3, 0]], dtype=F64, requires_grad=True)
    limit = torch.tensor(max_valid_radius2(model, CASES[model]), dtype=F64)
    assert torch.autograd.gradcheck(
        lambda p, k: torch.stack(undistort(model, k, limit, p[:, 0], p[:, 1])), (p, k)
    )


def test_a_fisheye_reaches_almost_ninety_degrees():
    camera = Camera.build("equidistant", (1200, 1200), (350, 350), (600, 600), (0, 0, 0, 0), F64)
    angle = math.radians(89)
    p2d = torch.tensor([[600 + 350 * angle, 600.0]], dtype=F64)
    ray = camera.rays(p2d)
    assert math.degrees(math.atan(ray[0, 0])) == pytest.approx(89, abs=1e-6)


def test_pixels_that_no_ray_reaches_get_the_outermost_ray():
    camera = Camera.build("radtan", (640, 480), (100, 100), (320, 240), (-0.3, 0, 0, 0), F64)
    ray = camera.rays(torch.tensor([[639.0, 240.0]], dtype=F64))
    assert ray[0, 0] == pytest.approx(math.sqrt(1 / 0.9), rel=1e-5)

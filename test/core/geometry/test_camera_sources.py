"""Cameras from COLMAP, ROS and files; stacking of different models."""

from __future__ import annotations

import json

import pytest
import torch

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import Camera

F64 = torch.float64
K = [500.0, 0, 320, 0, 510, 240, 0, 0, 1]
EIGHT = [0.3, -0.1, 0.001, -0.002, 0.02, 0.5, -0.05, 0.01]
POINTS = torch.tensor([[0.3, -0.2, 1.0], [-0.5, 0.4, 1.2], [0, 0, 3]], dtype=F64)


@pytest.mark.parametrize(
    "model, params, expected, distortion",
    [
        ("SIMPLE_PINHOLE", [500, 320, 240], "pinhole", []),
        ("PINHOLE", [500, 510, 320, 240], "pinhole", []),
        ("SIMPLE_RADIAL", [500, 320, 240, -0.1], "radtan", [-0.1, 0, 0, 0]),
        ("RADIAL", [500, 320, 240, -0.1, 0.2], "radtan", [-0.1, 0.2, 0, 0]),
        ("OPENCV", [500, 510, 320, 240, 1, 2, 3, 4], "radtan", [1, 2, 3, 4]),
        ("OPENCV", [500, 510, 320, 240, 0, 0, 0, 0], "pinhole", []),
        ("FULL_OPENCV", [500, 510, 320, 240, *EIGHT], "rational", EIGHT),
        ("FULL_OPENCV", [500, 510, 320, 240, 1, 2, 3, 4, 0, 0, 0, 0], "radtan", [1, 2, 3, 4]),
        ("SIMPLE_RADIAL_FISHEYE", [500, 320, 240, 0.1], "equidistant", [0.1, 0, 0, 0]),
        ("RADIAL_FISHEYE", [500, 320, 240, 0.1, 0.2], "equidistant", [0.1, 0.2, 0, 0]),
        ("OPENCV_FISHEYE", [500, 510, 320, 240, 1, 2, 3, 4], "equidistant", [1, 2, 3, 4]),
    ],
)
def test_colmap(model, params, expected, distortion):
    camera = Camera.from_colmap(model, 640, 480, params, dtype=F64)
    assert camera.model == expected
    assert camera.distortion.tolist() == distortion
    assert camera.size.tolist() == [640, 480]
    assert camera.c.tolist() == [319.5, 239.5]
    assert camera.f.tolist() == [500, 510 if params[1] == 510 else 500]


@pytest.mark.parametrize(
    "model, d, expected, distortion",
    [
        ("", [], "pinhole", []),
        ("", [0.0] * 5, "pinhole", []),
        ("plumb_bob", [], "pinhole", []),
        ("plumb_bob", [0.0] * 5, "pinhole", []),
        ("plumb_bob", [1, 2, 3, 4], "radtan", [1, 2, 3, 4]),
        ("plumb_bob", [1, 2, 3, 4, 0], "radtan", [1, 2, 3, 4]),
        ("plumb_bob", [1, 2, 3, 4, 5], "rational", [1, 2, 3, 4, 5, 0, 0, 0]),
        ("rational_polynomial", EIGHT, "rational", EIGHT),
        ("rational_polynomial", EIGHT + 4 * [0], "rational", EIGHT),
        ("rational_polynomial", EIGHT + 6 * [0], "rational", EIGHT),
        ("rational_polynomial", EIGHT + [1, 2, 3, 4], "prism", EIGHT + [1, 2, 3, 4, 0, 0]),
        ("rational_polynomial", EIGHT + 5 * [0] + [0.1], "prism", EIGHT + 5 * [0] + [0.1]),
        ("rational_polynomial", 8 * [0.0], "pinhole", []),
        ("equidistant", [1, 2, 3, 4], "equidistant", [1, 2, 3, 4]),
        ("equidistant", [0, 0, 0, 0], "equidistant", [0, 0, 0, 0]),
    ],
)
def test_ros(model, d, expected, distortion):
    camera = Camera.from_ros(model, 640, 480, K, d, dtype=F64)
    assert camera.model == expected
    assert camera.distortion.tolist() == distortion
    assert camera.f.tolist() == [500, 510] and camera.c.tolist() == [320, 240]


def test_ros_fields_may_be_arrays():
    import array

    import numpy as np

    d = array.array("d", [0.1, 0, 0, 0, 0])
    camera = Camera.from_ros("plumb_bob", 640, 480, np.array(K), d)
    assert camera.model == "radtan" and camera.dtype == torch.float32


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda: Camera.from_ros("brown", 640, 480, K, [1]), ["brown", "plumb_bob", "equidistant"]),
        (lambda: Camera.from_ros("plumb_bob", 640, 480, K, [1, 2, 3]), ["4 or 5", "got 3"]),
        (lambda: Camera.from_ros("equidistant", 640, 480, K, []), ["4 distortion", "got 0"]),
        (lambda: Camera.from_ros("rational_polynomial", 640, 480, K, EIGHT[:5]), ["8 or 12", "5"]),
        (lambda: Camera.from_ros("", 640, 480, [0.0] * 9, []), ["positive", "calibrated"]),
        (lambda: Camera.from_ros("", 640, 480, K[:4], []), ["9 values, got 4"]),
        (lambda: Camera.from_ros("plumb_bob", 640, 480, K, [float("nan")] * 5), ["finite"]),
        (
            lambda: Camera.from_colmap("THIN_PRISM_FISHEYE", 640, 480, [1] * 12),
            ["THIN_PRISM_FISHEYE", "OPENCV_FISHEYE"],
        ),
        (
            lambda: Camera.from_colmap("PINHOLE", 640, 480, [1, 2, 3]),
            ["fx, fy, cx, cy", "3 values"],
        ),
        (lambda: Camera.build("fisheye", (1, 1), (1, 1), (0, 0)), ["fisheye", "equidistant"]),
        (lambda: Camera.build("pinhole", (1, 1), (1,), (0, 0)), ["two values"]),
        (lambda: Camera.pinhole(0, 480, 1, 1, 0, 0), ["positive"]),
        (lambda: Camera.from_dict({"model": "pinhole"}), ["'size'", "model"]),
        (
            lambda: Camera.from_dict(dict(model="pinhole", size=3, f=1, c=1, distortion=[])),
            ["cannot be read"],
        ),
    ],
)
def test_errors_say_what_is_known(build, words):
    with pytest.raises(DataError) as error:
        build()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_dict_round_trip_is_exact_and_readable(dtype):
    camera = Camera.from_ros(
        "plumb_bob",
        1241,
        376,
        [718.856, 0, 607.1928, 0, 718.856, 185.2157, 0, 0, 1],
        [0.1, -0.2, 1e-5, 3e-4, 0.05],
        dtype=dtype,
    )
    data = json.loads(json.dumps(camera.to_dict()))
    assert data["f"] == [718.856, 718.856]
    again = Camera.from_dict(data, dtype)
    for name in ("size", "f", "c", "distortion", "max_radius2"):
        assert torch.equal(getattr(camera, name), getattr(again, name))
    assert again.model == "rational"


def test_stack_writes_all_cameras_in_the_richest_model():
    cameras = [
        Camera.pinhole(640, 480, 500, 510, 320, 240, dtype=F64),
        Camera.from_ros("plumb_bob", 640, 480, K, [0.1, 0.02, 0.001, 0.002], dtype=F64),
        Camera.from_ros("rational_polynomial", 640, 480, K, EIGHT, dtype=F64),
        Camera.from_ros("rational_polynomial", 640, 480, K, EIGHT + 6 * [0.01], dtype=F64),
    ]
    assert Camera.stack(cameras[:3]).model == "rational"
    rig = Camera.stack(cameras)
    assert rig.model == "prism" and rig.shape == (4,)
    together, valid, J = rig.project_with_jacobian(POINTS.expand(4, 3, 3))
    for i, camera in enumerate(cameras):
        alone, valid_alone, J_alone = camera.project_with_jacobian(POINTS)
        torch.testing.assert_close(together[i], alone, rtol=0, atol=1e-9)
        torch.testing.assert_close(J[i], J_alone, rtol=0, atol=1e-9)
        assert torch.equal(valid[i], valid_alone)
    with pytest.raises(DataError, match="equidistant"):
        Camera.stack([cameras[0], Camera.from_ros("equidistant", 640, 480, K, [0, 0, 0, 0])])

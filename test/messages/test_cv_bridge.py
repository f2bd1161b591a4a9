"""Where ROS is there: the same pixels as cv_bridge's, for every encoding that it converts."""

from __future__ import annotations

import importlib

import made
import numpy as np
import pytest

from pixloc_ros.messages.images import image_of

serialization = pytest.importorskip("rclpy.serialization")
cv_bridge = pytest.importorskip("cv_bridge")

PATTERNS = ("rggb", "bggr", "gbrg", "grbg")
CHANNELS = {
    **{f"{name}8": n for name, n in (("rgb", 3), ("bgr", 3), ("rgba", 4), ("bgra", 4))},
    **{f"{name}16": n for name, n in (("rgb", 3), ("bgr", 3), ("rgba", 4), ("bgra", 4))},
    **{f"bayer_{pattern}{bits}": 1 for pattern in PATTERNS for bits in (8, 16)},
    "mono8": 1,
    "mono16": 1,
    "yuv422": 2,
    "yuv422_yuy2": 2,
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", CHANNELS)
def test_as_cv_bridge(encoding, big):
    depth = np.uint16 if encoding.endswith("16") else np.uint8
    channels = CHANNELS[encoding]
    shape = (16, 20, channels) if channels > 1 else (16, 20)
    pixels = np.random.default_rng(3).integers(0, np.iinfo(depth).max + 1, shape, depth)
    message = made.image(encoding, pixels, 4, big)
    kind = importlib.import_module("sensor_msgs.msg").Image
    decoded = serialization.deserialize_message(made.cdr(message), kind)
    target = "mono8" if encoding.startswith("mono") else "rgb8"
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(decoded, target)
    np.testing.assert_array_equal(image_of(message), expected)

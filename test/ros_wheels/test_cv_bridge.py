"""cv_bridge in Python: memory layouts, encodings, errors."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv_bridge")
sensor_msgs = pytest.importorskip("sensor_msgs.msg")
from cv_bridge import CvBridge, CvBridgeError  # noqa: E402

Image = sensor_msgs.Image
BRIDGE = CvBridge()
RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "encoding"),
    [
        (COLOR, "bgr8"),
        (COLOR[..., 0], "mono8"),
        (RNG.integers(0, 65536, (5, 7), dtype=np.uint16), "mono16"),
        (RNG.random((4, 6), dtype=np.float32), "32FC1"),
        (RNG.random((4, 6, 2)), "64FC2"),
        (RNG.integers(0, 256, (4, 6, 4), dtype=np.uint8), "8UC4"),
    ],
)
def test_there_and_back(image, encoding):
    message = BRIDGE.cv2_to_imgmsg(image, encoding)
    assert (message.height, message.width) == image.shape[:2]
    assert message.step * message.height == len(message.data) == image.nbytes
    back = BRIDGE.imgmsg_to_cv2(message)
    assert back.dtype == image.dtype and np.array_equal(back, image)


def test_passthrough_names_the_type():
    assert BRIDGE.cv2_to_imgmsg(COLOR).encoding == "8UC3"
    assert BRIDGE.cv2_to_imgmsg(COLOR[..., 0]).encoding == "8UC1"


def test_step_with_padding():
    rows = np.zeros((6, 32), np.uint8)
    rows[:, :24] = COLOR.reshape(6, 24)
    message = Image(height=6, width=8, encoding="rgb8", step=32, data=rows.tobytes())
    assert np.array_equal(BRIDGE.imgmsg_to_cv2(message, "rgb8"), COLOR)
    assert np.array_equal(BRIDGE.imgmsg_to_cv2(message, "bgr8"), COLOR[..., ::-1])


def test_big_endian():
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
    message = Image(
        height=3,
        width=4,
        encoding="mono16",
        step=8,
        is_bigendian=1,
        data=values.astype(">u2").tobytes(),
    )
    image = BRIDGE.imgmsg_to_cv2(message)
    assert image.dtype == np.uint16 and image.dtype.isnative and np.array_equal(image, values)


def test_colours():
    message = BRIDGE.cv2_to_imgmsg(COLOR, "bgr8")
    assert np.array_equal(BRIDGE.imgmsg_to_cv2(message, "rgb8"), COLOR[..., ::-1])
    bgra = BRIDGE.imgmsg_to_cv2(message, "bgra8")
    assert np.array_equal(bgra[..., :3], COLOR) and (bgra[..., 3] == 255).all()
    gray = BRIDGE.imgmsg_to_cv2(message, "mono8").astype(float)
    assert np.allclose(gray, COLOR @ [0.114, 0.587, 0.299], atol=1)
    assert np.array_equal(BRIDGE.imgmsg_to_cv2(message, "8UC3"), COLOR)


def test_16_bit_to_8_bit_rescales():
    message = BRIDGE.cv2_to_imgmsg(np.full((2, 2), 65535, np.uint16), "mono16")
    assert (BRIDGE.imgmsg_to_cv2(message, "mono8") == 255).all()


@pytest.mark.parametrize(
    ("pattern", "corner"),
    [("rggb", (0, 0)), ("bggr", (1, 1)), ("gbrg", (1, 0)), ("grbg", (0, 1))],
)
def test_bayer(pattern, corner):
    """A red scene: only the red pixels of the pattern are bright."""
    raw = np.zeros((8, 8), np.uint8)
    raw[corner[0] :: 2, corner[1] :: 2] = 200
    message = BRIDGE.cv2_to_imgmsg(raw, f"bayer_{pattern}8")
    rgb = BRIDGE.imgmsg_to_cv2(message, "rgb8")[2:-2, 2:-2]
    assert (rgb[..., 0] > 190).all() and (rgb[..., 1:] < 10).all()


@pytest.mark.parametrize(("encoding", "luma"), [("yuv422", 1), ("yuv422_yuy2", 0)])
def test_yuv422(encoding, luma):
    raw = np.full((4, 6, 2), 128, np.uint8)
    raw[..., luma] = 235
    message = Image(height=4, width=6, encoding=encoding, step=12, data=raw.tobytes())
    assert (BRIDGE.imgmsg_to_cv2(message, "rgb8") > 250).all()


def test_compressed():
    packed = BRIDGE.cv2_to_compressed_imgmsg(COLOR, "png")
    assert packed.format == "png"
    assert np.array_equal(BRIDGE.compressed_imgmsg_to_cv2(packed), COLOR)
    assert np.array_equal(BRIDGE.compressed_imgmsg_to_cv2(packed, "rgb8"), COLOR[..., ::-1])


def test_errors():
    message = BRIDGE.cv2_to_imgmsg(COLOR, "bgr8")
    with pytest.raises(CvBridgeError, match="odd9"):
        BRIDGE.imgmsg_to_cv2(message, "odd9")
    with pytest.raises(CvBridgeError, match="no conversion"):
        BRIDGE.imgmsg_to_cv2(message, "8UC1")
    with pytest.raises(CvBridgeError, match="fit"):
        BRIDGE.cv2_to_imgmsg(COLOR, "mono8")
    message.data = message.data[:10]
    with pytest.raises(CvBridgeError, match="10 bytes"):
        BRIDGE.imgmsg_to_cv2(message)
    packed = BRIDGE.cv2_to_compressed_imgmsg(COLOR)
    packed.data = b"nonsense"
    with pytest.raises(CvBridgeError, match="decoded"):
        BRIDGE.compressed_imgmsg_to_cv2(packed)

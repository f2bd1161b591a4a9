"""Every encoding becomes the right picture, to the bit; every refusal says why."""

from __future__ import annotations

import cv2
import made
import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.messages.images import ENCODINGS, image_of

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
ALPHA = np.full((6, 8, 1), 9, np.uint8)

COLOURS = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "8UC3": RGB[..., ::-1],
    "rgba8": np.dstack([RGB, ALPHA]),
    "bgra8": np.dstack([RGB[..., ::-1], ALPHA]),
}
SIXTEEN = {
    name[:-1] + "16": array.astype(np.uint16) * 257
    for name, array in COLOURS.items()
    if name != "8UC3"
}
GRAYS = {"mono8": GRAY, "8UC1": GRAY}
GRAYS16 = {name: GRAY.astype(np.uint16) * 257 for name in ("mono16", "16UC1")}
PATTERNS = ("rggb", "bggr", "gbrg", "grbg")
BAYER = [f"bayer_{pattern}{bits}" for pattern in PATTERNS for bits in (8, 16)]
YUV = ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "nv24"]


def test_these_tests_know_every_encoding():
    names = [*COLOURS, *SIXTEEN, *GRAYS, *GRAYS16, *BAYER, *YUV]
    assert sorted(names) == sorted(ENCODINGS)


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("encoding", COLOURS)
def test_colours_become_rgb(read, encoding, padding):
    result = image_of(read(made.image(encoding, COLOURS[encoding], padding)))
    np.testing.assert_array_equal(result, RGB)


@pytest.mark.parametrize("encoding", GRAYS)
def test_gray_stays_gray(read, encoding):
    np.testing.assert_array_equal(image_of(read(made.image(encoding, GRAY, 3))), GRAY)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", [*SIXTEEN, *GRAYS16])
def test_sixteen_bits_become_eight_in_either_byte_order(read, encoding, big, padding):
    array = {**SIXTEEN, **GRAYS16}[encoding]
    result = image_of(read(made.image(encoding, array, padding, big)))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, RGB if array.ndim == 3 else GRAY)


def test_sixteen_bits_are_rounded_to_the_nearest(read):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(ramp / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(image_of(read(made.image("mono16", ramp))), expected)


def mosaic_of(colour, pattern: str, shape=(8, 10), dtype=np.uint8) -> np.ndarray:
    """What a sensor with this pattern (its four colours, row by row) sees of one colour."""
    mosaic = np.empty(shape, dtype)
    for k, name in enumerate(pattern):
        mosaic[k // 2 :: 2, k % 2 :: 2] = colour["rgb".index(name)]
    return mosaic


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_mosaics_become_colour(read, pattern, big):
    mosaic = mosaic_of((200, 100, 50), pattern)
    result = image_of(read(made.image(f"bayer_{pattern}8", mosaic, 5)))
    np.testing.assert_array_equal(result, np.broadcast_to([200, 100, 50], (8, 10, 3)))
    deep = image_of(read(made.image(f"bayer_{pattern}16", mosaic.astype(np.uint16) * 257, 4, big)))
    np.testing.assert_array_equal(deep, result)


def yuv(encoding: str, padding: int) -> tuple[object, np.ndarray]:
    """A message of a picture whose colour is the same in blocks of 2x2 pixels, and its Y, U, V."""
    rng = np.random.default_rng(1)
    y = rng.integers(16, 236, (6, 8), np.uint8)
    u, v = (rng.integers(90, 166, (3, 4), np.uint8) for _ in range(2))
    whole = np.stack([y, *(c.repeat(2, 0).repeat(2, 1) for c in (u, v))], axis=-1)
    if encoding in ("nv12", "nv21"):
        chroma = np.stack((u, v) if encoding == "nv12" else (v, u), axis=-1).reshape(3, 8)
        message = made.image(encoding, np.concatenate([y, chroma]), padding, height=6)
    elif encoding == "nv24":
        chroma = np.pad(whole[..., 1:].reshape(6, 16), ((0, 0), (0, 2 * padding)))
        data = np.concatenate([np.pad(y, ((0, 0), (0, padding))).ravel(), chroma.ravel()])
        message = made.image(encoding, y, data=data, step=8 + padding)
    else:
        chroma = np.empty_like(y)
        chroma[:, ::2], chroma[:, 1::2] = whole[:, ::2, 1], whole[:, ::2, 2]
        first_y = encoding in ("yuv422_yuy2", "yuyv")
        pixels = np.stack((y, chroma) if first_y else (chroma, y), axis=-1)
        message = made.image(encoding, pixels, padding)
    return message, whole


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", YUV)
def test_yuv_becomes_rgb(read, encoding, padding):
    message, whole = yuv(encoding, padding)
    result = image_of(read(message))
    # ITU-R BT.601 with 16..235 for luma
    y, u, v = np.moveaxis(whole.astype(float) - [16, 128, 128], -1, 0) * 255 / 219
    scale = 219 / 224
    rgb = np.stack(
        [
            y + 1.402 * scale * v,
            y - scale * (0.344136 * u + 0.714136 * v),
            y + 1.772 * scale * u,
        ],
        axis=-1,
    )
    assert np.abs(result - np.clip(rgb, 0, 255)).max() <= 1
    np.testing.assert_array_equal(result, image_of(read(yuv("yuyv", 0)[0])))


@pytest.mark.parametrize("encoding, array", [("rgb8", RGB), ("mono8", GRAY)])
def test_what_is_rgb_is_copied_only_where_it_cannot_be_written_to(read, encoding, array):
    message = read(made.image(encoding, array))
    data, result = np.frombuffer(message.data, np.uint8), image_of(message)
    assert np.shares_memory(result, data) == data.flags.writeable
    assert result.flags.writeable


@pytest.mark.parametrize(
    "message, words",
    [
        (made.image("32FC1", GRAY.astype(np.float32)), "32FC1.*known are rgb8"),
        (made.image("no_such_thing", GRAY), "no_such_thing"),
        (made.image("rgb8", RGB, data=np.zeros(20, np.uint8)), "20 bytes"),
        (made.image("rgb8", RGB, step=8), "8 bytes, too few"),
        (made.image("mono16", GRAY, step=8), "8 bytes, too few"),
        (made.image("rgb8", RGB, width=0, height=0), "empty"),
        (made.image("nv12", GRAY), "9 rows"),
        (made.image("nv24", GRAY), "18 rows"),
        (made.image("nv21", np.zeros((9, 8), np.uint8), height=6, step=4), "too few"),
        (made.image("yuyv", np.zeros((4, 5, 2), np.uint8)), "yuyv.*cannot be read"),
        (made.compressed("jpeg", bytes(40)), "jpeg.*40 bytes"),
        (made.compressed("jpeg", b""), "0 bytes"),
        (made.compressed("16UC1; compressedDepth png", bytes(40)), "compressedDepth"),
    ],
)
def test_what_is_no_picture_is_refused(read, message, words):
    with pytest.raises(DataError, match=words):
        image_of(read(message))


def png(array: np.ndarray) -> np.ndarray:
    """A file of pixels in the order that OpenCV writes (BGR, BGRA, gray)."""
    return cv2.imencode(".png", array)[1]


BGR = np.ascontiguousarray(RGB[..., ::-1])
MOSAIC = np.random.default_rng(2).integers(0, 256, (6, 8), dtype=np.uint8)
DEEP = MOSAIC.astype(np.uint16) * 257


@pytest.mark.parametrize(
    "image_format, pixels, expected",
    [
        ("png", BGR, RGB),
        ("png", GRAY, GRAY),
        ("png", np.dstack([BGR, ALPHA]), RGB),
        ("rgb8; png compressed bgr8", BGR, RGB),
        ("bgr8; png compressed bgr8", BGR, RGB),
        ("rgba8; png compressed bgr8", BGR, RGB),
        ("rgb8; png compressed rgb8", RGB, RGB),
        ("mono8; png compressed ", GRAY, GRAY),
        ("mono16; png compressed ", GRAY.astype(np.uint16) * 257, GRAY),
        ("16UC1; png compressed ", GRAY.astype(np.uint16) * 257, GRAY),
        ("rgb16; png compressed bgr16", BGR.astype(np.uint16) * 257, RGB),
        ("bayer_rggb8; png compressed bgr8", BGR, RGB),
    ],
)
def test_compressed_pictures(read, image_format, pixels, expected):
    result = image_of(read(made.compressed(image_format, png(pixels))))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bits, mosaic", [(8, MOSAIC), (16, DEEP)])
def test_a_compressed_mosaic_is_what_the_raw_one_is(read, pattern, bits, mosaic):
    encoding = f"bayer_{pattern}{bits}"
    raw = image_of(read(made.image(encoding, mosaic)))
    packed = image_of(read(made.compressed(f"{encoding}; png compressed ", png(mosaic))))
    assert packed.shape == (6, 8, 3)
    np.testing.assert_array_equal(packed, raw)


def test_a_mosaic_as_jpeg(read):
    mosaic = mosaic_of((120, 120, 120), "rggb", (16, 16))
    data = cv2.imencode(".jpg", mosaic)[1]
    for packing in ("bayer_rggb8; jpeg compressed ", "bayer_rggb16; jpeg compressed "):
        result = image_of(read(made.compressed(packing, data)))
        assert result.shape == (16, 16, 3) and np.abs(result.astype(int) - 120).max() <= 1
    colour = cv2.imencode(".jpg", np.full((16, 16, 3), (30, 60, 200), np.uint8))[1]
    result = image_of(read(made.compressed("bayer_rggb8; jpeg compressed bgr8", colour)))
    assert np.abs(result.astype(int) - (200, 60, 30)).max() <= 3

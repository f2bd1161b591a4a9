"""Pixels of sensor_msgs Image and CompressedImage, with OpenCV alone.

Names and layouts are those of ``sensor_msgs/image_encodings``, conversions those of cv_bridge; the
`format` of compressed images is what compressed_image_transport writes.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from pixloc_ros.core.errors import DataError


class _Layout(NamedTuple):
    """dtype: of a channel, without byte order. to_rgb: OpenCV's conversion to RGB, or None."""

    dtype: str
    channels: int
    to_rgb: int | None = None


# OpenCV names a mosaic after its second row and column; its newer, plainer names (BayerRGGB2RGB)
# are not in the OpenCV of Ubuntu 22.04.
_BAYER = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
_COLOURS = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, None),
    **{pattern: (1, code) for pattern, code in _BAYER.items()},
}
_UYVY = _Layout("u1", 2, cv2.COLOR_YUV2RGB_UYVY)
_YUYV = _Layout("u1", 2, cv2.COLOR_YUV2RGB_YUY2)
_LAYOUTS = {
    **{
        f"{name}{8 * size}": _Layout(f"u{size}", channels, code)
        for name, (channels, code) in _COLOURS.items()
        for size in (1, 2)
    },
    # Drivers that only name the layout mean gray and BGR, as OpenCV does.
    "8UC1": _Layout("u1", 1),
    "16UC1": _Layout("u2", 1),
    "8UC3": _Layout("u1", 3, cv2.COLOR_BGR2RGB),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
}
# Luma first, then the chroma of the whole image: OpenCV's conversion, and the rows of chroma (of
# `step` bytes each) for two rows of luma.
_PLANAR = {
    "nv12": (cv2.COLOR_YUV2RGB_NV12, 1),
    "nv21": (cv2.COLOR_YUV2RGB_NV21, 1),
    "nv24": (cv2.COLOR_YUV2RGB_NV12, 4),
}
ENCODINGS = (*_LAYOUTS, *_PLANAR)


def image_of(message) -> np.ndarray:
    """uint8 (H, W, 3) RGB, or (H, W) for gray images, of an Image or a CompressedImage.

    The array may be written to; 16 bits are scaled to 8 (65535 is 255). rgb8 and mono8 are copied
    only if the message cannot be written to (rosbags'). DataError: an encoding that is no picture,
    or data that is not what the message says.
    """
    if hasattr(message, "format"):
        return _decompressed(message)
    if message.width == 0 or message.height == 0:
        raise DataError(f"the image is empty ({message.width}x{message.height})")
    planar = _PLANAR.get(message.encoding)
    layout = _Layout("u1", 1) if planar else _LAYOUTS.get(message.encoding)
    if layout is None:
        raise DataError(
            f"images of encoding '{message.encoding}' cannot be read as a picture; known are "
            f"{', '.join(ENCODINGS)}"
        )
    if planar:
        return _converted(_planes(message, planar[1]), planar[0], message.encoding)
    pixels = _pixels(message, layout)
    if layout.to_rgb is not None:
        pixels = _converted(pixels, layout.to_rgb, message.encoding)
    pixels = _eight_bits(pixels)
    return pixels if pixels.flags.writeable else pixels.copy()


def _pixels(message, layout: _Layout) -> np.ndarray:
    """(H, W) or (H, W, channels) in this machine's byte order; a view where that is possible."""
    order = ">" if message.is_bigendian else "<"
    dtype = np.dtype(layout.dtype).newbyteorder(order)
    pixel = dtype.itemsize * layout.channels
    if message.step < message.width * pixel:
        raise DataError(
            f"the image's rows hold {message.step} bytes, too few for {message.width} "
            f"{message.encoding} pixels"
        )
    data = _data(message, message.height)
    shape, strides = (message.height, message.width), (message.step, pixel)
    if layout.channels > 1:
        shape, strides = (*shape, layout.channels), (*strides, dtype.itemsize)
    pixels = np.ndarray(shape, dtype, data, strides=strides)
    if message.step % dtype.itemsize:  # rows that OpenCV cannot take as they lie
        pixels = pixels.copy()
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def _planes(message, chroma_rows: int) -> np.ndarray:
    """Luma and half of its chroma rows below, (3 H / 2, W), as OpenCV takes them.

    It has no conversion for a chroma of its own for each pixel (4 rows for two of luma): the luma
    is doubled in both directions, and `_converted` leaves out what came of that.
    """
    height, width, step = message.height, message.width, message.step
    if step < width:
        raise DataError(f"the image's rows hold {step} bytes, too few for {width} luma values")
    data = _data(message, height + (height * chroma_rows + 1) // 2)
    luma = np.ndarray((height, width), np.uint8, data, strides=(step, 1))
    if chroma_rows == 1:
        chroma = np.ndarray(
            (height // 2, width), np.uint8, data, offset=step * height, strides=(step, 1)
        )
        return np.concatenate([luma, chroma])
    chroma = np.ndarray(
        (height, 2 * width), np.uint8, data, offset=step * height, strides=(2 * step, 1)
    )
    return np.concatenate([luma.repeat(2, axis=0).repeat(2, axis=1), chroma])


def _data(message, rows: int) -> np.ndarray:
    if len(message.data) < message.step * rows:
        raise DataError(
            f"the image holds {len(message.data)} bytes, but {rows} rows of "
            f"{message.step} bytes were announced"
        )
    return np.frombuffer(message.data, np.uint8)


def _converted(pixels: np.ndarray, code: int, encoding: str) -> np.ndarray:
    try:
        rgb = cv2.cvtColor(pixels, code)
    except cv2.error as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"an image of encoding '{encoding}' and shape {pixels.shape} cannot be read ({reason})"
        ) from error
    return np.ascontiguousarray(rgb[::2, ::2]) if encoding == "nv24" else rgb


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint16:
        return cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return pixels


def _decompressed(message) -> np.ndarray:
    """The picture as the file has it; a mosaic that was compressed as it is becomes colour.

    format: "jpeg", or "<encoding of the source>; jpeg compressed <encoding of the file>", where a
    missing encoding of the file means that of the source.
    """
    data = np.frombuffer(message.data, np.uint8)
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(data, flags) if data.size else None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"the compressed image (format '{message.format}', {data.size} bytes) cannot be "
            "decoded as a picture"
        )
    source, _, packing = message.format.partition(";")
    if picture.ndim == 2:
        mosaic = _BAYER.get(source.strip().rstrip("0123456789"))
        if mosaic is not None:
            picture = _converted(picture, mosaic, message.format)
    elif "compressed rgb" not in packing:  # else the file's red and blue are interchanged already
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return _eight_bits(picture)

"""Image encodings of `sensor_msgs/image_encodings` and the conversions between them."""

from __future__ import annotations

import re
from typing import NamedTuple

import cv2
import numpy as np


class Layout(NamedTuple):
    """How the pixels of an encoding lie in memory, and what colours its channels mean."""

    dtype: str  # NumPy type without byte order: 'u1', 'u2', 'f4' ...
    channels: int
    colors: str | None  # 'bgr', 'rgb', 'bgra', 'rgba', 'mono', 'yuv_yuy2', 'bayer_rg' ... or None


_NAMED = {
    f"{colors}{bits}": Layout(f"u{bits // 8}", channels, colors)
    for colors, channels in (("mono", 1), ("bgr", 3), ("rgb", 3), ("bgra", 4), ("rgba", 4))
    for bits in (8, 16)
}
_NAMED.update(
    {
        f"bayer_{pattern}{bits}": Layout(f"u{bits // 8}", 1, f"bayer_{pattern[:2]}")
        for pattern in ("rggb", "bggr", "gbrg", "grbg")
        for bits in (8, 16)
    }
)
_NAMED.update(
    yuv422=Layout("u1", 2, "yuv_uyvy"),
    uyvy=Layout("u1", 2, "yuv_uyvy"),
    yuv422_yuy2=Layout("u1", 2, "yuv_yuy2"),
    yuyv=Layout("u1", 2, "yuv_yuy2"),
)
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)(?:C(\d+))?$")
_GENERIC_TYPES = {
    "8U": "u1",
    "8S": "i1",
    "16U": "u2",
    "16S": "i2",
    "32S": "i4",
    "32F": "f4",
    "64F": "f8",
}

# OpenCV names a Bayer pattern after the second pixel of the second row.
_BAYER = {
    "bayer_rg": cv2.COLOR_BayerBG2BGR,
    "bayer_bg": cv2.COLOR_BayerRG2BGR,
    "bayer_gb": cv2.COLOR_BayerGR2BGR,
    "bayer_gr": cv2.COLOR_BayerGB2BGR,
}
_TO_BGR = {
    **_BAYER,
    "yuv_uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv_yuy2": cv2.COLOR_YUV2BGR_YUY2,
}
_BETWEEN = {
    ("mono", "bgr"): cv2.COLOR_GRAY2BGR,
    ("mono", "rgb"): cv2.COLOR_GRAY2RGB,
    ("mono", "bgra"): cv2.COLOR_GRAY2BGRA,
    ("mono", "rgba"): cv2.COLOR_GRAY2RGBA,
    ("bgr", "mono"): cv2.COLOR_BGR2GRAY,
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("bgr", "bgra"): cv2.COLOR_BGR2BGRA,
    ("bgr", "rgba"): cv2.COLOR_BGR2RGBA,
    ("rgb", "mono"): cv2.COLOR_RGB2GRAY,
    ("rgb", "bgr"): cv2.COLOR_RGB2BGR,
    ("rgb", "bgra"): cv2.COLOR_RGB2BGRA,
    ("rgb", "rgba"): cv2.COLOR_RGB2RGBA,
    ("bgra", "mono"): cv2.COLOR_BGRA2GRAY,
    ("bgra", "bgr"): cv2.COLOR_BGRA2BGR,
    ("bgra", "rgb"): cv2.COLOR_BGRA2RGB,
    ("bgra", "rgba"): cv2.COLOR_BGRA2RGBA,
    ("rgba", "mono"): cv2.COLOR_RGBA2GRAY,
    ("rgba", "bgr"): cv2.COLOR_RGBA2BGR,
    ("rgba", "rgb"): cv2.COLOR_RGBA2RGB,
    ("rgba", "bgra"): cv2.COLOR_RGBA2BGRA,
}


def layout_of(encoding: str) -> Layout | None:
    """The layout of an encoding's name, None if it is unknown."""
    if encoding in _NAMED:
        return _NAMED[encoding]
    match = _GENERIC.match(encoding)
    if match is None:
        return None
    return Layout(_GENERIC_TYPES[match[1]], int(match[2] or 1), None)


def generic_name(image: np.ndarray) -> str | None:
    """'8UC3' and the like for an array, None if ROS has no name for its type."""
    kind = f"{image.dtype.kind}{image.dtype.itemsize}"
    depth = next((name for name, dtype in _GENERIC_TYPES.items() if dtype == kind), None)
    channels = 1 if image.ndim == 2 else image.shape[2]
    return None if depth is None else f"{depth}C{channels}"


def convert(image: np.ndarray, source: Layout, target: Layout) -> np.ndarray | None:
    """`image` of the source layout in the target layout, None if there is no way.

    Colours only change between encodings that name them; 8 and 16 bit colours are rescaled.
    """
    if target.colors is None or source.colors is None:
        same = source.channels == target.channels
        return image.astype(target.dtype, copy=False) if same else None
    colors = source.colors
    if colors != target.colors and colors in _TO_BGR:
        image, colors = cv2.cvtColor(image, _TO_BGR[colors]), "bgr"
    if colors != target.colors:
        code = _BETWEEN.get((colors, target.colors))
        if code is None:
            return None
        image = cv2.cvtColor(image, code)
    if source.dtype != target.dtype:
        image = (image * 257.0 if target.dtype == "u2" else image / 257.0).round()
        image = image.astype(target.dtype)
    return image

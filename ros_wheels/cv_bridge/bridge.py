"""Conversion between image messages and NumPy arrays as OpenCV has them."""

from __future__ import annotations

import array
import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from ._encodings import Layout, convert, generic_name, layout_of


class CvBridgeError(TypeError):
    """An image cannot be converted as asked."""


def _layout(encoding: str) -> Layout:
    layout = layout_of(encoding)
    if layout is None:
        raise CvBridgeError(f"image encoding '{encoding}' is not known")
    return layout


class CvBridge:
    """Converts between `sensor_msgs/Image`, `CompressedImage` and arrays (H, W) or (H, W, C)."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """The pixels of a message, converted to `desired_encoding` unless 'passthrough'.

        Without conversion the array shares the message's memory. Raises `CvBridgeError`.
        """
        source = _layout(img_msg.encoding)
        order = ">" if img_msg.is_bigendian else "<"
        dtype = np.dtype(source.dtype).newbyteorder(order)
        pixel = dtype.itemsize * source.channels
        height, width, step = img_msg.height, img_msg.width, img_msg.step
        if step < width * pixel or len(img_msg.data) < step * height:
            raise CvBridgeError(
                f"a {width}x{height} image '{img_msg.encoding}' of step {step} "
                f"does not fit {len(img_msg.data)} bytes"
            )
        shape, strides = (height, width), (step, pixel)
        if source.channels > 1:
            shape, strides = (*shape, source.channels), (*strides, dtype.itemsize)
        image = np.ndarray(shape, dtype, buffer=img_msg.data, strides=strides)
        if not dtype.isnative:
            image = image.astype(dtype.newbyteorder("="))
        return self._converted(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str = "passthrough", header=None) -> Image:
        """A message of an array whose pixels already are in `encoding`.

        'passthrough' names it by its type ('8UC3'). Raises `CvBridgeError` if they do not agree.
        """
        if not isinstance(cvim, np.ndarray) or cvim.ndim not in (2, 3):
            raise CvBridgeError("an image is an array of 2 or 3 dimensions")
        name = generic_name(cvim)
        if encoding == "passthrough":
            encoding = name
        expected = _layout(encoding or str(cvim.dtype))
        if _layout(name or str(cvim.dtype))[:2] != expected[:2]:
            raise CvBridgeError(f"encoding '{encoding}' does not fit an image of type '{name}'")
        message = Image() if header is None else Image(header=header)
        message.height, message.width = cvim.shape[:2]
        message.encoding = encoding
        swapped = cvim.dtype.byteorder == ("<" if sys.byteorder == "big" else ">")
        message.is_bigendian = int(swapped != (sys.byteorder == "big"))
        message.step = message.width * cvim.dtype.itemsize * expected.channels
        message.data = array.array("B", cvim.tobytes())
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """The pixels of a compressed message, BGR or gray as the file says unless asked for."""
        packed = np.frombuffer(cmprs_img_msg.data, np.uint8)
        image = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED) if packed.size else None
        if image is None:
            raise CvBridgeError(f"compressed image '{cmprs_img_msg.format}' cannot be decoded")
        channels = 1 if image.ndim == 2 else image.shape[2]
        colors = {1: "mono", 3: "bgr", 4: "bgra"}[channels]
        return self._converted(image, f"{colors}{8 * image.itemsize}", desired_encoding)

    def cv2_to_compressed_imgmsg(
        self, cvim: np.ndarray, dst_format: str = "jpg"
    ) -> CompressedImage:
        """A BGR or gray array compressed as 'jpg', 'png' ..."""
        done, packed = cv2.imencode(f".{dst_format}", cvim)
        if not done:
            raise CvBridgeError(f"the image cannot be compressed as '{dst_format}'")
        return CompressedImage(format=dst_format, data=array.array("B", packed.tobytes()))

    @staticmethod
    def _converted(image: np.ndarray, encoding: str, desired: str) -> np.ndarray:
        if desired in ("passthrough", encoding):
            return image
        result = convert(image, _layout(encoding), _layout(desired))
        if result is None:
            raise CvBridgeError(f"no conversion from '{encoding}' to '{desired}'")
        return result

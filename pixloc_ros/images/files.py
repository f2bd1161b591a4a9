"""Image files, as the network takes them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.errors import DataError

#: A JPEG ends with its end marker; some cameras write a little behind it.
JPEG, END_OF_JPEG, TAIL = b"\xff\xd8", b"\xff\xd9", 4096


def read_image(path: str | Path) -> np.ndarray:
    """Image file -> uint8 (H, W, 3) RGB, or (H, W) when the file is gray.

    DataError: no such file, one that cannot be decoded or is cut off, or not 8 bits a channel.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: image is missing") from error
    except OSError as error:
        raise DataError(f"{path}: image cannot be read ({error.strerror})") from error
    # OpenCV fills what is missing of a JPEG with gray and says nothing.
    if content.startswith(JPEG) and END_OF_JPEG not in content[-TAIL:]:
        raise DataError(f"{path}: image is cut off; copy it again or leave it out")
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    if image is None:
        raise DataError(f"{path}: image cannot be decoded")
    if image.dtype != np.uint8:
        raise DataError(f"{path}: {image.dtype} image; convert it to 8 bits a channel")
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., 2::-1])

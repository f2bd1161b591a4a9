"""Image files, as the network takes them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pixloc_ros.core.errors import DataError


def read_image(path: str | Path) -> np.ndarray:
    """Image file -> uint8 (H, W, 3) RGB, or (H, W) when the file is gray."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        state = "cannot be decoded" if Path(path).is_file() else "is missing"
        raise DataError(f"{path}: image {state}")
    if image.dtype != np.uint8:
        raise DataError(f"{path}: {image.dtype} image; convert it to 8 bits a channel")
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., 2::-1])

"""Changes to a query image: what lies between the day a map was made and the day it is used.

Independent of what training does to its images. Lengths are for an image 1226 px wide (KITTI) and
are scaled with the image. Every function takes float32 (H, W) gray or (H, W, 3) RGB in [0, 1] and
a random generator, and may return values out of range. A camera's pose is not moved by any of them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

NOMINAL_SIZE = (1226, 370)
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def apply(image: np.ndarray, change: str, random: np.random.Generator) -> np.ndarray:
    """A uint8 image under the change of that name, as uint8."""
    changed = CHANGES[change](image.astype(np.float32) / 255, random)
    return _to_uint8(changed)


def light_field(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Light that varies smoothly over the image, from a quarter to twice."""
    return image * _per_pixel(image, 2.0 ** _smooth(image, random, -2.0, 1.0))


def illumination(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another camera response, exposure, colour of light, light field, and cast shadows."""
    image = image ** (2.0 ** random.uniform(-0.6, 0.6))
    image = image * 2.0 ** random.uniform(-0.5, 0.5)
    if image.ndim == 3:
        image = image * 2.0 ** random.uniform(-0.35, 0.35, 3).astype(np.float32)
    image = light_field(image, random)
    return image * _per_pixel(image, _shadows(image, random))


def night(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Dark with deep shadows, lamps with their glow, and the noise of a high gain."""
    image = 0.4 * image**2.5 + _lamps(image, random)
    sigma = np.sqrt(0.012**2 + 0.0015 * np.clip(image, 0, 1))
    return image + sigma * random.standard_normal(image.shape, np.float32)


def motion_blur(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A turn of the camera while the shutter is open: 21 px along the rows."""
    length = 2 * round((21 * _width_scale(image) - 1) / 2) + 1
    return cv2.blur(image, (length, 1), borderType=cv2.BORDER_REPLICATE)


def occlusion(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Six boxes of 250x150 px, of one colour each with a little texture, anywhere."""
    height, width = image.shape[:2]
    scale = np.sqrt(height * width / np.prod(NOMINAL_SIZE))
    w, h = round(250 * scale), round(150 * scale)
    image = image.copy()
    for _ in range(6):
        x, y = random.integers(0, width - w + 1), random.integers(0, height - h + 1)
        colour = random.uniform(0.1, 0.8, image.shape[2:])
        texture = random.uniform(-0.1, 0.1, (6, 8)).astype(np.float32)
        texture = cv2.resize(texture, (w, h), interpolation=cv2.INTER_LINEAR)
        image[y : y + h, x : x + w] = colour + _per_pixel(image, texture)
    return image


def jpeg_defocus(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Out of focus by a disk of 3 px radius, then JPEG of quality 20."""
    radius = 3 * _width_scale(image)
    reach = np.arange(-np.ceil(radius), np.ceil(radius) + 1)
    disk = np.clip(radius + 0.5 - np.hypot(reach[:, None], reach), 0, 1)
    blurred = cv2.filter2D(image, -1, disk / disk.sum(), borderType=cv2.BORDER_REPLICATE)
    _, data = cv2.imencode(".jpg", _to_uint8(blurred), [cv2.IMWRITE_JPEG_QUALITY, 20])
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED).astype(np.float32) / 255


CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (light_field, illumination, night, motion_blur, occlusion, jpeg_defocus)
}


def _smooth(image: np.ndarray, random: np.random.Generator, low: float, high: float) -> np.ndarray:
    """(H, W): a random field without detail, its values in low ... high and reaching both."""
    height, width = image.shape[:2]
    field = random.standard_normal((4, 7)).astype(np.float32)
    field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    return low + (high - low) * (field - field.min()) / np.ptp(field)


def _shadows(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(H, W): factors of three overlapping shadows with edges of a few pixels."""
    height, width = image.shape[:2]
    shade = np.ones((height, width), np.float32)
    for _ in range(3):
        centre = random.uniform(0, 1, 2) * (width, height)
        corners = centre + random.uniform(-0.3, 0.3, (5, 2)) * (width, 1.5 * height)
        mask = np.zeros((height, width), np.float32)
        cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 1.0)
        mask = cv2.GaussianBlur(mask, (0, 0), 4 * _width_scale(image))
        shade *= 1 - mask * random.uniform(0.4, 0.7)
    return shade


def _lamps(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Light of five warm lamps in the upper half, a bright core and a wide glow each."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    light = np.zeros((height, width), np.float32)
    for _ in range(5):
        u, v = random.uniform(0, width), random.uniform(0, 0.5 * height)
        squared = ((x - u) ** 2 + (y - v) ** 2) / (width * random.uniform(0.005, 0.012)) ** 2
        light += np.exp(-squared) + 0.35 / (1 + squared / 16) ** 1.5
    return light if image.ndim == 2 else light[..., None] * np.array([1.0, 0.85, 0.6], np.float32)


def _width_scale(image: np.ndarray) -> float:
    return image.shape[1] / NOMINAL_SIZE[0]


def _per_pixel(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (h, w) so that they broadcast against the image's channels."""
    return values if image.ndim == 2 else values[..., None]


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)

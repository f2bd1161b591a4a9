"""What a benchmark condition is: a changed query image, a prior, and how many references remain.

The changes of a query image are what lies between the day a map was made and the day it is used;
they are independent of what training does to its images. Lengths are for an image 1226 px wide
(KITTI) and are scaled with the image. Every function of `CHANGES` takes float32 (H, W) gray or
(H, W, 3) RGB in [0, 1] and a random generator, and may return values out of range. A camera's pose
is not moved by any of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pixloc_ros.evaluation.benchmark.priors import Disturbance

#: Size (px) that the lengths below are for.
NOMINAL_SIZE = (1226, 370)
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

#: Of the map's references a sparse condition keeps one in so many. On the KITTI clips, whose maps
#: are made of every 5th frame, that leaves every 20th frame.
SPARSE = 4
DEFAULT_PRIOR = Disturbance(1.5, 4.0)


@dataclass(frozen=True)
class Condition:
    """One row of the table.

    change: name of the change to the query image, see `CHANGES`; None leaves it alone.
    prior: how far off the start is, and how uncertain it is said to be; None: nobody says where the
    image was taken, which only some methods can do. keep_every: the map keeps
    one in so many of its references. from_nearest: the start is the pose of the nearest reference
    that was kept; `prior` is then only what it is said to be uncertain by.
    """

    name: str
    title: str
    change: str | None = None
    prior: Disturbance | None = DEFAULT_PRIOR
    keep_every: int = 1
    from_nearest: bool = False


CONDITIONS = (
    Condition("clean", "clean"),
    Condition("sparse", "1 reference in 4", keep_every=SPARSE),
    Condition(
        "nearest",
        "1 reference in 4, start at nearest",
        None,
        Disturbance(5.0, 4.0),
        SPARSE,
        from_nearest=True,
    ),
    Condition("light_field", "light field x0.25-2", "light_field"),
    Condition("illumination", "illumination", "illumination"),
    Condition("night", "night", "night"),
    Condition("blur", "motion blur 21 px", "motion_blur"),
    Condition("occlusion", "occlusion 30 %", "occlusion"),
    Condition("jpeg_defocus", "JPEG and defocus", "jpeg_defocus"),
    Condition("prior_3m", "prior 3 m / 8 deg", prior=Disturbance(3.0, 8.0)),
    Condition("prior_5m", "prior 5 m / 12 deg", prior=Disturbance(5.0, 12.0)),
    Condition("prior_20m", "prior 20 m / 60 deg", prior=Disturbance(20.0, 60.0)),
    Condition("no_prior", "no prior", prior=None),
    *(
        Condition(f"no_prior_{change or 'sparse'}", f"no prior, {title}", change, None, keep)
        for change, title, keep in (
            (None, "1 reference in 4", SPARSE),
            ("illumination", "illumination", 1),
            ("night", "night", 1),
            ("motion_blur", "motion blur 21 px", 1),
            ("occlusion", "occlusion 30 %", 1),
        )
    ),
)

BASIN_METRES = (0.5, 1.0, 2.0, 3.0, 5.0)
BASIN_DEGREES = (0.0, 4.0, 8.0, 12.0)


def basin_condition(metres: float, degrees: float) -> Condition:
    """Clean images from starts off by that much: one cell of the convergence-basin plot."""
    prior = Disturbance(metres, degrees)
    return Condition(f"basin {metres:g}/{degrees:g}", f"basin {prior}", prior=prior)


BASIN = tuple(basin_condition(m, deg) for m in BASIN_METRES for deg in BASIN_DEGREES)


def changed(image: np.ndarray, change: str | None, query: str, seed: int) -> np.ndarray:
    """The query image (uint8) under a change; the same for the same query, change and seed."""
    if change is None:
        return image
    return _to_uint8(CHANGES[change](image.astype(np.float32) / 255, _random(query, seed, change)))


def start_pose(
    condition: Condition, T_map_cam: np.ndarray, query: str, seed: int
) -> np.ndarray | None:
    """The true pose T_map_cam (4, 4), disturbed: in every condition in the query's own direction.

    Methods and conditions are thereby compared on the same starts. None without a prior.
    """
    if condition.prior is None:
        return None
    return condition.prior.apply(T_map_cam, _random(query, seed, "prior"))


def _random(query: str, seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(query.encode()), zlib.crc32(purpose.encode())])


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

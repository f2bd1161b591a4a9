"""What a benchmark condition is: a changed query image, a prior, and how many references remain."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from pixloc_ros.evaluation.benchmark.priors import Disturbance
from pixloc_ros.evaluation.benchmark.robustness import changes

#: Of the map's references a sparse condition keeps one in so many. On the KITTI clips, whose maps
#: are made of every 5th frame, that leaves every 20th frame.
SPARSE = 4
DEFAULT_PRIOR = Disturbance(1.5, 4.0)


@dataclass(frozen=True)
class Condition:
    """One row of the table.

    change: name of the change to the query image, see `changes.CHANGES`; None leaves it alone.
    prior: how far off the start is, and how uncertain it is said to be. keep_every: the map keeps
    one in so many of its references. from_nearest: the start is the pose of the nearest reference
    that was kept; `prior` is then only what it is said to be uncertain by.
    """

    name: str
    title: str
    change: str | None = None
    prior: Disturbance = DEFAULT_PRIOR
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
    return changes.apply(image, change, _random(query, seed, change))


def start_pose(condition: Condition, T_map_cam: np.ndarray, query: str, seed: int) -> np.ndarray:
    """The true pose T_map_cam (4, 4), disturbed: in every condition in the query's own direction.

    Methods and conditions are thereby compared on the same starts.
    """
    return condition.prior.apply(T_map_cam, _random(query, seed, "prior"))


def _random(query: str, seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(query.encode()), zlib.crc32(purpose.encode())])

"""What goes into the localizer and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pixloc_ros.core.geometry.camera import Camera


@dataclass(frozen=True)
class Frame:
    """One camera image with all that is known about it.

    stamp_ns: time of exposure, integer nanoseconds. image: uint8, (H, W, 3) RGB or (H, W) gray.
    camera: intrinsics for that image size. T_base_cam: (4, 4) float64, camera optical frame
    (x right, y down, z forward) in the robot's base frame, metres.
    """

    stamp_ns: int
    image: np.ndarray
    camera: Camera
    T_base_cam: np.ndarray


@dataclass(frozen=True)
class Place:
    """Where a robot may be: what a fix starts from.

    T_map_base (4, 4) and its covariance (6, 6) in ROS order. found: in the whole map by its looks,
    not carried on from a pose that was known.
    """

    T_map_base: np.ndarray
    covariance: np.ndarray
    found: bool = False


@dataclass(frozen=True)
class PointView:
    """The aligned map points as they fall into an image, for drawing.

    pixels (N, 2) in the pixels of the input image; residual (N,) norm of the feature residual;
    confidence (N,) of the reference on the finest level; valid (N,) bool, used in the alignment.
    """

    pixels: np.ndarray
    residual: np.ndarray
    confidence: np.ndarray
    valid: np.ndarray


class CameraError(NamedTuple):
    """What an image says of its own camera, with standard deviations; shares of the focal length.

    focal: logarithm of the true focal length over the one said. x, y: how far to the right and
    below the true principal point lies.
    """

    focal: float
    x: float
    y: float
    focal_std: float
    x_std: float
    y_std: float


@dataclass(frozen=True)
class Fix:
    """Where the map says that the robot is, with the evidence for and against it.

    Covariances (6, 6) are in ROS order (x, y, z, rotation about x, y, z; map axes, at the base;
    m, rad).

    failure: why there is no pose, else empty; the pose then means nothing.
    T_map_base (4, 4) and covariance: image and prior together. image_covariance: what the image
    alone says, for a filter that has the prior already.
    place: which of several priors the pose belongs to.
    update (6,): error of that prior against the result, position (m) and rotation vector (rad).
    num_points: map points that took part; num_inliers: those with a small feature residual.
    cost: mean robust feature cost of the points.
    converged: the last step was below the tolerances. step_left: length (m) and angle (rad) of
    the undamped step that the pose is away from rest; image_step: the same for the image alone,
    which a prior that is wrong keeps from its place.
    share, chance_share: of the best points, how many are inliers on the finest level, here and at
    the best of some random poses about it; residual, chance_residual: their median residual here,
    and the mean of it at random poses. crosscheck: how far (px of the network's input) the points
    move, in the median, to where either half of them comes to rest alone from another start.
    probability: that the fix is right, by the checkpoint's
    model; NaN where it has none.
    score: sum of the robust weights of the points; runner_up: score of the best other pose of the
    search that came to rest elsewhere (further away than a single start reaches), 0 if there is
    none. hypotheses: starting poses, all places together.
    views: the points in each image, and cameras: what each says of its camera, if asked for.
    timings_ms: "network", "points", "align",
    "total".
    """

    T_map_base: np.ndarray
    covariance: np.ndarray
    image_covariance: np.ndarray
    failure: str = ""
    place: int = 0
    update: np.ndarray = field(default_factory=lambda: np.full(6, np.nan))
    num_points: int = 0
    num_inliers: int = 0
    cost: float = float("nan")
    converged: bool = False
    step_left: tuple[float, float] = (float("nan"), float("nan"))
    image_step: tuple[float, float] = (float("nan"), float("nan"))
    share: float = float("nan")
    chance_share: float = float("nan")
    residual: float = float("nan")
    chance_residual: float = float("nan")
    crosscheck: float = float("nan")
    probability: float = float("nan")
    score: float = 0.0
    runner_up: float = 0.0
    hypotheses: int = 0
    views: tuple[PointView, ...] = ()
    cameras: tuple[CameraError, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def none(
        cls, failure: str = "not localized", timings_ms: dict[str, float] | None = None
    ) -> Fix:
        """No pose, only the reason."""
        unknown = np.diag(np.full(6, np.inf))
        return cls(np.full((4, 4), np.nan), unknown, unknown, failure, timings_ms=timings_ms or {})

    @property
    def correction(self) -> tuple[float, float]:
        """Distance (m) and angle (rad) from prior to result."""
        return float(np.linalg.norm(self.update[:3])), float(np.linalg.norm(self.update[3:]))

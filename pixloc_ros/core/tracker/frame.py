"""What goes into the tracker and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

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


class TrackState(str, Enum):
    """How far the pose can be trusted."""

    UNINITIALIZED = "uninitialized"  # nobody said yet where the robot is
    TRACKING = "tracking"  # the last frame was aligned with the map and passed the gates
    COASTING = "coasting"  # the pose is carried by odometry alone; its covariance grows
    LOST = "lost"  # carried too far: no pose is given out


@dataclass(frozen=True)
class PointView:
    """The aligned map points as they fall into the input image, for drawing.

    pixels (N, 2) in the pixels of the input image; residual (N,) norm of the feature residual;
    confidence (N,) product of both confidences; valid (N,) bool, used in the alignment.
    """

    pixels: np.ndarray
    residual: np.ndarray
    confidence: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class FrameResult:
    """Everything worth saying about one frame.

    T_map_base (4, 4) and covariance (6, 6) are given while tracking or coasting, else None. The
    covariance is in ROS order (x, y, z, rotation about x, y, z; map axes, at the base; m, rad).
    T_map_odom is the correction that explains T_map_base with the odometry at the stamp.
    accepted: the alignment of this very frame passed all gates; otherwise `reasons` says why not.
    cost: mean robust feature cost of the aligned points. correction: distance (m) and angle (rad)
    between the prior and the aligned pose. timings_ms: "network", "points", "align", "total".
    """

    stamp_ns: int
    state: TrackState
    accepted: bool = False
    T_map_base: np.ndarray | None = None
    covariance: np.ndarray | None = None
    T_map_odom: np.ndarray | None = None
    reasons: tuple[str, ...] = ()
    num_points: int = 0
    num_inliers: int = 0
    cost: float = float("nan")
    correction: tuple[float, float] = (float("nan"), float("nan"))
    timings_ms: dict[str, float] = field(default_factory=dict)
    view: PointView | None = None

"""What the tracker says about a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from pixloc_ros.core.frame import Fix


class TrackState(str, Enum):
    """How far the pose can be trusted."""

    UNINITIALIZED = "uninitialized"  # nobody said yet where the robot is
    STARTING = "starting"  # a pose was given; no pose is given out until fixes confirm it
    TRACKING = "tracking"  # the last frame was aligned with the map and passed the gates
    COASTING = "coasting"  # the pose is carried by odometry alone; its covariance grows
    LOST = "lost"  # carried too far: no pose is given out


@dataclass(frozen=True)
class FrameResult:
    """Everything worth saying about one frame.

    T_map_base (4, 4) and covariance (6, 6) are given while tracking or coasting, else None. The
    covariance is in ROS order (x, y, z, rotation about x, y, z; map axes, at the base; m, rad).
    T_map_odom is the correction that explains T_map_base with the odometry at the stamp.
    accepted: the fix of this very frame passed all gates, and others confirm it where tracking
    begins; otherwise `reasons` says why not.
    fix: what the localizer found, with its evidence; empty where there was no prior to start from.
    camera_suspicion: what seems to be wrong with a camera's calibration, or nothing.
    odometry_suspicion: what seems to be wrong with odometry, or nothing.
    """

    stamp_ns: int
    state: TrackState
    accepted: bool = False
    T_map_base: np.ndarray | None = None
    covariance: np.ndarray | None = None
    T_map_odom: np.ndarray | None = None
    reasons: tuple[str, ...] = ()
    fix: Fix = field(default_factory=Fix.none)
    camera_suspicion: str = ""
    odometry_suspicion: str = ""

"""Frame-to-map tracking: prior -> points -> alignment -> gates -> state -> FrameResult."""

from pixloc_ros.core.tracker.config import TrackerConfig
from pixloc_ros.core.tracker.frame import Frame, FrameResult, PointView, TrackState
from pixloc_ros.core.tracker.odometry import OdometryBuffer, OdometryBufferConfig
from pixloc_ros.core.tracker.tracker import Tracker

__all__ = [
    "Frame",
    "FrameResult",
    "OdometryBuffer",
    "OdometryBufferConfig",
    "PointView",
    "TrackState",
    "Tracker",
    "TrackerConfig",
]

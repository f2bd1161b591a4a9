"""Where the robot is between and after fixes: odometry, fixes and gates -> state -> FrameResult."""

from pixloc_ros.core.tracker.config import TrackerConfig
from pixloc_ros.core.tracker.gates import GateConfig, judge
from pixloc_ros.core.tracker.odometry import OdometryBuffer, OdometryBufferConfig
from pixloc_ros.core.tracker.result import FrameResult, TrackState
from pixloc_ros.core.tracker.tracker import Prediction, Tracker

__all__ = [
    "FrameResult",
    "GateConfig",
    "OdometryBuffer",
    "OdometryBufferConfig",
    "Prediction",
    "TrackState",
    "Tracker",
    "TrackerConfig",
    "judge",
]

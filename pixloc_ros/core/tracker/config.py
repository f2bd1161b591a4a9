"""Settings of the tracker. Every default is written here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

from pixloc_ros.core.tracker.camera import CameraWatchConfig
from pixloc_ros.core.tracker.gates import GateConfig
from pixloc_ros.core.tracker.motion import OdometryNoise
from pixloc_ros.core.tracker.odometry import OdometryBufferConfig
from pixloc_ros.core.tracker.odometry_watch import OdometryWatchConfig


@dataclass(frozen=True)
class TrackerConfig:
    """What the tracker believes of a fix, and of odometry."""

    gates: GateConfig = field(default_factory=GateConfig)
    camera_watch: CameraWatchConfig = field(default_factory=CameraWatchConfig)
    odometry_noise: OdometryNoise = field(default_factory=OdometryNoise)
    odometry_buffer: OdometryBufferConfig = field(default_factory=OdometryBufferConfig)
    odometry_watch: OdometryWatchConfig = field(default_factory=OdometryWatchConfig)

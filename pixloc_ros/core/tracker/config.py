"""Settings of the tracker. Every default is written here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pixloc_ros.core.alignment import AlignerConfig
from pixloc_ros.core.initializer import InitializerConfig
from pixloc_ros.core.tracker.gates import GateConfig
from pixloc_ros.core.tracker.motion import OdometryNoise
from pixloc_ros.core.tracker.odometry import OdometryBufferConfig


@dataclass(frozen=True)
class TrackerConfig:
    """point_budget: most map points aligned in a frame. max_keyframes: reference keyframes whose
    points are drawn on. resize: longer side (px) of the image fed to the network, 0 = as the map
    was built. use_prior: let the odometry prior pull on the alignment with its own covariance.
    covariance_scale: factor on the alignment's covariance, to calibrate it on recorded drives.
    map_std_m, map_std_deg: error of the map itself and of the calibration, which no single frame
    can see; added to the covariance. The default is that of a map from RTK poses; for one from
    exact poses, 0 (docs/fusion.md has the consistency measured with both).
    search_std_m, search_std_deg: what a single starting pose can take; a prior less certain than
    either is searched with many.
    """

    point_budget: int = 512
    max_keyframes: int = 4
    resize: int = 0
    use_prior: bool = True
    covariance_scale: float = 1.0
    map_std_m: float = 0.01
    map_std_deg: float = 0.03
    search_std_m: float = 0.5
    search_std_deg: float = 3.0
    aligner: AlignerConfig = field(default_factory=AlignerConfig)
    initializer: InitializerConfig = field(default_factory=InitializerConfig)
    gates: GateConfig = field(default_factory=GateConfig)
    odometry_noise: OdometryNoise = field(default_factory=OdometryNoise)
    odometry_buffer: OdometryBufferConfig = field(default_factory=OdometryBufferConfig)

    def prior_width(self, covariance: np.ndarray) -> float:
        """Largest std of a prior (6, 6), in ROS order, over what a single start can take."""
        std = np.sqrt(np.diag(covariance))
        return float(
            max(std[:3].max() / self.search_std_m, np.degrees(std[3:].max()) / self.search_std_deg)
        )

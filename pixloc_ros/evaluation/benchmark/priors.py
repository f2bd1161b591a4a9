"""How far off may a starting pose be? Every frame alone, from a prior off by a known amount."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pixloc_ros.core.frame import Fix, Frame
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import GateConfig, judge
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.evaluation.metrics import Metrics, evaluate_track
from pixloc_ros.evaluation.trajectory import Track


@dataclass(frozen=True)
class Disturbance:
    """Length of the shift in metres and angle of the turn in degrees; directions are random."""

    metres: float
    degrees: float

    def __str__(self) -> str:
        return f"{self.metres:g} m / {self.degrees:g} deg"

    def covariance(self) -> np.ndarray:
        """(6, 6) in ROS order; a disturbance of that length has this variance along each axis."""
        sigma = np.repeat([self.metres, np.radians(self.degrees)], 3) / np.sqrt(3)
        return np.diag(np.maximum(sigma, 1e-4) ** 2)

    def apply(self, T_map_cam: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Shift the camera's centre, and turn the camera about it: exactly the stated amounts."""
        shift, axis = random.normal(size=(2, 3))
        shift *= self.metres / np.linalg.norm(shift)
        axis *= np.radians(self.degrees) / np.linalg.norm(axis)
        disturbed = T_map_cam @ transforms.exp(np.concatenate([np.zeros(3), axis]))
        disturbed[:3, 3] += shift
        return disturbed


def single_start(
    config: LocalizerConfig, aligner: Mapping[str, Any] | None = None
) -> LocalizerConfig:
    """Never a search and no prior in the cost; aligner: further settings of the alignment."""
    search = replace(config.search, std_m=math.inf, std_deg=math.inf)
    aligner = {**config.aligner, **(aligner or {})}
    return replace(config, use_prior=False, search=search, aligner=aligner)


def localize_frame(
    localizer: Localizer,
    drive: Drive,
    i: int,
    T_map_cam: np.ndarray,
    disturbance: Disturbance,
    gates: GateConfig = GateConfig(),
) -> tuple[Fix, tuple[str, ...]]:
    """Frame i of a drive by itself, from a pose that is off by about the disturbance: the fix, and
    the gates' reasons against it."""
    frame = Frame(int(drive.stamps_ns[i]), drive.image(i), drive.camera, drive.T_base_cam)
    prior = T_map_cam @ transforms.inverse(drive.T_base_cam)
    covariance = disturbance.covariance()
    fix = localizer.localize(localizer.look(frame.image), frame, prior, covariance)
    return fix, judge(gates, fix, covariance)


def localize_from_disturbed(
    localizer: Localizer,
    drive: Drive,
    disturbance: Disturbance,
    gates: GateConfig = GateConfig(),
    seed: int = 0,
    progress: Progress | None = None,
) -> Metrics:
    """Localize every frame of a drive by itself, from a disturbed pose with a covariance of that
    size. Fixes that do not pass the gates count as missed."""
    random = np.random.default_rng(seed)
    poses = np.full((len(drive), 4, 4), np.nan)
    latencies = np.full(len(drive), np.nan)
    for i in range(len(drive)):
        prior = disturbance.apply(drive.T_map_cam[i], random)
        fix, reasons = localize_frame(localizer, drive, i, prior, disturbance, gates)
        latencies[i] = fix.timings_ms["total"]
        if not reasons:
            poses[i] = fix.T_map_base
        if progress:
            progress(i + 1, len(drive), f"priors {disturbance}")
    found = np.isfinite(poses).all(axis=(1, 2))
    return evaluate_track(
        Track(str(disturbance), drive.stamps_ns, poses, found, latencies_ms=latencies), drive
    )

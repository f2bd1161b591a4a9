"""What wrong settings of the filter look like: the pictures of docs/fusion.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixloc_ros.evaluation.fusion.recording import Recording, delayed, with_outage, with_outliers
from pixloc_ros.evaluation.fusion.run import FusionRun, run_filter
from pixloc_ros.evaluation.fusion.settings import read_settings

#: What the study adds to a recording: latency (s), share of wrong poses, an outage (s from start).
DELAY, OUTLIERS, OUTAGE = 0.4, 0.1, (8.5, 18.5)
_POSE_AND_TWIST = [True] * 12 + [False] * 3


@dataclass(frozen=True)
class Mistake:
    """One wrong setting: `changes` of the parameters, and what that does in a sentence."""

    name: str
    title: str
    changes: dict[str, Any]


MISTAKES = (
    Mistake(
        "lag",
        "smooth_lagged_data: false: the estimate lags by the latency",
        {"smooth_lagged_data": False},
    ),
    Mistake(
        "history",
        "history_length: 0.2, shorter than the latency: the estimate lags by the rest",
        {"history_length": 0.2},
    ),
    Mistake(
        "no_gate",
        "no pose0_rejection_threshold: every wrong pose is accepted",
        {"pose0_rejection_threshold": 1e9},
    ),
    Mistake(
        "stiff",
        "process noise 1000 times too small: drift exceeds it, good poses are refused",
        {"process_noise_covariance": [5e-7] * 3 + [1e-8] * 3 + [0.5] * 3 + [0.25] * 3 + [1e-6] * 3},
    ),
    Mistake(
        "loose",
        "process noise 1000 times too large: each pose replaces the estimate, few are refused",
        {"process_noise_covariance": [0.5] * 3 + [1e-2] * 3 + [0.5] * 3 + [0.25] * 3 + [1e-6] * 3},
    ),
    Mistake(
        "start",
        "initial_estimate_covariance left at 1e-9: the first pose is refused as an outlier",
        {"initial_estimate_covariance": [1e-9] * 15},
    ),
    Mistake(
        "twice",
        "the odometry's pose fused beside its twist: it contradicts the localizer's",
        {"odom0_config": _POSE_AND_TWIST},
    ),
)


def disturbed(recording: Recording) -> Recording:
    """The recording with the study's latency, wrong poses and outage."""
    return with_outage(with_outliers(delayed(recording, DELAY), OUTLIERS), *OUTAGE)


def study(
    recording: Recording, parameters: Path, node: str
) -> Iterator[tuple[str, list[tuple[str, FusionRun]]]]:
    """(name, titled runs: as configured, and with the mistake) for each of `MISTAKES`."""
    hard = disturbed(recording)
    right = ("as configured", run_filter(read_settings(parameters, node), hard))
    yield "right", [right]
    for mistake in MISTAKES:
        settings = read_settings(parameters, node, mistake.changes)
        yield mistake.name, [right, (mistake.title, run_filter(settings, hard))]

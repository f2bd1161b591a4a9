"""Run the model of `ekf_node` over a recording, and say how well it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from pixloc_ros.evaluation.fusion.ekf import wrap
from pixloc_ros.evaluation.fusion.node import FilterNode
from pixloc_ros.evaluation.fusion.recording import Recording
from pixloc_ros.evaluation.fusion.settings import FilterSettings
from pixloc_ros.messages.poses import to_xyz_rpy


@dataclass(frozen=True)
class FusionRun:
    """What the filter published once it knew a pose: stamps_ns (K,), states (K, 15), covariances
    (K, 6, 6) of the pose.

    Of each pose of the recording (N): accepted, its Mahalanobis distance, and the filter's pose
    (N, 6) and covariance (N, 6, 6) at its stamp once it had been dealt with; NaN if the filter
    never was at that stamp (no history that far back).
    """

    recording: Recording
    stamps_ns: np.ndarray
    states: np.ndarray
    covariances: np.ndarray
    accepted: np.ndarray
    distance: np.ndarray
    at_poses: np.ndarray
    at_poses_covariance: np.ndarray

    def errors(self) -> np.ndarray:
        """(K, 6) of what was published against the truth: x y z roll pitch yaw."""
        return pose_difference(self.states[:, :6], self.recording.true_pose(self.stamps_ns))

    def pose_errors(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, 6) of the raw poses, and of the filter at the same stamps."""
        recording = self.recording
        truth = recording.true_pose(recording.stamps_ns)
        raw = to_xyz_rpy(recording.T_map_base)
        return pose_difference(raw, truth), pose_difference(self.at_poses, truth)


def run_filter(settings: FilterSettings, recording: Recording) -> FusionRun:
    """Feed the filter as the messages arrived, its timer running at its frequency."""
    node = FilterNode(settings)
    period_ns = round(1e9 / settings.frequency)
    subscribed = {s.name for s in settings.inputs}
    events = [event for event in recording.events() if event[1] in subscribed]
    first_pose_ns = int(recording.arrival_ns.min())
    published, now_ns = [], events[0][0]
    last_ns = events[-1][0]
    upcoming = iter(events)
    event = next(upcoming)
    while now_ns <= last_ns + period_ns:
        while event is not None and event[0] <= now_ns:
            node.receive(event[1], event[2])
            event = next(upcoming, None)
        estimate = node.update(now_ns)
        if estimate is not None and now_ns >= first_pose_ns:
            published.append(estimate)
        now_ns += period_ns
    return _collect(node, recording, published)


def pose_difference(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 6) x y z roll pitch yaw of poses in that form less true poses (N, 4, 4)."""
    difference = poses - to_xyz_rpy(truth)
    return np.concatenate([difference[:, :3], wrap(difference[:, 3:])], axis=1)


@dataclass(frozen=True)
class FusionFigures:
    """Root mean square position errors in metres, rotation in degrees.

    raw: the localizer's poses, outliers and all. at_poses: the filter at the same stamps, with that
    pose. published: the filter as it was published, each estimate at its own stamp, before later
    poses corrected it. accepted: share of the good poses; rejected_outliers: share of the outliers.
    nis: mean squared Mahalanobis distance of accepted poses by their six components; consistent: 1.
    worst_sigma: the largest error of any published component in its own standard deviations.
    latency_p95_s: of the poses.
    """

    poses: int
    raw_m: float
    raw_deg: float
    at_poses_m: float
    at_poses_deg: float
    published_m: float
    published_deg: float
    published_max_m: float
    accepted: float
    rejected_outliers: float
    nis: float
    worst_sigma: float
    latency_p95_s: float

    def to_dict(self) -> dict:
        return asdict(self)


def figures(run: FusionRun) -> FusionFigures:
    """The figures of a run, against the truth of its recording."""
    recording = run.recording
    errors, (raw, at_poses) = run.errors(), run.pose_errors()
    sigma = np.sqrt(np.diagonal(run.covariances, axis1=1, axis2=2))
    worst = float(np.nanmax(np.abs(errors) / sigma))
    good = ~recording.is_outlier
    squared = run.distance[good & run.accepted] ** 2
    lags = (recording.arrival_ns - recording.stamps_ns) * 1e-9
    return FusionFigures(
        len(recording.stamps_ns),
        rms(raw[:, :3]),
        np.degrees(rms(raw[:, 3:])),
        rms(at_poses[:, :3]),
        np.degrees(rms(at_poses[:, 3:])),
        rms(errors[:, :3]),
        np.degrees(rms(errors[:, 3:])),
        float(np.nanmax(np.linalg.norm(errors[:, :3], axis=1))),
        float(run.accepted[good].mean()),
        float((~run.accepted[~good]).mean()) if (~good).any() else float("nan"),
        float(squared.mean() / 6) if len(squared) else float("nan"),
        worst,
        float(np.percentile(lags, 95)),
    )


def rms(vectors: np.ndarray) -> float:
    """Root mean square length of (N, d), rows with NaN left out; NaN if none is left."""
    lengths = np.linalg.norm(vectors, axis=1)
    lengths = lengths[np.isfinite(lengths)]
    return float(np.sqrt(np.mean(lengths**2))) if len(lengths) else float("nan")


def _collect(node: FilterNode, recording: Recording, published: list) -> FusionRun:
    count = len(recording.stamps_ns)
    accepted, distance = np.zeros(count, bool), np.full(count, np.nan)
    states, covariances = np.full((count, 6), np.nan), np.full((count, 6, 6), np.nan)
    place = {int(stamp): i for i, stamp in enumerate(recording.stamps_ns)}
    for fused in node.fused.values():
        if fused.measurement.source != "pose0_pose":
            continue
        i = place[fused.measurement.stamp_ns]
        accepted[i], distance[i] = fused.verdict.accepted, fused.verdict.distance
        if fused.estimate.stamp_ns == fused.measurement.stamp_ns:
            states[i] = fused.estimate.state[:6]
            covariances[i] = fused.estimate.covariance[:6, :6]
    return FusionRun(
        recording,
        np.array([e.stamp_ns for e in published], np.int64),
        np.stack([e.state for e in published]),
        np.stack([e.covariance[:6, :6] for e in published]),
        accepted,
        distance,
        states,
        covariances,
    )

"""A recorded live run to fuse again: odometry, the localizer's poses, and when each arrived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.bag_input import odometry_topic
from pixloc_ros.datasets.bag_reader import BagReader, StatedOdometry
from pixloc_ros.datasets.bag_topics import BagFrames, BagTopics
from pixloc_ros.datasets.dead_reckoning import interpolate_poses
from pixloc_ros.evaluation.fusion.inputs import OdometryMessage, PoseMessage
from pixloc_ros.evaluation.trajectory import read_live

#: Across a longer hole (ns) in what is known the true pose is not interpolated.
HOLE_NS = 1_000_000_000


@dataclass(frozen=True)
class Recording:
    """odometry; poses: stamps_ns (N,), T_map_base (N, 4, 4), covariances (N, 6, 6), arrival_ns (N,)
    when each was published; is_outlier (N,) where something was made up. truth: stamps (M,) and
    T_map_base (M, 4, 4) to compare with: ground truth, or else the poses as they were recorded."""

    odometry: StatedOdometry
    stamps_ns: np.ndarray
    T_map_base: np.ndarray
    covariances: np.ndarray
    arrival_ns: np.ndarray
    is_outlier: np.ndarray
    truth: tuple[np.ndarray, np.ndarray]
    has_ground_truth: bool

    def true_pose(self, stamps_ns: np.ndarray) -> np.ndarray:
        """T_map_base (K, 4, 4) to compare with at stamps; NaN outside and in holes of the truth."""
        stamps, poses = self.truth
        after = np.clip(np.searchsorted(stamps, stamps_ns), 1, len(stamps) - 1)
        known = (stamps_ns >= stamps[0]) & (stamps_ns <= stamps[-1])
        known &= stamps[after] - stamps[after - 1] <= HOLE_NS
        found = np.full((len(stamps_ns), 4, 4), np.nan)
        if known.any():
            found[known] = interpolate_poses(stamps, poses, stamps_ns[known])
        return found

    def events(self) -> list[tuple[int, str, PoseMessage]]:
        """(arrival in ns, input of the filter, message), by arrival; odometry comes at once."""
        odometry = self.odometry
        events = [
            (
                int(odometry.stamps_ns[i]),
                "odom0",
                OdometryMessage(
                    int(odometry.stamps_ns[i]),
                    odometry.T[i],
                    odometry.covariance[i],
                    odometry.twist[i],
                    odometry.twist_covariance[i],
                ),
            )
            for i in range(len(odometry))
        ]
        events += [
            (
                int(self.arrival_ns[i]),
                "pose0",
                PoseMessage(int(self.stamps_ns[i]), self.T_map_base[i], self.covariances[i]),
            )
            for i in range(len(self.stamps_ns))
        ]
        return sorted(events, key=lambda event: event[0])


def read_recording(
    bag: str | Path, live: str | Path, rate: float = 1.0, odom: str = ""
) -> Recording:
    """A bag, and the folder that `pose_recorder` (or `demo`) left of a live run over it.

    rate: the speed at which the bag was played; latencies are told in the bag's time. Poses whose
    latency is unknown are left out. odom: the bag's topic, or empty: the only one. ``DataError``
    where bag and run share no time.
    """
    reader = BagReader(bag)
    odometry = reader.stated_odometry(odometry_topic(reader, odom))
    track = read_live(live)
    first, last = odometry.stamps_ns[0], odometry.stamps_ns[-1]
    keep = np.isfinite(track.latencies_ms) & (track.stamps_ns >= first) & (track.stamps_ns <= last)
    if not keep.any():
        raise DataError(
            f"{live}: no pose with a known latency falls into the time of {bag}; "
            "was this bag played?"
        )
    known = reader.has(BagTopics.ground_truth)
    truth = track.stamps_ns[keep], track.poses[keep]
    if known:
        stated = reader.odometry(BagTopics.ground_truth, BagFrames.base)
        truth = stated.stamps_ns, stated.T_odom_base
    latencies_ns = np.round(track.latencies_ms[keep] * rate * 1e6).astype(np.int64)
    return Recording(
        odometry,
        track.stamps_ns[keep],
        track.poses[keep],
        track.covariances[keep],
        track.stamps_ns[keep] + latencies_ns,
        np.zeros(int(keep.sum()), bool),
        truth,
        known,
    )


def delayed(recording: Recording, seconds: float) -> Recording:
    """Every pose published so much later."""
    return replace(recording, arrival_ns=recording.arrival_ns + round(seconds * 1e9))


def with_outage(recording: Recording, begin_s: float, end_s: float) -> Recording:
    """No pose of the time between, in seconds from the first odometry: a covered camera."""
    seconds = (recording.stamps_ns - recording.odometry.stamps_ns[0]) * 1e-9
    return _subset(recording, (seconds < begin_s) | (seconds >= end_s))


def with_outliers(
    recording: Recording, share: float, seed: int = 0, metres: float = 1.0, degrees: float = 3.0
) -> Recording:
    """A share of the poses moved by `metres` and turned by `degrees` in random directions, their
    covariances as they were: what a wrong match looks like to a filter. The first two stay."""
    rng = np.random.default_rng(seed)
    count = len(recording.stamps_ns)
    chosen = rng.permutation(np.arange(2, count))[: round(share * count)]
    poses = recording.T_map_base.copy()
    for i in chosen:
        shift, axis = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
        poses[i, :3, 3] += metres * shift
        turn = transforms.exp(np.concatenate([np.zeros(3), np.radians(degrees) * axis]))
        poses[i, :3, :3] = turn[:3, :3] @ poses[i, :3, :3]
    is_outlier = recording.is_outlier.copy()
    is_outlier[chosen] = True
    return replace(recording, T_map_base=poses, is_outlier=is_outlier)


def _subset(recording: Recording, keep: np.ndarray) -> Recording:
    names = ("stamps_ns", "T_map_base", "covariances", "arrival_ns", "is_outlier")
    return replace(recording, **{name: getattr(recording, name)[keep] for name in names})

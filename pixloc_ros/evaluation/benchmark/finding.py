"""A robot that nobody tells where it is, and one that is carried away: how soon is it right?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.progress import Progress
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.drive import Drive, Odometry
from pixloc_ros.evaluation.benchmark.jumps import SIGMAS, given_out
from pixloc_ros.evaluation.benchmark.trust import RIGHT, WRONG
from pixloc_ros.evaluation.runner import run_drive
from pixloc_ros.finding import Finder

#: Frames tracked before the robot is carried away, and frames that it has to find itself in.
BEFORE, AFTER = 6, 20


@dataclass(frozen=True)
class Attempt:
    """What became of one beginning. carried: the robot was tracked elsewhere before.
    frames, seconds: until a pose was accepted and right, by the number and the stamps of the
    images; infinite for never. work_ms: the longest that one frame took. accepted: frames; wrong:
    of these off by more than 0.5 m or 5 deg; too_certain: poses that were given out, accepted or
    carried by odometry, and are further off than five of their standard deviations."""

    scene: str
    carried: bool
    frames: float
    seconds: float
    work_ms: float
    accepted: int
    wrong: int
    too_certain: int


def attempts(
    localizer: Localizer,
    finder: Finder,
    scene: str,
    drive: Drive,
    count: int,
    progress: Progress | None = None,
) -> Iterator[Attempt]:
    """`count` starts from nothing, evenly over the drive, and as many robots that are carried
    from there to halfway round it. drive: with ground truth and odometry."""
    last = len(drive) - AFTER
    begins = np.linspace(BEFORE, last, count).astype(int).tolist()
    for number, i in enumerate(begins):
        yield _attempt(localizer, finder, scene, drive.subset(range(i, i + AFTER)), 0)
        away = BEFORE + (i - BEFORE + (last - BEFORE) // 2) % max(last - BEFORE, 1)
        moved = carried_away(drive, i, away)
        yield _attempt(localizer, finder, scene, moved, BEFORE)
        if progress:
            progress(number + 1, count, f"{scene}, from nothing")


def carried_away(drive: Drive, leaves: int, comes: int) -> Drive:
    """`BEFORE` frames up to frame `leaves`, then those from frame `comes` on in their stead;
    odometry and time go on as if the robot had not left the ground."""
    here = drive.subset(range(leaves - BEFORE, leaves))
    there = drive.subset(range(comes, comes + AFTER))
    later_ns = int(drive.stamps_ns[leaves] - drive.stamps_ns[comes])
    track = drive.odometry
    first = (track.stamps_ns < drive.stamps_ns[leaves]).nonzero()[0]
    second = (track.stamps_ns >= drive.stamps_ns[comes]).nonzero()[0]
    at_end, at_begin = track.T_odom_base[first[-1]], track.T_odom_base[max(second[0] - 1, 0)]
    T_odom_there = at_end @ transforms.inverse(at_begin)
    return replace(
        here,
        names=here.names + there.names,
        stamps_ns=np.r_[here.stamps_ns, there.stamps_ns + later_ns],
        load=lambda i: here.image(i) if i < BEFORE else there.image(i - BEFORE),
        T_map_base=np.concatenate([here.T_map_base, there.T_map_base]),
        odometry=Odometry(
            np.r_[track.stamps_ns[first], track.stamps_ns[second] + later_ns],
            np.concatenate([track.T_odom_base[first], T_odom_there @ track.T_odom_base[second]]),
        ),
    )


def _attempt(
    localizer: Localizer, finder: Finder, scene: str, drive: Drive, before: int
) -> Attempt:
    tracker = Tracker(finds_itself=True)
    initial = drive.T_map_base[0] if before else None
    results = run_drive(localizer, tracker, drive, initial, finder=finder).results[before:]
    truth, stamps = drive.T_map_base[before:], drive.stamps_ns[before:]
    errors = [given_out(result, T) for result, T in zip(results, truth)]
    accepted = [error for error, result in zip(errors, results) if result.accepted]
    right = [
        i
        for i, (error, result) in enumerate(zip(errors, results))
        if result.accepted and error[0] < RIGHT[0] and error[1] < RIGHT[1]
    ]
    return Attempt(
        scene,
        carried=before > 0,
        frames=right[0] + 1 if right else math.inf,
        seconds=(stamps[right[0]] - stamps[0]) * 1e-9 if right else math.inf,
        work_ms=max(result.fix.timings_ms.get("total", math.nan) for result in results),
        accepted=len(accepted),
        wrong=sum(m > WRONG[0] or deg > WRONG[1] for m, deg, _ in accepted),
        too_certain=sum(sigmas > SIGMAS for _, _, sigmas in errors if math.isfinite(sigmas)),
    )

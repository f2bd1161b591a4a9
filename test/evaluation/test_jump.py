"""A jump of the odometry that nobody announces: nothing wrong is believed, and it is caught up."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.datasets.drive import Odometry
from pixloc_ros.evaluation.runner import run_drive

AT = 10


def jumping(drive, jump: np.ndarray, every: int = 1):
    """The drive, whose odometry believes that the robot moved by `jump` after frame AT; every:
    only so many of its poses are given."""
    track, after = drive.odometry, drive.odometry.stamps_ns > drive.stamps_ns[AT]
    before = track.T_odom_base[np.flatnonzero(after)[0] - 1]
    moved = track.T_odom_base.copy()
    moved[after] = before @ jump @ transforms.inverse(before) @ moved[after]
    return replace(drive, odometry=Odometry(track.stamps_ns[::every], moved[::every]))


def driven(localizer, drive):
    """Results, and their errors in metres; the first frame only begins to confirm the start."""
    results = run_drive(localizer, Tracker(), drive).results
    assert results[0].reasons == ("confirming 1 of 2",) and results[0].T_map_base is None
    return results, [0.0] + [
        transforms.pose_error(r.T_map_base, T)[0] for r, T in zip(results[1:], drive.T_map_base[1:])
    ]


JUMPS = pytest.mark.parametrize("x, y", [(1.5, 0.0), (-1.0, 1.0), (0.0, -2.0)])


@JUMPS
def test_a_jump_faster_than_any_robot_is_not_followed_at_all(room_localizer, room_drive, x, y):
    jump = transforms.exp(np.array([x, y, 0.0, 0.0, 0.0, 0.05]))
    results, metres = driven(room_localizer, jumping(room_drive.subset(range(14)), jump))
    assert all(r.accepted for r in results[1:]) and max(metres) < 0.05
    assert [bool(r.odometry_suspicion) for r in results] == [False] * (AT + 1) + [True] * 3


@JUMPS
def test_a_jump_between_slow_odometry_is_neither_believed_nor_followed_for_long(
    room_localizer, room_drive, x, y
):
    jump = transforms.exp(np.array([x, y, 0.0, 0.0, 0.0, 0.05]))
    drive = jumping(room_drive.subset(range(20)), jump, every=5)
    results, metres = driven(room_localizer, drive)
    believed_and_wrong = [i for i, r in enumerate(results) if r.accepted and metres[i] > 0.2]
    assert believed_and_wrong == []
    off = [i for i, m in enumerate(metres) if m > 0.2]
    assert off and off[0] == AT + 1, "the frame of the jump itself follows the odometry"
    assert off[-1] <= AT + 3 and all(r.accepted for r in results[AT + 4 :])
    for i in off[1:]:
        std = np.sqrt(np.diag(results[i].covariance)[:3].max())
        assert metres[i] < 5 * std, "what is published in doubt says how doubtful it is"

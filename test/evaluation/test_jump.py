"""A jump of the odometry that nobody announces: nothing wrong is believed, and it is caught up."""

import math

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import Tracker
from pixloc_ros.evaluation.benchmark import jumps
from pixloc_ros.evaluation.benchmark.jumps import FrameAfter, jumping
from pixloc_ros.evaluation.runner import run_drive

AT = 10


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
    results, metres = driven(room_localizer, jumping(room_drive.subset(range(14)), jump, AT))
    assert all(r.accepted for r in results[1:]) and max(metres) < 0.05
    assert [bool(r.odometry_suspicion) for r in results] == [False] * (AT + 1) + [True] * 3


@JUMPS
def test_a_jump_between_slow_odometry_is_neither_believed_nor_followed_for_long(
    room_localizer, room_drive, x, y
):
    jump = transforms.exp(np.array([x, y, 0.0, 0.0, 0.0, 0.05]))
    drive = jumping(room_drive.subset(range(20)), jump, AT, every=5)
    results, metres = driven(room_localizer, drive)
    believed_and_wrong = [i for i, r in enumerate(results) if r.accepted and metres[i] > 0.2]
    assert believed_and_wrong == []
    off = [i for i, m in enumerate(metres) if m > 0.2]
    assert off and off[0] == AT + 1, "the frame of the jump itself follows the odometry"
    assert off[-1] <= AT + 3 and all(r.accepted for r in results[AT + 4 :])
    for i in off[1:]:
        std = np.sqrt(np.diag(results[i].covariance)[:3].max())
        assert metres[i] < 5 * std, "what is published in doubt says how doubtful it is"


def test_the_benchmark_tells_a_jump_that_is_seen_from_one_that_must_be_searched_for(
    room_localizer, room_drive, monkeypatch
):
    monkeypatch.setattr(jumps, "METRES", (2.0,))
    frames = jumps.drive_on(room_localizer, "room", room_drive)
    assert len(frames) == 4 * jumps.AFTER and [f.after for f in frames[:2]] == [0, 1]
    assert not any(f.wrong for f in frames)
    until = {
        rate: jumps.frames_until_right([f for f in frames if f.rate == rate])
        for rate in jumps.RATES
    }
    assert until[50] == [1, 1], "faster than any robot: not followed at all"
    assert len(until[10]) == 2 and all(1 < frames <= 5 for frames in until[10])
    followed = [f.off_m for f in frames if f.rate == 10 and f.after == 0]
    assert followed == pytest.approx([2.0, 2.0], abs=0.1), "the frame of the jump itself"


def test_no_jump_is_tried_at_a_rate_that_odometry_does_not_have(
    room_localizer, room_drive, monkeypatch
):
    monkeypatch.setattr(jumps, "METRES", (2.0,))
    slow = jumping(room_drive.subset(range(8)), np.eye(4), 0, every=5)
    frames = jumps.drive_on(room_localizer, "room", slow)
    assert {f.rate for f in frames} == {10} and len(frames) == 2 * (8 - jumps.BEFORE)


def test_frames_until_right_are_counted_for_each_jump():
    def frame(metres: float, after: int, accepted: bool, off_m: float) -> FrameAfter:
        return FrameAfter("a", metres, "along", 50, after, accepted, off_m, 0.1, 1.0)

    frames = [frame(1.0, 0, False, 0.02), frame(1.0, 1, True, 0.3), frame(1.0, 2, True, 0.02)]
    assert jumps.frames_until_right(frames) == [3], "doubted, then neither right nor wrong"
    assert [f.wrong for f in (*frames, frame(1.0, 3, True, 0.6), frame(1.0, 4, False, 0.6))] == [
        *(False, False, False),
        *(True, False),
    ]
    assert jumps.frames_until_right([*frames, frame(2.0, 0, False, 2.0)]) == [3, math.inf]

"""One jump of time is one beginning, whoever notices it first; a bad stamp is none."""

import itertools

import pytest

from pixloc_ros.ros.timeline import GRACE_S, Moment, Timeline

SECOND, MS = 1_000_000_000, 1_000_000
OLD, NEW = 100 * SECOND, 60 * SECOND


class Steady:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def timeline(steady) -> Timeline:
    """After a run of time up to OLD."""
    timeline = Timeline(steady)
    for stamp in range(NEW, OLD + 1, SECOND):
        assert timeline.stamp("odometry", stamp) is Moment.CURRENT
        assert timeline.stamp("image", stamp) is Moment.CURRENT
    return timeline


def tell(timeline: Timeline, who: str, late_ms: int = 20) -> Moment:
    if who == "clock":
        return timeline.clock(NEW)
    return timeline.stamp(who, NEW + late_ms * MS)


def jump(timeline: Timeline) -> None:
    """Odometry begins anew."""
    moments = [tell(timeline, "odometry", late) for late in (20, 40, 60)]
    assert moments == [Moment.BAD, Moment.BAD, Moment.BEGINNING]


@pytest.mark.parametrize("who", itertools.permutations(("clock", "odometry", "image"), 2))
def test_one_loop_is_one_beginning(timeline, steady, who):
    moments = []
    for late in (20, 40, 60, 80):
        for name in who if late == 20 else [w for w in who if w != "clock"]:
            moments.append(tell(timeline, name, late))
            steady.now += 0.001
            if Moment.BEGINNING in moments:  # what was still on its way says nothing
                assert timeline.stamp("odometry", OLD + SECOND // 50) is Moment.STALE
                assert timeline.stamp("image", OLD) is Moment.STALE
    begins = moments.index(Moment.BEGINNING)
    assert set(moments[:begins]) <= {Moment.BAD} and begins <= 2
    assert set(moments[begins + 1 :]) == {Moment.CURRENT}


@pytest.mark.parametrize("who", ["odometry", "image"])
@pytest.mark.parametrize("bad", [0, OLD - 2 * SECOND, OLD + 3600 * SECOND, -SECOND])
def test_a_single_bad_stamp_changes_nothing(timeline, steady, who, bad):
    for k in range(1, 8):  # again and again, but never in a row
        steady.now += 0.1
        assert timeline.stamp(who, bad + (bad > 0) * k * 100 * MS) is Moment.BAD
        assert timeline.stamp(who, OLD + k * 100 * MS) is Moment.CURRENT
    assert timeline.clock(OLD + 700 * MS) is Moment.CURRENT


def test_a_stamp_that_stands_still_is_no_new_time(timeline):
    for _ in range(9):
        assert timeline.stamp("image", NEW) is Moment.BAD
        assert timeline.stamp("image", 0) is Moment.BAD
    assert timeline.stamp("image", OLD + SECOND) is Moment.CURRENT


def test_a_clock_set_forward_is_followed_once_several_messages_agree(timeline):
    later = OLD + 3600 * SECOND
    moments = [timeline.stamp("odometry", later + k * 20 * MS) for k in range(4)]
    assert moments == [Moment.BAD] * 2 + [Moment.CURRENT] * 2


def test_a_gap_as_long_as_the_time_that_has_passed_is_none(timeline, steady):
    steady.now += 60.0
    assert timeline.stamp("odometry", OLD + 60 * SECOND) is Moment.CURRENT


def test_two_jumps_are_two_beginnings(timeline, steady):
    jump(timeline)
    steady.now += 2 * GRACE_S
    for stamp in range(NEW + SECOND, OLD, SECOND):
        assert timeline.stamp("odometry", stamp) is Moment.CURRENT
    assert tell(timeline, "clock") is Moment.BEGINNING
    assert tell(timeline, "odometry") is Moment.CURRENT


def test_a_bag_that_loops_faster_than_messages_can_be_late_loses_none(timeline, steady):
    jump(timeline)
    for stamp in range(NEW + SECOND, OLD - SECOND, SECOND):
        steady.now += 0.01
        assert timeline.stamp("odometry", stamp) is Moment.CURRENT


def test_messages_a_little_out_of_order_are_no_jump(timeline):
    assert timeline.stamp("odometry", OLD - SECOND // 4) is Moment.CURRENT
    assert timeline.stamp("odometry", OLD + SECOND) is Moment.CURRENT


def test_after_a_restart_by_hand_any_time_is_current(timeline):
    timeline.restart()
    assert tell(timeline, "odometry") is Moment.CURRENT

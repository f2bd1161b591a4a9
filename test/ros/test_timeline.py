"""One jump of time is one beginning, whoever notices it first."""

import itertools

import pytest

from pixloc_ros.ros.timeline import GRACE_S, Moment, Timeline

SECOND = 1_000_000_000
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


def tell(timeline: Timeline, who: str) -> Moment:
    return timeline.clock(NEW) if who == "clock" else timeline.stamp(who, NEW + SECOND // 50)


@pytest.mark.parametrize("order", itertools.permutations(("clock", "odometry", "image")))
def test_one_loop_is_one_beginning(timeline, steady, order):
    moments = []
    for who in order:
        moments.append(tell(timeline, who))
        steady.now += 0.001
        # what was still on its way says nothing
        assert timeline.stamp("odometry", OLD + SECOND // 50) is Moment.STALE
        assert timeline.stamp("image", OLD) is Moment.STALE
    assert moments == [Moment.BEGINNING, Moment.CURRENT, Moment.CURRENT]
    assert timeline.stamp("odometry", NEW + SECOND // 25) is Moment.CURRENT


def test_two_jumps_are_two_beginnings(timeline, steady):
    assert tell(timeline, "odometry") is Moment.BEGINNING
    steady.now += 2 * GRACE_S
    for stamp in range(NEW + SECOND, OLD, SECOND):
        assert timeline.stamp("odometry", stamp) is Moment.CURRENT
    assert tell(timeline, "clock") is Moment.BEGINNING
    assert tell(timeline, "odometry") is Moment.CURRENT


def test_a_bag_that_loops_faster_than_messages_can_be_late_loses_none(timeline, steady):
    assert tell(timeline, "odometry") is Moment.BEGINNING
    for stamp in range(NEW + SECOND, OLD - SECOND, SECOND):
        steady.now += 0.01
        assert timeline.stamp("odometry", stamp) is Moment.CURRENT


def test_messages_a_little_out_of_order_are_no_jump(timeline):
    assert timeline.stamp("odometry", OLD - SECOND // 4) is Moment.CURRENT
    assert timeline.stamp("odometry", OLD + SECOND) is Moment.CURRENT


def test_after_a_restart_by_hand_any_time_is_current(timeline):
    timeline.restart()
    assert tell(timeline, "odometry") is Moment.CURRENT
    assert timeline.stamp("odometry", OLD) is Moment.CURRENT

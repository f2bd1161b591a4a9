"""The state machine: what odometry, fixes and time make of the state. No image, no map."""

from __future__ import annotations

import numpy as np
import pytest

from pixloc_ros.core.frame import Fix
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import FrameResult, GateConfig, Tracker, TrackerConfig, TrackState

SECOND = 1_000_000_000
GATES = GateConfig(max_coast_distance=5.0, max_coast_time=2.0)
TIGHT = np.diag([0.01**2] * 3 + [0.001**2] * 3)


def at(x: float) -> np.ndarray:
    return transforms.exp(np.array([x, 0, 0, 0, 0, 0]))


def good(T_map_base: np.ndarray, prior: np.ndarray) -> Fix:
    update = transforms.error6(T_map_base, prior)
    return Fix(T_map_base, TIGHT, TIGHT, update=update, num_points=300, num_inliers=150, cost=0.03)


@pytest.fixture
def tracker() -> Tracker:
    """Driven at 1 m/s for 20 s by odometry at 10 Hz that began elsewhere."""
    tracker = Tracker(TrackerConfig(gates=GATES))
    for k in range(201):
        tracker.odometry.add(SECOND + k * SECOND // 10, at(100 + k / 10))
    return tracker


def step(tracker: Tracker, seconds: float, fix=None):
    """A frame so many seconds after the start; fix: from the prediction, None for a failed one."""
    prediction = tracker.predict(SECOND + int(seconds * SECOND))
    if isinstance(prediction, FrameResult):
        return prediction
    found = fix(prediction) if fix else Fix.none("no map points in view of the prior")
    return tracker.update(prediction, found)


def right(prediction) -> Fix:
    truth = at(prediction.odometry.T_odom_base[0, 3] - 100)
    return good(truth, prediction.T_map_base)


def test_without_a_pose_it_waits_for_one(tracker):
    assert tracker.wants_pose
    result = step(tracker, 0)
    assert result.state is TrackState.UNINITIALIZED and "initial pose" in result.reasons[0]
    assert result.T_map_base is None and result.fix.failure == "not localized"
    tracker.set_pose(SECOND, at(0.0))
    assert not tracker.wants_pose


def test_a_fix_makes_it_track_and_a_failed_one_coast(tracker):
    tracker.set_pose(SECOND, at(0.1))
    result = step(tracker, 0.5, right)
    assert result.state is TrackState.TRACKING and result.accepted and result.reasons == ()
    np.testing.assert_allclose(result.T_map_base, at(0.5), atol=1e-9)
    np.testing.assert_allclose(result.T_map_odom, at(-100), atol=1e-9)
    np.testing.assert_array_equal(result.covariance, TIGHT)
    coasting = step(tracker, 1.0)
    assert coasting.state is TrackState.COASTING and not coasting.accepted
    assert coasting.reasons == ("no map points in view of the prior",)
    np.testing.assert_allclose(coasting.T_map_base, at(1.0), atol=1e-9)
    assert (np.diag(coasting.covariance) > np.diag(TIGHT)).all()
    assert step(tracker, 1.2, right).state is TrackState.TRACKING


def test_carried_too_long_it_is_lost_and_a_fix_finds_it_again(tracker):
    tracker.set_pose(SECOND, at(0.0))
    step(tracker, 0.5, right)
    assert step(tracker, 2.4).state is TrackState.COASTING
    lost = step(tracker, 2.6)
    assert lost.state is TrackState.LOST is tracker.state
    assert lost.T_map_base is None and lost.covariance is None and lost.T_map_odom is None
    assert step(tracker, 2.8, right).state is TrackState.TRACKING


def test_carried_too_far_it_is_lost():
    tracker = Tracker(TrackerConfig(gates=GATES))
    for k in range(21):
        tracker.odometry.add(SECOND + k * SECOND // 10, at(10.0 * k / 10))
    tracker.set_pose(SECOND, at(0.0))
    assert step(tracker, 0.4).state is TrackState.COASTING
    assert step(tracker, 0.6).state is TrackState.LOST


def test_carried_in_a_circle_it_is_lost_as_well():
    tracker = Tracker(TrackerConfig(gates=GATES))
    for k in range(41):  # 1.5 m ahead and back, again and again
        x = 0.3 * abs((k + 5) % 10 - 5)
        tracker.odometry.add(SECOND + k * SECOND // 20, at(x))
    tracker.set_pose(SECOND, at(0.0))
    assert step(tracker, 0.5).state is TrackState.COASTING
    assert step(tracker, 1.5).state is TrackState.LOST


def test_a_fix_that_the_gates_refuse_leaves_the_pose_to_odometry(tracker):
    tracker.set_pose(SECOND, at(0.0), TIGHT)
    step(tracker, 0.5, right)
    result = step(tracker, 0.6, lambda p: good(p.T_map_base @ at(3.0), p.T_map_base))
    assert result.state is TrackState.COASTING and "sigma" in result.reasons[0]
    np.testing.assert_allclose(result.T_map_base, at(0.6), atol=1e-9)


def test_fixes_refused_in_a_row_widen_the_prior_until_one_is_believed(tracker):
    tracker.set_pose(SECOND, at(0.0), TIGHT)
    step(tracker, 0.5, right)
    stds = []
    for k in range(10):
        result = step(tracker, 0.6 + k / 10, lambda p: good(p.T_map_base @ at(30.0), p.T_map_base))
        assert result.state is TrackState.COASTING and not result.accepted
        stds.append(np.sqrt(result.covariance[0, 0]))
    assert stds[0] < 0.1, "one that is refused says nothing yet about the prior it came from"
    widened = np.diff(stds)
    assert (widened[: GATES.max_doubts] > 0.8 * GATES.doubt_m).all()
    assert (widened[GATES.max_doubts :] < 0.1).all() and stds[-1] < 3.5
    # a jump of 2 m is now within what is believed, and belief makes the prior narrow again
    jumped = step(tracker, 1.7, lambda p: good(p.T_map_base @ at(2.0), p.T_map_base))
    assert jumped.accepted
    assert np.sqrt(tracker.predict(SECOND + 18 * SECOND // 10).covariance[0, 0]) < 0.1


def test_where_the_map_shows_nothing_the_pose_is_not_doubted(tracker):
    tracker.set_pose(SECOND, at(0.0), TIGHT)
    step(tracker, 0.5, right)
    for k in range(5):
        result = step(tracker, 0.6 + k / 10)
    assert np.sqrt(result.covariance[0, 0]) < 0.15


def test_where_odometry_cannot_tell_the_state_stays(tracker):
    tracker.set_pose(SECOND, at(0.0))
    step(tracker, 0.5, right)
    result = step(tracker, 60.0)
    assert result.state is TrackState.TRACKING and "no odometry" in result.reasons[0]
    assert result.T_map_base is None


def test_a_fix_begun_before_a_new_beginning_does_not_count(tracker):
    tracker.set_pose(SECOND, at(0.0))
    for begin_anew in (lambda: tracker.set_pose(SECOND, at(7.0)), tracker.reset):
        prediction = tracker.predict(SECOND + SECOND // 2)
        begin_anew()
        result = tracker.update(prediction, right(prediction))
        assert not result.accepted and "set anew" in result.reasons[0]
        assert result.T_map_base is None
    assert tracker.state is TrackState.UNINITIALIZED and tracker.wants_pose


def test_a_pose_given_for_the_past_is_carried_from_there(tracker):
    tracker.set_pose(SECOND + 3 * SECOND, at(50.0))
    prediction = tracker.predict(SECOND + 5 * SECOND)
    np.testing.assert_allclose(prediction.T_map_base, at(52.0), atol=1e-9)

"""The state machine: what odometry, fixes and time make of the state. No image, no map."""

from __future__ import annotations

import numpy as np
import pytest

from pixloc_ros.core.frame import Fix, Place
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker import FrameResult, GateConfig, Tracker, TrackerConfig, TrackState

SECOND = 1_000_000_000
GATES = GateConfig(max_fix_age=1.0, max_coast_distance=5.0, max_coast_time=2.0)
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
    return good(truth, prediction.place.T_map_base)


def begin(tracker: Tracker, seconds: float = 0.5) -> None:
    """Track: a pose and the fixes that confirm it, the last one at so many seconds."""
    tracker.set_pose(SECOND + int((seconds - 0.1) * SECOND), at(seconds - 0.1), TIGHT)
    assert step(tracker, seconds - 0.1, right).state is TrackState.STARTING
    assert step(tracker, seconds, right).state is TrackState.TRACKING


def test_without_a_pose_it_waits_for_one(tracker):
    assert tracker.wants_pose
    result = step(tracker, 0)
    assert result.state is TrackState.UNINITIALIZED and "initial pose" in result.reasons[0]
    assert result.T_map_base is None and result.fix.failure == "not localized"
    tracker.set_pose(SECOND, at(0.0))
    assert not tracker.wants_pose and tracker.state is TrackState.STARTING


def test_fixes_that_agree_make_it_track_and_a_failed_one_coast(tracker):
    tracker.set_pose(SECOND, at(0.1))
    first = step(tracker, 0.4, right)
    assert first.state is TrackState.STARTING and not first.accepted
    assert first.reasons == ("confirming 1 of 2",) == (tracker.reason,)
    assert first.T_map_base is None and first.covariance is None and tracker.T_map_odom is None
    prior = tracker.predict(SECOND + SECOND // 2)
    np.testing.assert_allclose(prior.place.T_map_base, at(0.6), atol=1e-9)
    assert prior.place.covariance[0, 0] > 0.25, "the second fix starts from the same wide prior"
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
    begin(tracker)
    assert step(tracker, 2.4).state is TrackState.COASTING
    lost = step(tracker, 2.6)
    assert lost.state is TrackState.LOST is tracker.state
    assert lost.T_map_base is None and lost.covariance is None and lost.T_map_odom is None
    assert step(tracker, 2.8, right).reasons == ("confirming 1 of 2",)
    assert tracker.state is TrackState.LOST
    assert step(tracker, 2.9).state is TrackState.LOST
    assert step(tracker, 3.0, right).state is TrackState.TRACKING, "two of three frames"


def test_lost_between_two_frames_one_fix_does_not_end_it(tracker):
    begin(tracker)
    assert step(tracker, 2.6, right).state is TrackState.LOST
    assert step(tracker, 2.7, right).state is TrackState.TRACKING


def test_fixes_that_contradict_each_other_confirm_nothing(tracker):
    tracker.set_pose(SECOND, at(0.0))
    for k in range(7):  # one place, another, a third one
        ahead = at(0.6 * (k % 3) - 0.6)
        result = step(
            tracker, k / 10, lambda p: good(p.place.T_map_base @ ahead, p.place.T_map_base)
        )
        assert result.state is TrackState.STARTING and result.reasons == ("confirming 1 of 2",)
    assert step(tracker, 0.7, right).reasons == ("confirming 1 of 2",)
    assert step(tracker, 0.8, right).accepted


def test_a_frozen_image_confirms_nothing(tracker):
    tracker.set_pose(SECOND, at(0.0))
    for _ in range(4):
        assert step(tracker, 0.5, right).reasons == ("confirming 1 of 2",)


def test_one_fix_in_three_frames_is_not_enough(tracker):
    tracker.set_pose(SECOND, at(0.0))
    for k in range(9):
        result = step(tracker, k / 10, right if k % 3 == 0 else None)
        assert result.state is TrackState.STARTING


def test_a_pose_given_anew_has_to_be_confirmed_again(tracker):
    begin(tracker)
    tracker.set_pose(SECOND + SECOND // 2, at(0.5), TIGHT)
    assert tracker.state is TrackState.STARTING and tracker.T_map_odom is None
    assert step(tracker, 0.6, right).reasons == ("confirming 1 of 2",)
    assert step(tracker, 0.7, right).accepted


def test_with_start_fixes_of_one_the_first_is_believed():
    tracker = Tracker(TrackerConfig(gates=GateConfig(start_fixes=1)))
    tracker.odometry.add(SECOND, at(100.0))
    tracker.set_pose(SECOND, at(0.0))
    assert step(tracker, 0.0, right).accepted


def test_carried_too_far_it_is_lost():
    tracker = Tracker(TrackerConfig(gates=GATES))
    for k in range(21):
        tracker.odometry.add(SECOND + k * SECOND // 10, at(10.0 * k / 10))
    tracker.set_pose(SECOND, at(0.0))
    assert step(tracker, 0.4).state is TrackState.STARTING
    assert step(tracker, 0.6).state is TrackState.LOST


def test_carried_in_a_circle_it_is_lost_as_well():
    tracker = Tracker(TrackerConfig(gates=GATES))
    for k in range(41):  # 1.5 m ahead and back, again and again
        x = 0.3 * abs((k + 5) % 10 - 5)
        tracker.odometry.add(SECOND + k * SECOND // 20, at(x))
    tracker.set_pose(SECOND, at(0.0))
    assert step(tracker, 0.5).state is TrackState.STARTING
    assert step(tracker, 1.5).state is TrackState.LOST


def test_a_fix_that_the_gates_refuse_leaves_the_pose_to_odometry(tracker):
    begin(tracker)
    result = step(tracker, 0.6, lambda p: good(p.place.T_map_base @ at(3.0), p.place.T_map_base))
    assert result.state is TrackState.COASTING and "sigma" in result.reasons[0]
    np.testing.assert_allclose(result.T_map_base, at(0.6), atol=1e-9)


def test_fixes_refused_in_a_row_widen_the_prior_until_one_is_believed(tracker):
    begin(tracker)
    stds = []
    for k in range(10):
        result = step(
            tracker, 0.6 + k / 10, lambda p: good(p.place.T_map_base @ at(30.0), p.place.T_map_base)
        )
        assert result.state is TrackState.COASTING and not result.accepted
        stds.append(np.sqrt(result.covariance[0, 0]))
    assert stds[0] == pytest.approx(GATES.doubt_m, rel=0.01), "the first one says it of its own"
    widened = np.diff(stds)
    assert (widened[: GATES.max_doubts - 1] > 0.8 * GATES.doubt_m).all()
    assert (widened[GATES.max_doubts - 1 :] < 0.1).all() and stds[-1] < 3.5
    # a jump of 2 m is now within what is believed, and belief makes the prior narrow again
    jumped = step(tracker, 1.7, lambda p: good(p.place.T_map_base @ at(2.0), p.place.T_map_base))
    assert jumped.accepted
    assert np.sqrt(tracker.predict(SECOND + 18 * SECOND // 10).place.covariance[0, 0]) < 0.1


def test_where_the_map_shows_nothing_the_pose_is_not_doubted(tracker):
    begin(tracker)
    for k in range(5):
        result = step(tracker, 0.6 + k / 10)
    assert np.sqrt(result.covariance[0, 0]) < 0.15


@pytest.mark.parametrize("seconds, state", [(20.4, "coasting"), (60.0, "lost")])
def test_a_frame_that_odometry_does_not_reach_says_so_and_changes_nothing(tracker, seconds, state):
    begin(tracker, 19.5)
    result = step(tracker, seconds)
    assert result.state == state and "no odometry" in result.reasons[0]
    assert result.T_map_base is None
    assert tracker.state is TrackState.TRACKING and tracker.T_map_odom is not None
    assert step(tracker, 20.0, right).accepted


class Fed:
    """A tracker that hears odometry at 10 Hz up to now, and no more."""

    def __init__(self, speed: float = 1.0, gates: GateConfig = GATES):
        self.tracker, self._speed, self._heard = Tracker(TrackerConfig(gates=gates)), speed, -1
        self.hear(0.5)
        self.tracker.set_pose(SECOND, at(0.0), TIGHT)
        for seconds in (0.4, 0.5):
            step(self.tracker, seconds, lambda p: good(p.place.T_map_base, p.place.T_map_base))
        assert self.tracker.state is TrackState.TRACKING

    def hear(self, seconds: float) -> TrackState:
        for k in range(self._heard + 1, round(10 * seconds) + 1):
            self.tracker.odometry.add(SECOND + k * SECOND // 10, at(100 + self._speed * k / 10))
            self._heard = k
        return self.advance(seconds)

    def advance(self, seconds: float) -> TrackState:
        return self.tracker.advance(SECOND + round(seconds * SECOND))


def test_images_that_stop_make_it_coast_and_then_lose_it():
    fed = Fed()
    assert fed.hear(1.4) is TrackState.TRACKING and fed.tracker.reason == ""
    assert fed.hear(1.6) is TrackState.COASTING and fed.tracker.reason == "no fix for 1.1 s"
    np.testing.assert_allclose(fed.tracker.T_map_odom, at(-100), atol=1e-9)
    assert step(fed.tracker, 1.6, right).state is TrackState.TRACKING
    assert fed.hear(3.5) is TrackState.COASTING
    assert fed.hear(3.7) is TrackState.LOST and "2.1 s > 2.0 s" in fed.tracker.reason
    assert fed.tracker.T_map_odom is None
    assert step(fed.tracker, 3.7).state is TrackState.LOST
    fed.hear(3.9)
    assert [step(fed.tracker, s, right).state for s in (3.8, 3.9)] == ["lost", "tracking"]


def test_a_given_pose_waits_for_images_but_not_after_a_long_way(tracker):
    fed = Fed()
    fed.tracker.set_pose(SECOND + SECOND // 2, at(0.5), TIGHT)
    for k in range(300):  # half a minute at rest: longer than odometry is kept
        fed.tracker.odometry.add(2 * SECOND + k * SECOND // 10, at(100.5))
        fed.tracker.advance(2 * SECOND + k * SECOND // 10)
    assert fed.tracker.state is TrackState.STARTING
    fed.tracker.odometry.add(32 * SECOND, at(102.5))
    np.testing.assert_allclose(
        fed.tracker.predict(32 * SECOND).place.T_map_base, at(2.5), atol=1e-9
    )
    fed.tracker.set_pose(32 * SECOND, at(0.5), TIGHT)
    fed.tracker.odometry.add(33 * SECOND, at(110.5))
    assert fed.tracker.advance(33 * SECOND) is TrackState.LOST
    assert "8.0 m > 5.0 m" in fed.tracker.reason


def test_driven_too_far_without_an_image_it_is_lost():
    fed = Fed(speed=10.0)
    assert fed.hear(0.9) is TrackState.TRACKING
    assert fed.hear(1.1) is TrackState.LOST and "6.0 m > 5.0 m" in fed.tracker.reason


def test_grown_too_uncertain_without_an_image_it_is_lost():
    fed = Fed(gates=GateConfig(max_coast_std=0.1))
    assert fed.hear(1.5) is TrackState.TRACKING
    assert fed.hear(5.5) is TrackState.LOST and "std grown" in fed.tracker.reason


def test_odometry_that_stops_is_said_and_loses_it_by_time():
    fed = Fed()
    assert fed.advance(1.0) is TrackState.TRACKING
    assert fed.advance(1.6) is TrackState.COASTING
    assert fed.tracker.reason == "no fix for 1.1 s, no odometry for 1.1 s"
    assert fed.advance(2.6) is TrackState.LOST


def test_time_alone_says_nothing_while_nobody_has_said_where_the_robot_is():
    tracker = Tracker()
    assert tracker.advance(SECOND) is TrackState.UNINITIALIZED
    tracker.odometry.add(SECOND, at(0.0))
    assert tracker.advance(100 * SECOND) is TrackState.UNINITIALIZED
    assert tracker.reason == "waiting for an initial pose" and tracker.T_map_odom is None


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
    np.testing.assert_allclose(prediction.place.T_map_base, at(52.0), atol=1e-9)


@pytest.mark.parametrize("jump", [at(3.0), at(-250.0)])
def test_a_jump_of_the_odometry_widens_the_prior_and_does_not_move_it(jump):
    fed = Fed()
    T_odom = at(100.5) @ jump
    fed.tracker.odometry.add(SECOND + 52 * SECOND // 100, T_odom)
    prior = fed.tracker.predict(SECOND + 52 * SECOND // 100)
    np.testing.assert_allclose(prior.place.T_map_base, at(0.5), atol=1e-9)
    assert np.sqrt(prior.place.covariance[0, 0]) > GATES.doubt_m * GATES.max_doubts
    missed = fed.tracker.update(prior, Fix.none("no map points in view of the prior"))
    assert missed.state is TrackState.COASTING, "doubted, but not lost"
    np.testing.assert_allclose(missed.T_map_odom @ T_odom, missed.T_map_base, atol=1e-9)
    np.testing.assert_allclose(fed.tracker.T_map_odom @ T_odom, at(0.5), atol=1e-9)
    result = fed.tracker.update(prior, good(at(1.5), prior.place.T_map_base))
    assert result.accepted and result.odometry_suspicion.startswith("jumped by")
    np.testing.assert_allclose(fed.tracker.T_map_odom @ T_odom, at(1.5), atol=1e-9)
    after = fed.tracker.predict(SECOND + 53 * SECOND // 100)
    assert np.sqrt(after.place.covariance[0, 0]) < 0.1, "once believed, it is over"


def test_odometry_that_is_twice_as_fast_is_said_and_covered():
    gates = GateConfig(max_coast_distance=50.0, max_coast_time=60.0)
    fed = Fed(speed=2.0, gates=gates)

    def truth(prediction):
        moved = (prediction.odometry.T_odom_base[0, 3] - 100) / 2
        return good(at(moved), prediction.place.T_map_base)

    fed.tracker.set_pose(SECOND, at(0.0), TIGHT)
    results = []
    for k in range(6, 80):
        fed.hear(k / 10)
        results.append(step(fed.tracker, k / 10, truth))
    assert results[-1].accepted
    assert "moves 2.00 times as far as the map says" in results[-1].odometry_suspicion
    fed.hear(10.9)
    coasting = step(fed.tracker, 10.9)
    assert coasting.state is TrackState.COASTING
    wrong = coasting.T_map_base[0, 3] - 10.9
    assert 2.0 < wrong < 2 * np.sqrt(coasting.covariance[0, 0])


def test_a_pose_given_within_a_gap_of_the_odometry_is_carried_and_covers_the_gap():
    tracker = Tracker(TrackerConfig(gates=GATES))
    tracker.odometry.add(SECOND, at(100.0))
    tracker.set_pose(2 * SECOND, at(50.0), TIGHT)
    assert isinstance(tracker.predict(SECOND), FrameResult), "odometry may still come"
    tracker.odometry.add(3 * SECOND, at(102.0))
    prior = tracker.predict(3 * SECOND)
    np.testing.assert_allclose(prior.place.T_map_base, at(50.0), atol=1e-9)
    assert 2.0 < np.sqrt(prior.place.covariance[0, 0]) < 2.1


def finding(T_map_base: np.ndarray):
    """Of a frame found in the whole map: the fix, and the place that it started from."""
    return good(T_map_base, T_map_base), Place(T_map_base, np.diag([0.1] * 6) ** 2, found=True)


def find(tracker: Tracker, seconds: float, T_map_base: np.ndarray):
    prediction = tracker.predict(SECOND + int(seconds * SECOND))
    assert prediction.anywhere
    return tracker.update(prediction, *finding(T_map_base))


@pytest.fixture
def finder() -> Tracker:
    tracker = Tracker(TrackerConfig(gates=GATES), finds_itself=True)
    for k in range(201):
        tracker.odometry.add(SECOND + k * SECOND // 10, at(100 + k / 10))
    return tracker


def test_it_finds_itself_once_two_frames_agree(finder):
    prediction = finder.predict(SECOND)
    assert prediction.anywhere and prediction.place is None
    nowhere = finder.update(prediction, Fix.none("found nowhere"))
    assert nowhere.state is TrackState.STARTING and nowhere.reasons == ("found nowhere",)
    first = find(finder, 0.1, at(0.1))
    assert first.state is TrackState.STARTING and first.T_map_base is None
    assert first.reasons == ("confirming 1 of 2",) and finder.T_map_odom is None
    contradicts = find(finder, 0.2, at(40.0))
    assert contradicts.state is TrackState.STARTING and not contradicts.accepted
    agrees = find(finder, 0.3, at(40.1))
    assert agrees.state is TrackState.TRACKING and agrees.accepted and not finder.wants_pose
    assert not finder.predict(SECOND + 4 * SECOND // 10).anywhere


def test_carried_away_it_is_found_again_and_nothing_wrong_is_said_meanwhile(finder):
    finder.set_pose(SECOND, at(0.0), TIGHT)
    for k in range(1, 4):
        step(finder, k / 10, right)
    assert finder.state is TrackState.TRACKING
    for k in range(4, 4 + GATES.find_after):  # somebody carries the robot 100 m away
        far = step(finder, k / 10, lambda p: good(at(100.0), p.place.T_map_base))
        assert far.state is TrackState.COASTING and abs(far.T_map_base[0, 3] - k / 10) < 0.01
    first = find(finder, 1.0, at(100.0))
    assert first.state is TrackState.STARTING and first.T_map_base is None
    second = find(finder, 1.1, at(100.1))
    assert second.accepted and abs(second.T_map_base[0, 3] - 100.1) < 0.01


def test_found_where_odometry_has_carried_it_the_pose_is_given_out_meanwhile(finder):
    finder.set_pose(SECOND, at(0.0), TIGHT)
    for k in range(1, 4):
        step(finder, k / 10, right)
    for k in range(4, 4 + GATES.find_after):
        step(finder, k / 10, lambda p: good(at(100.0), p.place.T_map_base))
    first = find(finder, 1.0, at(1.0))
    assert first.state is TrackState.COASTING and abs(first.T_map_base[0, 3] - 1.0) < 0.01
    assert find(finder, 1.1, at(1.1)).accepted


def test_a_pose_that_is_given_is_one_of_the_places_it_may_be_at(finder):
    finder.set_pose(SECOND, at(0.0), TIGHT)
    given = finder.predict(SECOND)
    assert given.anywhere and not given.place.found
    # the house next door looks more like it: the next image has to say so, too
    assert find(finder, 0.1, at(8.1)).state is TrackState.STARTING
    assert find(finder, 0.2, at(8.2)).accepted
    assert finder.T_map_odom is not None and not finder.predict(2 * SECOND).anywhere


def test_lost_it_looks_everywhere(finder):
    finder.set_pose(SECOND, at(0.0), TIGHT)
    finder.predict(SECOND)
    assert finder.advance(SECOND + 15 * SECOND) is TrackState.LOST
    prediction = finder.predict(SECOND + 15 * SECOND)
    assert prediction.anywhere and prediction.place is not None, "the carried pose is tried, too"


def test_other_settings_hold_from_the_next_fix_on_and_forget_nothing(tracker):
    begin(tracker)
    strict = TrackerConfig(gates=GateConfig(min_points=1000))
    tracker.reconfigure(strict)
    rejected = step(tracker, 0.6, right)
    assert not rejected.accepted and "points in view 300 < 1000" in rejected.reasons
    assert rejected.state is TrackState.COASTING and rejected.T_map_base is not None
    tracker.reconfigure(TrackerConfig(gates=GATES))
    assert step(tracker, 0.7, right).accepted, "no new start"


def test_a_frame_that_is_under_way_is_judged_by_the_new_settings(tracker):
    begin(tracker)
    prediction = tracker.predict(SECOND + int(0.6 * SECOND))
    tracker.reconfigure(TrackerConfig(gates=GateConfig(min_points=1000)))
    assert not tracker.update(prediction, right(prediction)).accepted


def test_other_settings_hold_without_an_image_too(tracker):
    begin(tracker, 19.5)
    late = SECOND + int(20.8 * SECOND)
    assert tracker.advance(late) is TrackState.COASTING
    tracker.reconfigure(TrackerConfig(gates=GateConfig(max_coast_time=1.0)))
    assert tracker.advance(late) is TrackState.LOST


def test_a_start_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="start_fixes 4 > start_frames 3"):
        GateConfig(start_fixes=4)

"""The odometry buffer: interpolation, gaps, reversals."""

import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.odometry import OdometryBuffer, OdometryBufferConfig

MS = 1_000_000


def pose(x: float, yaw: float = 0.0) -> np.ndarray:
    return transforms.exp(np.array([x, 0, 0, 0, 0, yaw]))


@pytest.fixture
def buffer():
    buffer = OdometryBuffer()
    for i in range(11):
        assert buffer.add(i * 100 * MS, pose(0.5 * i, 0.02 * i))
    return buffer


def test_interpolates_between_two_poses(buffer):
    np.testing.assert_allclose(buffer.at(250 * MS).T_odom_base, pose(1.25, 0.05), atol=1e-12)
    np.testing.assert_allclose(buffer.at(300 * MS).T_odom_base, pose(1.5, 0.06), atol=1e-12)


def test_extrapolates_a_little_and_no_further(buffer):
    np.testing.assert_allclose(buffer.at(1050 * MS).T_odom_base[:3, 3], [5.25, 0, 0], atol=1e-12)
    assert buffer.at(1200 * MS) is None
    assert buffer.at(-1) is None


def test_does_not_interpolate_across_a_gap(buffer):
    buffer.add(2000 * MS, pose(9))
    assert buffer.at(1500 * MS) is None
    np.testing.assert_array_equal(buffer.at(2000 * MS).T_odom_base, pose(9))


def test_time_running_backwards_starts_over(buffer):
    assert not buffer.add(50 * MS, pose(7))
    assert buffer.newest_stamp() == 50 * MS
    assert buffer.at(500 * MS) is None


def test_a_repeated_stamp_changes_nothing(buffer):
    assert buffer.add(1000 * MS, pose(99))
    np.testing.assert_array_equal(buffer.at(1000 * MS).T_odom_base, pose(5, 0.2))


def test_nan_is_refused_and_nothing_is_lost(buffer):
    with pytest.raises(DataError, match="NaN"):
        buffer.add(1100 * MS, np.full((4, 4), np.nan))
    assert buffer.newest_stamp() == 1000 * MS


def test_forgets_what_is_older_than_its_history():
    buffer = OdometryBuffer(OdometryBufferConfig(history=1.0))
    for i in range(40):
        buffer.add(i * 100 * MS, pose(i))
    assert buffer.first().stamp_ns == 2900 * MS


def test_the_way_is_counted_along_it_and_noise_at_rest_is_none():
    buffer, rng = OdometryBuffer(OdometryBufferConfig(history=100.0)), np.random.default_rng(0)
    for k in range(1001):  # 5 m ahead and back
        x = 0.01 * min(k, 1000 - k)
        buffer.add(k * 20 * MS, pose(x))
    there = buffer.at(500 * 20 * MS)
    assert there.metres == pytest.approx(5.0, abs=0.1)
    assert buffer.at(1000 * 20 * MS).metres == pytest.approx(10.0, abs=0.2)
    half = buffer.at(250 * 20 * MS + 10 * MS)
    assert half.metres == pytest.approx(2.505, abs=0.06)
    for k in range(1001, 2001):  # 20 s at rest, with 2 mm of noise
        buffer.add(k * 20 * MS, pose(rng.normal(0, 0.002), rng.normal(0, 0.001)))
    assert buffer.at(2000 * 20 * MS).metres == pytest.approx(10.0, abs=0.3)
    assert buffer.at(2000 * 20 * MS).radians < 0.1


@pytest.mark.parametrize(
    "to, said", [(pose(8.0, 0.2), "jumped by 3.00 m, 0.0 deg"), (np.eye(4), "jumped by 5.00 m")]
)
def test_a_jump_or_a_restart_at_zero_is_taken_out_of_the_way(buffer, to, said):
    before = buffer.newest()
    buffer.add(1020 * MS, to)
    assert said in buffer.jumped()
    after = buffer.newest()
    np.testing.assert_array_equal(after.T_odom_base, to)
    np.testing.assert_allclose(after.T_start_base, before.T_start_base, atol=1e-12)
    assert (after.jumps, after.metres) == (1, before.metres)
    between, beyond = buffer.at(1010 * MS), buffer.at(1100 * MS)
    np.testing.assert_allclose(between.T_start_base, before.T_start_base, atol=1e-12)
    np.testing.assert_allclose(beyond.T_start_base, before.T_start_base, atol=1e-12)
    buffer.add(1120 * MS, to @ pose(0.5))
    later = buffer.newest()
    assert later.metres == pytest.approx(before.metres + 0.5)
    np.testing.assert_allclose(later.T_start_base, before.T_odom_base @ pose(0.5), atol=1e-12)
    for k in range(1, 120):
        buffer.add((1120 + 100 * k) * MS, to @ pose(0.5))
    assert buffer.jumped() == ""


def test_a_turn_on_the_spot_that_no_robot_makes_is_a_jump(buffer):
    buffer.add(1020 * MS, pose(5.0, 1.2))
    assert buffer.newest().jumps == 1 and "57.3 deg" in buffer.jumped()


def test_a_fast_robot_and_a_gap_are_no_jumps(buffer):
    for k in range(1, 20):  # 30 m/s
        buffer.add((1000 + 20 * k) * MS, pose(5 + 0.6 * k, 0.2))
    buffer.add(6000 * MS, pose(120.0, 2.0))
    assert buffer.newest().jumps == 0 and buffer.jumped() == ""


def test_velocity_beyond_the_newest_pose_is_that_over_50_ms():
    buffer, rng = OdometryBuffer(), np.random.default_rng(0)
    for k in range(100):  # 200 Hz, a millimetre of noise: 0.2 m/s over one step
        buffer.add(k * 5 * MS, pose(0.005 * k + rng.normal(0, 0.001)))
    beyond = buffer.at(99 * 5 * MS + 150 * MS).T_odom_base[0, 3]
    assert beyond == pytest.approx(0.495 + 0.15, abs=0.012)

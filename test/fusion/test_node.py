"""Queue, history and inputs around the filter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.fusion.inputs import Input, OdometryMessage, PoseMessage
from pixloc_ros.evaluation.fusion.node import FilterNode
from pixloc_ros.evaluation.fusion.settings import read_settings

CONFIG = Path(__file__).parents[2] / "config" / "ekf.yaml"
SPEED, TICK = 5.0, 20_000_000


def odometry(tick):
    twist = np.array([SPEED, 0, 0, 0, 0, 0.0])
    return OdometryMessage(tick * TICK, np.eye(4), np.eye(6), twist, np.eye(6) * 0.01)


def pose(tick, offset=0.0):
    T = transforms.exp(np.array([100 + SPEED * tick * TICK * 1e-9 + offset, 7, 1, 0, 0, 0]))
    return PoseMessage(tick * TICK, T, np.eye(6) * 1e-4)


def drive(settings, late_ticks, ticks=150, offsets=None):
    """A straight drive with a pose every tenth tick, each `late_ticks` late."""
    node = FilterNode(settings)
    for tick in range(1, ticks):
        node.receive("odom0", odometry(tick))
        seen = tick - late_ticks
        if seen > 0 and seen % 10 == 0:
            node.receive("pose0", pose(seen, (offsets or {}).get(seen, 0.0)))
        estimate = node.update(tick * TICK)
    return node, estimate


@pytest.fixture(scope="module")
def settings():
    return read_settings(CONFIG, "ekf_map")


def test_late_poses_count_as_if_they_had_come_in_time(settings):
    _, prompt = drive(settings, 0, ticks=132)
    _, late = drive(settings, 25, ticks=156)  # both have seen the poses up to tick 130
    node, early = drive(settings, 0, ticks=156)
    assert late.stamp_ns == early.stamp_ns > prompt.stamp_ns
    truth = 100 + SPEED * 155 * TICK * 1e-9
    assert abs(late.state[0] - truth) < 0.02 and abs(early.state[0] - truth) < 0.02
    poses = {
        f.measurement.stamp_ns: f
        for f in node.fused.values()
        if f.measurement.source == "pose0_pose"
    }
    late_node, _ = drive(settings, 25, ticks=156)
    for fused in late_node.fused.values():
        if fused.measurement.source == "pose0_pose":
            twin = poses[fused.measurement.stamp_ns]
            np.testing.assert_allclose(fused.estimate.state, twin.estimate.state, atol=1e-9)
            assert fused.verdict.accepted


@pytest.mark.parametrize("changes", [{"smooth_lagged_data": False}, {"history_length": 0.1}])
def test_without_enough_history_late_poses_pull_back(changes):
    _, late = drive(read_settings(CONFIG, "ekf_map", changes), 25)
    behind = 100 + SPEED * 149 * TICK * 1e-9 - late.state[0]
    assert behind > 0.5, "half a second late at 5 m/s"


def test_an_outlier_is_refused_and_the_next_pose_is_not(settings):
    node, _ = drive(settings, 5, offsets={60: 3.0})
    verdicts = {
        f.measurement.stamp_ns // TICK: f.verdict.accepted
        for f in node.fused.values()
        if f.measurement.source == "pose0_pose"
    }
    assert not verdicts.pop(60) and all(verdicts.values())


def test_the_first_pose_may_lie_anywhere(settings):
    """The filter starts at the origin; the map may begin kilometres away."""
    node = FilterNode(settings)
    for tick in range(1, 40):
        node.receive("odom0", odometry(tick))
        node.update(tick * TICK)
    far = transforms.exp(np.array([8e3, -6e3, 120.0, 0, 0, 3.0]))
    node.receive("pose0", PoseMessage(30 * TICK, far, np.eye(6) * 1e-4))
    node.receive("odom0", odometry(40))
    estimate = node.update(40 * TICK)
    ahead = far @ transforms.exp(np.array([SPEED * 10 * TICK * 1e-9, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(estimate.state[:3], ahead[:3, 3], atol=0.1)


def test_silence_is_bridged_by_prediction(settings):
    node, last = drive(settings, 0, ticks=60)
    assert node.update(61 * TICK) is None, "nothing new yet"
    later = node.update(90 * TICK)
    assert later.stamp_ns == 90 * TICK
    assert later.state[0] - last.state[0] == pytest.approx(SPEED * 31 * TICK * 1e-9, abs=0.02)
    assert later.covariance[0, 0] > last.covariance[0, 0]


def test_differences_of_poses_are_velocities(settings):
    update = np.array([True] * 6 + [False] * 9)
    source = Input(replace(settings.inputs[0], update=update, differential=True), False)
    T = transforms.exp(np.array([3.0, 1.0, 0, 0, 0, 0.7]))
    step = transforms.exp(np.array([0.1, 0.0, 0, 0, 0, 0.002]))
    message = odometry(1)
    assert source.take(replace(message, T=T)) == []
    (found,) = source.take(replace(odometry(2), T=T @ step, covariance=np.eye(6) * 3.0))
    np.testing.assert_allclose(found.values[6:12], [5, 0, 0, 0, 0, 0.1], atol=1e-9)
    np.testing.assert_allclose(np.diag(found.covariance)[6:12], (1 + 3) * 0.02)
    assert found.update.tolist() == [False] * 6 + [True] * 6 + [False] * 3


def test_the_shipped_file_is_understood_to_the_last_line(settings):
    local = read_settings(CONFIG, "ekf_local")
    assert (local.world_frame, settings.world_frame) == ("odom", "map")
    assert [i.name for i in local.inputs] == ["odom0"]
    assert [i.name for i in settings.inputs] == ["odom0", "pose0"]
    for each in (local, settings):
        assert not each.inputs[0].update[:6].any(), "the odometry's own pose is never fused"


def test_what_ros_would_drop_in_silence_is_an_error(tmp_path):
    document = yaml.safe_load(CONFIG.read_text())
    parameters = document["/**"]["ekf_map"]["ros__parameters"]
    for key, value in (("histroy_length", 1.0), ("imu0", "imu"), ("pose1_config", [True] * 15)):
        broken = {"/**": {"ekf_map": {"ros__parameters": {**parameters, key: value}}}}
        (tmp_path / "ekf.yaml").write_text(yaml.safe_dump(broken))
        with pytest.raises(ConfigError, match=key):
            read_settings(tmp_path / "ekf.yaml", "ekf_map")
    with pytest.raises(ConfigError, match="nobody"):
        read_settings(CONFIG, "nobody")
    with pytest.raises(ConfigError, match="15"):
        read_settings(CONFIG, "ekf_map", {"process_noise_covariance": [1.0] * 14})

"""The real ekf_node with the shipped parameters, on the same recording, where it is installed."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("launch", reason="launch is not on PyPI; this runs where ROS 2 is installed")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI")
rclpy = pytest.importorskip("rclpy")

import launch  # noqa: E402
from ament_index_python.packages import PackageNotFoundError, get_package_prefix  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from pixloc_ros.cli.processes import free_domain  # noqa: E402
from pixloc_ros.core.geometry import transforms  # noqa: E402
from pixloc_ros.datasets.bag_topics import Channel, add_channels, open_writer  # noqa: E402
from pixloc_ros.evaluation.fusion.recording import delayed, read_recording, with_outliers  # noqa: E402
from pixloc_ros.evaluation.fusion.run import figures, run_filter  # noqa: E402
from pixloc_ros.evaluation.fusion.settings import read_settings  # noqa: E402
from pixloc_ros.messages.headers import stamp_of  # noqa: E402
from pixloc_ros.messages.maker import MessageMaker  # noqa: E402
from pixloc_ros.messages.poses import pose_of  # noqa: E402

ROOT = Path(__file__).parents[2]
CONFIG, FILE = ROOT / "config" / "ekf.yaml", ROOT / "launch" / "localize_ekf.launch.py"
POSE = "geometry_msgs/msg/PoseWithCovarianceStamped"


@pytest.fixture
def ekf_node(monkeypatch):
    try:
        prefix = Path(get_package_prefix("robot_localization"))
    except PackageNotFoundError:
        pytest.skip("robot_localization is not installed (apt: ros-jazzy-robot-localization)")
    assert (prefix / "lib/robot_localization/ekf_node").is_file()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))


def with_poses(bag: Path, recording, path: Path) -> Path:
    """The bag's odometry with the localizer's poses, each at the time it was published."""
    make = MessageMaker("map", "odom", "base_link", "camera")
    events = []
    with Reader(bag) as reader:
        events += [
            (log_ns, 0, bytes(raw))
            for connection, log_ns, raw in reader.messages()
            if connection.topic == "/odom"
        ]
    types = make.typestore.types
    for stamp, arrival, T, covariance in zip(
        recording.stamps_ns, recording.arrival_ns, recording.T_map_base, recording.covariances
    ):
        stated = make.ground_truth(int(stamp), T)
        stated.pose.covariance[:] = covariance.ravel()
        message = types[POSE](stated.header, stated.pose)
        events.append((int(arrival), 1, bytes(make.serialize(message))))
    topics = {0: Channel("/odom", "nav_msgs/msg/Odometry"), 1: Channel("/localizer/pose", POSE)}
    with open_writer(path, "mcap") as writer:
        channels = add_channels(writer, topics, make.typestore)
        for log_ns, channel, raw in sorted(events):
            writer.write(channels[channel], log_ns, raw)
    return path


class Listener:
    """Keeps what the filters publish."""

    def __init__(self):
        rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.node = rclpy.create_node("listener")
        self.fused: dict[int, np.ndarray] = {}
        self.links: set[tuple[str, str]] = set()
        self.node.create_subscription(Odometry, "/odometry/map", self._on_odometry, 100)
        self.node.create_subscription(TFMessage, "/tf", self._on_tf, 100)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(5)
        rclpy.shutdown()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_odometry(self, message: Odometry) -> None:
        self.fused[stamp_of(message)] = pose_of(message.pose.pose)

    def _on_tf(self, message: TFMessage) -> None:
        self.links |= {(t.header.frame_id, t.child_frame_id) for t in message.transforms}


def filters():
    """Both ekf_nodes as the launch file starts them."""
    spec = importlib.util.spec_from_file_location("localize_ekf_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = {"namespace": "", "ekf_params_file": str(CONFIG), "odom": "odom"}
    return [
        module.ekf("ekf_local", "odometry/local", given, True),
        module.ekf("ekf_map", "odometry/map", given, True),
    ]


def test_the_real_filter_does_what_the_model_says(ekf_node, bag, tmp_path, data, live_rate):
    recording = with_outliers(delayed(read_recording(bag, data / "live", live_rate), 0.4), 0.1)
    model = figures(run_filter(read_settings(CONFIG, "ekf_map"), recording))
    played = with_poses(bag, recording, tmp_path / "poses")
    listener = Listener()
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(launch.LaunchDescription(filters()))
    status = []

    def play():
        try:
            deadline = time.monotonic() + 60
            while (
                listener.node.count_subscribers("/localizer/pose") < 1
                and time.monotonic() < deadline
            ):
                time.sleep(0.1)
            player = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pixloc_ros.ros.bag_player",
                    str(played),
                    "--clock",
                    "--wait-for-subscribers",
                ],
                timeout=120,
            )
            status.append(player.returncode)
            time.sleep(1.0)
        finally:
            service.shutdown()

    thread = threading.Thread(target=play)
    thread.start()
    service.run()
    thread.join()
    listener.close()
    assert status == [0]
    assert {("map", "odom"), ("odom", "base_link")} <= listener.links
    stamps = np.array(sorted(listener.fused))
    stamps = stamps[stamps > recording.arrival_ns.min() + 10**9]
    truth = recording.true_pose(stamps)
    known = np.isfinite(truth[:, 0, 3])
    metres, radians = transforms.pose_error(
        np.stack([listener.fused[s] for s in stamps[known]]), truth[known]
    )
    assert known.sum() > 200
    assert np.sqrt(np.mean(metres**2)) < 1.5 * model.published_m + 0.01
    assert np.degrees(np.sqrt(np.mean(radians**2))) < 1.5 * model.published_deg + 0.1

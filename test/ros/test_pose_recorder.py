"""What the recorder keeps when something goes wrong on the way."""

import errno

import numpy as np
import pytest

pytest.importorskip("rclpy")

from robot import Robot

from pixloc_ros.evaluation.trajectory import read_poses
from pixloc_ros.ros.pose_recorder import PoseRecorder


@pytest.fixture
def recorder(graph, tmp_path):
    node = PoseRecorder("/localizer", tmp_path / "run", None)
    graph.add_node(node)
    yield node
    node.destroy_node()


def message(k: int):
    T = np.eye(4)
    T[0, 3] = k
    return Robot.pose_message(T, 1_000_000_000 * (k + 1))


def test_poses_are_on_the_disk_as_they_come(recorder, tmp_path):
    for k in range(3):
        recorder._on_pose(message(k))
    stamps, poses, covariances = read_poses(tmp_path / "run" / "poses.csv")
    assert stamps.tolist() == [1_000_000_000, 2_000_000_000, 3_000_000_000]
    assert poses[:, 0, 3].tolist() == [0, 1, 2] and covariances[0, 0, 0] == pytest.approx(0.01)
    recorder.write()
    assert (tmp_path / "run" / "live.tum").read_text().count("\n") == 3


def test_a_full_disk_costs_only_what_came_meanwhile(recorder, tmp_path, monkeypatch):
    recorder._on_pose(message(0))
    with monkeypatch.context() as full:

        def refuse(row):
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(recorder, "_rows", type("Full", (), {"writerow": staticmethod(refuse)}))
        recorder._on_pose(message(1))
    recorder._on_pose(message(2))
    recorder.write()
    stamps, *_ = read_poses(tmp_path / "run" / "poses.csv")
    assert stamps.tolist() == [1_000_000_000, 3_000_000_000]

"""Single images from proposed poses, and where a map lies in its model."""

from types import SimpleNamespace

import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.retrieval import localize_images, map_from_model

T_MAP_WORLD = transforms.exp(np.array([10.0, -3.0, 1.0, 0.3, -0.2, 1.0]))
WORLD = {f"{i}.jpg": transforms.exp(np.array([i, 0.5 * i, 0, 0, 0.1 * i, 0])) for i in range(4)}


def a_map(poses: dict) -> SimpleNamespace:
    return SimpleNamespace(
        path="maps/street",
        keyframe_names=lambda: list(poses),
        keyframe_poses=lambda: np.stack(list(poses.values())),
    )


def test_where_a_map_lies_in_its_model():
    inside = {name: T_MAP_WORLD @ T for name, T in list(WORLD.items())[1:]}
    np.testing.assert_allclose(map_from_model(a_map(inside), WORLD), T_MAP_WORLD, atol=1e-12)
    scaled = {name: T.copy() for name, T in inside.items()}
    for T in scaled.values():
        T[:3, 3] *= 1.1
    with pytest.raises(DataError, match="--scale 1"):
        map_from_model(a_map(scaled), WORLD)
    with pytest.raises(DataError, match="no image in common"):
        map_from_model(a_map({"other.jpg": np.eye(4)}), WORLD)


class Tracker:
    """Accepts a prior near x = 5 and puts it right; remembers what it was asked."""

    def __init__(self):
        self.odometry = SimpleNamespace(add=lambda stamp, T: None)
        self.asked = []

    def reset(self):
        self.asked.append("reset")

    def set_pose(self, stamp_ns, T, covariance):
        self.asked.append(float(T[0, 3]))
        self.covariance = covariance

    def process(self, frame):
        accepted = abs(self.asked[-1] - 5) < 1
        T = transforms.exp(np.array([5.0, 0, 0, 0, 0, 0])) if accepted else None
        return SimpleNamespace(accepted=accepted, T_map_base=T, num_inliers=42)


def at(x: float) -> np.ndarray:
    return transforms.exp(np.array([x, 0, 0, 0, 0, 0]))


def test_proposals_are_tried_in_turn():
    tracker = Tracker()
    proposals = {"a": [at(0), at(5.5), at(4.9)], "b": [at(1), at(2)], "c": []}
    found = localize_images(
        tracker, [(name, None) for name in "abcd"], lambda name: None, proposals, (2.0, 0.1)
    )
    assert tracker.asked == ["reset", 0.0, "reset", 5.5, "reset", 1.0, "reset", 2.0]
    assert set(found) == {"a", "b"}
    assert found["a"].accepted and found["a"].T_map_cam[0, 3] == 5 and found["a"].num_inliers == 42
    assert not found["b"].accepted and found["b"].T_map_cam[0, 3] == 1
    np.testing.assert_allclose(np.diag(tracker.covariance), [4, 4, 4, 0.01, 0.01, 0.01])

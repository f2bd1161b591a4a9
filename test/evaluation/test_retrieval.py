"""Single images from proposed poses, and where a map lies in its model."""

from types import SimpleNamespace

import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Fix
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


class Localizer:
    """Scores the prior nearest to x = 5 highest and puts it right; the gates accept it if it was
    near. Remembers what it was asked."""

    def __init__(self):
        self.looked, self.asked = 0, []

    def look(self, image):
        self.looked += 1

    def localize(self, features, frame, prior, covariance):
        self.asked.append(prior[:, 0, 3].tolist())
        self.covariance = covariance
        place = int(np.argmin(np.abs(prior[:, 0, 3] - 5)))
        near = abs(prior[place, 0, 3] - 5) < 1
        tight = np.diag([0.01**2] * 6)
        return Fix(
            at(5.0),
            tight,
            tight,
            place=place,
            update=np.zeros(6),
            num_points=100,
            num_inliers=42 if near else 0,
            cost=0.03,
        )


def at(x: float) -> np.ndarray:
    return transforms.exp(np.array([x, 0, 0, 0, 0, 0]))


def test_the_best_of_the_proposals_is_taken_and_each_image_seen_once():
    localizer = Localizer()
    proposals = {"a": [at(0), at(5.5), at(4.9)], "b": [at(1), at(2)], "c": []}
    found = localize_images(
        localizer, [(name, None) for name in "abcd"], lambda name: None, proposals, (2.0, 0.1)
    )
    assert localizer.asked == [[0.0, 5.5, 4.9], [1.0, 2.0]] and localizer.looked == 2
    assert set(found) == {"a", "b"}
    assert found["a"].accepted and found["a"].T_map_cam[0, 3] == 5 and found["a"].num_inliers == 42
    assert not found["b"].accepted and found["b"].T_map_cam[0, 3] == 1
    assert localizer.covariance.shape == (2, 6, 6)
    np.testing.assert_allclose(np.diag(localizer.covariance[0]), [4, 4, 4, 0.01, 0.01, 0.01])

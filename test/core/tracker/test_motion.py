"""Carrying a pose and its covariance along by odometry."""

import numpy as np

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.motion import Anchor, OdometryNoise
from pixloc_ros.core.tracker.odometry import OdometrySample

SILENT = OdometryNoise(0, 0, 0, 0, 0)


def odom(T_odom_base: np.ndarray, metres: float = 0.0, radians: float = 0.0) -> OdometrySample:
    return OdometrySample(0, T_odom_base, metres, radians)


def perturbed(T: np.ndarray, error6: np.ndarray) -> np.ndarray:
    """T with a position error and a rotation error about map axes."""
    turn = transforms.exp(np.concatenate([np.zeros(3), error6[3:]]))
    return transforms.from_Rt(turn[:3, :3] @ T[:3, :3], T[:3, 3] + error6[:3])


def test_the_covariance_is_that_of_many_drives_with_a_wrong_start():
    rng = np.random.default_rng(0)
    T_map_base = transforms.exp(np.array([3, 4, 0, 0.1, 0.2, 1.0]))
    T_odom_base = transforms.exp(np.array([1, 0, 0, 0, 0, 0.3]))
    later = T_odom_base @ transforms.exp(np.array([8, 1, 0.2, 0, 0.02, 0.4]))
    root = rng.normal(size=(6, 6)) * 0.01
    covariance = root @ root.T + np.diag([1e-4] * 3 + [1e-5] * 3)

    predicted, carried = Anchor(0, T_map_base, odom(T_odom_base), covariance).predict(
        odom(later), SILENT
    )
    errors = []
    for error6 in rng.multivariate_normal(np.zeros(6), covariance, size=4000):
        wrong = Anchor(0, perturbed(T_map_base, error6), odom(T_odom_base), covariance)
        errors.append(transforms.error6(wrong.predict(odom(later), SILENT)[0], predicted))
    measured = np.cov(np.array(errors).T)
    scale = np.sqrt(np.outer(np.diag(carried), np.diag(carried)))
    np.testing.assert_allclose(measured / scale, carried / scale, atol=0.08)


def test_uncertainty_grows_with_the_way():
    anchor = Anchor(0, np.eye(4), odom(np.eye(4)), np.diag([1e-4] * 6))
    noise = OdometryNoise()
    stds = [
        np.sqrt(
            np.diag(anchor.predict(odom(transforms.exp(np.array([x, 0, 0, 0, 0, 0]))), noise)[1])
        )
        for x in (0.0, 1.0, 10.0)
    ]
    assert (stds[0] < stds[1]).all() and (stds[1] < stds[2]).all()


def test_a_way_that_leads_back_to_its_start_costs_as_much_as_one_that_does_not():
    anchor = Anchor(0, np.eye(4), odom(np.eye(4), 100.0, 3.0), np.diag([1e-4] * 6))
    noise = OdometryNoise()
    there = anchor.predict(odom(transforms.exp(np.array([10.0, 0, 0, 0, 0, 0])), 110.0, 3.0), noise)
    back = anchor.predict(odom(np.eye(4), 110.0, 3.0), noise)
    std = 0.03 + 0.03 * 10 + 0.5 * (0.006 + 0.003 * 10) * 10
    np.testing.assert_allclose(np.diag(back[1])[:3], std**2 + 1e-4)
    assert np.diag(back[1])[0] == np.diag(there[1])[0]
    turned = anchor.predict(odom(np.eye(4), 100.0, 5.0), noise)
    assert np.sqrt(turned[1][5, 5]) > 2 * noise.rotation_per_rad


def test_the_correction_explains_the_pose():
    T_map_base = transforms.exp(np.array([3, 4, 0, 0.1, 0.2, 1.0]))
    T_odom_base = transforms.exp(np.array([1, 0, 0, 0, 0, 0.3]))
    anchor = Anchor(0, T_map_base, odom(T_odom_base), np.eye(6))
    now = odom(T_odom_base @ transforms.exp(np.array([2.0, 0, 0, 0, 0, 0.5])))
    np.testing.assert_allclose(anchor.T_map_odom(now) @ T_odom_base, T_map_base, atol=1e-12)

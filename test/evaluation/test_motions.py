"""Without ground truth: the factors are found again from odometry between fixes."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Fix
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.motion import OdometryNoise
from pixloc_ros.evaluation.consistency import Consistency
from pixloc_ros.evaluation.motions import Motions, fit_to_motions

TRUE = CovarianceConfig(scale=4.0, growth=8.0, map_std_m=0.02, map_std_deg=0.05)
USED = CovarianceConfig(map_std_m=0.02, map_std_deg=0.05)
#: Of odometry: m, rad per metre.
DRIFT = np.repeat([0.004, 0.0004], 3)


def drawn(count: int = 600, planar: bool = False) -> tuple[list[Fix], np.ndarray]:
    """Fixes every 0.55 m of a bend, whose errors are those of TRUE but for the map's own, and
    odometry at each of them."""
    random = np.random.default_rng(0)
    step = transforms.exp(np.array([0.55, 0.0, 0.0, 0.0, 0.0, 0.02]))
    truth, odometry, fixes = np.eye(4), np.eye(4), []
    poses = []
    for _ in range(count):
        px = float(random.lognormal(-0.7, 0.8))
        std = np.repeat([0.01, math.radians(0.02)], 3) * random.lognormal(0, 0.3, 6)
        error = np.sqrt(TRUE.of_image(px)) * std * random.standard_t(5, 6)
        turned = transforms.exp(np.concatenate([np.zeros(3), error[3:]]))
        T = transforms.from_Rt(turned[:3, :3] @ truth[:3, :3], truth[:3, 3] + error[:3])
        covariance = USED.of_image(px) * np.diag(std**2) + USED.of_map()
        fixes.append(Fix(T, covariance, covariance, crosscheck=px))
        poses.append(odometry)
        moved = 0.55 * DRIFT * random.normal(size=6)
        if planar:
            moved[2:5] = 0.0
        truth, odometry = truth @ step, odometry @ step @ transforms.exp(moved)
    return fixes, np.array(poses)


def test_the_factors_are_found_again_and_the_maps_own_error_is_kept():
    motions = Motions.between(*drawn(), USED, OdometryNoise())
    found, odometry = fit_to_motions(motions, USED)
    assert found.scale == pytest.approx(TRUE.scale, rel=0.4)
    assert found.growth == pytest.approx(TRUE.growth, rel=0.4)
    assert (found.map_std_m, found.map_std_deg) == (USED.map_std_m, USED.map_std_deg)
    assert (odometry / DRIFT < 2).all() and (odometry / DRIFT > 0.2).all()
    judged = replace(motions, odometry=odometry)
    fitted, before = (Consistency.of(judged, config) for config in (found, USED))
    assert all(0.87 < share < 0.96 for share in fitted.inside)
    assert max(before.inside) < min(fitted.inside)


def test_a_wrong_fix_is_left_out_and_counted():
    fixes, odometry = drawn(60)
    right = Motions.between(fixes, odometry, USED, OdometryNoise())
    fixes[30] = replace(fixes[30], T_map_base=fixes[30].T_map_base + np.eye(4, k=3))
    motions = Motions.between(fixes, odometry, USED, OdometryNoise())
    assert right.wrong == 0 and motions.wrong == 8, "four windows begin and four end there"
    assert len(motions) == len(right) - 8


def test_axes_that_odometry_does_not_measure_are_not_judged():
    fixes, odometry = drawn(60, planar=True)
    motions = Motions.between(fixes, odometry, USED, OdometryNoise())
    assert motions.errors.shape[1] == len(motions.odometry) == 3


def test_a_number_that_the_motions_say_nothing_of_stays_as_it_is_by_default():
    fixes, odometry = drawn(60)
    same = [replace(fix, crosscheck=0.0) for fix in fixes]
    found, _ = fit_to_motions(Motions.between(same, odometry, USED, OdometryNoise()), USED)
    assert found.growth == pytest.approx(CovarianceConfig().growth, rel=0.01)


def test_a_handful_of_motions_and_a_robot_that_stands_are_refused():
    fixes, odometry = drawn(6)
    with pytest.raises(DataError, match="motions between fixes; at least 20"):
        fit_to_motions(Motions.between(fixes, odometry, USED, OdometryNoise()), USED)
    with pytest.raises(DataError, match="no two fixes with 0.5 to 8.0 m of odometry between"):
        Motions.between(fixes, np.tile(np.eye(4), (6, 1, 1)), USED, OdometryNoise())

"""Odometry against the map: what is said of a wrong one, and covered."""

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.tracker.motion import Anchor, OdometryNoise
from pixloc_ros.core.tracker.odometry import OdometrySample
from pixloc_ros.core.tracker.odometry_watch import OdometryWatch, OdometryWatchConfig

#: Forward is z, as in a camera's optical frame.
OPTICAL = np.array([[0, -1.0, 0], [0, 0, -1.0], [1.0, 0, 0]])
STATED = OdometryNoise()


def driven(scale=1.0, turned=1.0, axes=np.eye(3), wrong_fixes=(), steps=60) -> OdometryWatch:
    """A curve of 0.3 m and 0.06 rad a step, fixes of 2 cm, odometry with 1 % of noise."""
    rng, watch = np.random.default_rng(0), OdometryWatch()
    T_odom, T_map = np.eye(4), np.eye(4)
    for k in range(steps):
        step = np.array([0.3, 0, 0, 0, 0, 0.06])
        T_map = T_map @ transforms.exp(step)
        factors = np.repeat([scale, turned], 3) * (1 + rng.normal(0, 0.01, 6))
        measured = (step * factors).reshape(2, 3) @ axes.T
        T_odom = T_odom @ transforms.exp(measured.ravel())
        found = T_map.copy()
        found[:3, 3] += rng.normal(0, 0.02, 3) + (2.0 if k in wrong_fixes else 0.0)
        fix = Anchor(k, found, OdometrySample(k, T_odom), np.eye(6))
        watch.add(fix) if k else watch.begin(fix)
    return watch


def test_odometry_as_it_should_be_is_not_suspected():
    watch = driven()
    assert watch.suspected() == "" and watch.noise(STATED) == STATED
    assert driven(wrong_fixes=(20, 40)).suspected() == "", "a wrong fix is not odometry's fault"
    assert driven(scale=1.05).suspected() == ""


@pytest.mark.parametrize("scale, std", [(2.0, 0.5), (0.5, 1.0)])
def test_a_wrong_scale_is_said_and_covered(scale, std):
    watch = driven(scale=scale)
    assert watch.suspected().startswith("it moves") and "deg off" not in watch.suspected()
    assert float(watch.suspected().split()[2]) == pytest.approx(scale, rel=0.05)
    assert watch.noise(STATED).translation_per_m == pytest.approx(std, abs=0.05)
    assert watch.noise(STATED).rotation_per_rad == STATED.rotation_per_rad


def test_turns_are_compared_too():
    watch = driven(turned=0.5)
    assert "it turns 0.5" in watch.suspected()
    assert watch.noise(STATED).rotation_per_rad == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("axes, degrees", [(np.diag([-1.0, -1, 1]), "180"), (OPTICAL, "90")])
def test_a_wrong_sense_or_frame_is_said_and_covered(axes, degrees):
    watch = driven(axes=axes)
    assert f"a direction {degrees} deg off" in watch.suspected().replace("179", "180")
    assert watch.noise(STATED).translation_per_m > 1.3


def test_few_pieces_say_nothing_and_a_mended_odometry_is_believed_again():
    watch = driven(scale=2.0, steps=8)
    assert watch.suspected() == ""
    watch = driven(scale=2.0)
    T = np.eye(4)
    watch.begin(Anchor(0, T, OdometrySample(0, T), np.eye(6)))
    for k in range(1, 1 + OdometryWatchConfig().window):
        T = T @ transforms.exp(np.array([1.1, 0, 0, 0, 0, 0]))
        watch.add(Anchor(k, T, OdometrySample(k, T), np.eye(6)))
    assert "moves" not in watch.suspected()


def test_a_piece_with_a_jump_in_it_does_not_count():
    watch = OdometryWatch()
    T = np.eye(4)
    watch.begin(Anchor(0, T, OdometrySample(0, T), np.eye(6)))
    for k in range(1, 40):
        T = T @ transforms.exp(np.array([1.1, 0, 0, 0, 0, 0]))
        jumped = T @ transforms.exp(np.array([5.0 * k, 0, 0, 0, 0, 0]))
        watch.add(Anchor(k, T, OdometrySample(k, jumped, jumps=k), np.eye(6)))
    assert watch.suspected() == ""


def test_other_settings_hold_for_the_way_so_far():
    watch = driven(scale=1.25)
    said = watch.suspected()
    assert "it moves 1.2" in said
    watch.reconfigure(OdometryWatchConfig(suspected=0.5))
    assert watch.suspected() == "" and watch.noise(STATED) == STATED
    watch.reconfigure(OdometryWatchConfig())
    assert watch.suspected() == said


@pytest.mark.parametrize("fewest", [0, 10])
def test_a_judgement_needs_pieces_that_are_kept(fewest):
    with pytest.raises(ValueError, match=f"fewest is {fewest}"):
        OdometryWatchConfig(fewest=fewest, window=9)

"""Looks at the cameras, counted: what is said, what is refused, when the next one is due."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.frame import CameraError
from pixloc_ros.core.tracker.camera import CameraWatch, CameraWatchConfig

CONFIG = CameraWatchConfig(every=4, window=5, scatter=0.008, suspected=0.005, refused=0.015)


def watch_of(*looks) -> CameraWatch:
    watch = CameraWatch(CONFIG)
    for focal, x, y in looks:
        watch.add((CameraError(focal, x, y, 1e-3, 1e-3, 1e-3),))
    return watch


def test_a_right_camera_is_looked_at_now_and_then():
    watch = CameraWatch(CONFIG)
    assert watch.due and watch.error() is None and watch.refused() == watch.suspected() == ""
    for _ in range(CONFIG.window):
        assert watch.due
        watch.add((CameraError(0.001, -0.002, 0.001, 1e-3, 1e-3, 1e-3),))
    assert [watch.add(()) or watch.due for _ in range(4)] == [False, False, False, True]
    assert watch.refused() == watch.suspected() == ""


def test_a_wrong_focal_length_is_refused_at_once_and_named():
    watch = watch_of((-0.048, 0.003, 0.001))
    assert watch.refused() == "the focal length is off by -4.8 %"
    assert watch.due, "it is looked at until it is right"


def test_the_principal_point_is_named_with_its_side():
    assert "to the right by -5.5 % of the focal length" in watch_of((0.0, -0.055, 0.0)).refused()
    assert "downwards by +5.5 %" in watch_of((0.0, 0.0, 0.055)).refused()


def test_single_bad_looks_do_not_refuse_a_right_camera():
    random = np.random.default_rng(0)
    looks = random.normal(0, CONFIG.scatter, (CONFIG.window, 3))
    looks[1] = 0.2
    watch = watch_of((0.0, 0.0, 0.0), *looks)
    assert watch.refused() == ""


@pytest.mark.parametrize("error, said", [(0.005, False), (0.02, True)])
def test_a_small_error_is_said_once_it_is_sure(error, said):
    watch = watch_of((error, 0.0, 0.0))
    assert watch.suspected() == ""
    watch = watch_of(*[(error, 0.0, 0.0)] * CONFIG.window)
    assert bool(watch.suspected()) is said and watch.refused() == ""


def test_a_camera_that_was_put_right_is_believed_again():
    watch = watch_of(*[(0.05, 0.0, 0.0)] * CONFIG.window)
    assert watch.refused()
    for _ in range(CONFIG.window // 2 + 1):
        watch.add((CameraError(0.001, 0.0, 0.0, 1e-3, 1e-3, 1e-3),))
    assert watch.refused() == ""


def test_other_settings_hold_for_the_looks_so_far():
    watch = watch_of(*[(0.03, 0, 0)] * 5)
    assert watch.refused()
    watch.reconfigure(replace(CONFIG, refused=0.1))
    assert not watch.refused() and watch.suspected()
    watch.reconfigure(replace(CONFIG, window=2))
    assert watch.refused() == "", "two looks are too few to be as sure"

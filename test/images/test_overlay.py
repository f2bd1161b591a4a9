"""What is drawn onto a frame."""

import cv2
import numpy as np

from pixloc_ros.core.frame import Fix, PointView
from pixloc_ros.core.tracker import FrameResult, TrackState
from pixloc_ros.images.overlay import draw, residual_colours


def result_with_points() -> FrameResult:
    """200 points in and around an image of 320x240, one of them nowhere."""
    rng = np.random.default_rng(1)
    pixels = rng.uniform([-20, -20], [340, 260], (200, 2))
    pixels[0] = np.nan
    residual, confidence, valid = rng.random(200), rng.random(200), rng.random(200) > 0.2
    fix = Fix(
        np.eye(4),
        np.eye(6),
        np.eye(6),
        update=np.array([0.05, 0, 0, 0, 0, 0.002]),
        num_points=200,
        num_inliers=150,
        cost=0.03,
        views=(PointView(pixels, residual, confidence, valid),),
    )
    return FrameResult(0, TrackState.TRACKING, True, np.eye(4), np.eye(6), np.eye(4), (), fix)


def test_overlay_keeps_the_image_and_colours_by_residual():
    image = np.tile(np.linspace(40, 200, 320, dtype=np.uint8), (240, 1))
    before = image.copy()
    result = result_with_points()
    picture = draw(image, result)
    assert picture.shape == (240, 320, 3) and np.array_equal(image, before)
    assert (picture[..., 0].astype(int) - picture[..., 2] > 100).sum() > 50, "some red"
    assert (picture[..., 1].astype(int) - picture[..., 0] > 100).sum() > 50, "some green"
    good, bad = residual_colours(np.array([0.0, 5.0]))
    assert good[1] > 250 and good[0] == 0 and bad[0] > 250 and bad[1] == 0


def test_overlay_of_a_frame_without_points_says_why():
    picture = draw(
        np.zeros((240, 320, 3), np.uint8), FrameResult(0, TrackState.LOST, reasons=("no odometry",))
    )
    assert picture[:40].any() and not cv2.countNonZero(picture[60:, :, 0])

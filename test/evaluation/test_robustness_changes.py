"""The changes to query images do what their names say, and the same at every run."""

from __future__ import annotations

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.benchmark.robustness.conditions import (
    BASIN,
    CHANGES,
    CONDITIONS,
    changed,
    start_pose,
)

NAMES = [f"query_{i}" for i in range(5)]


def picture(colour: bool) -> np.ndarray:
    """Blocks of 10 px, each of its own brightness between 60 and 220."""
    shape = (18, 60, 3) if colour else (18, 60)
    blocks = np.random.default_rng(3).integers(60, 220, shape).astype(np.uint8)
    return blocks.repeat(10, 0).repeat(10, 1)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_keeps_shape_and_type_and_depends_on_query_and_seed_only(change, colour):
    image = picture(colour)
    before = image.copy()
    first = changed(image, change, "a", 0)
    assert first.dtype == np.uint8 and first.shape == image.shape
    assert np.array_equal(image, before)
    assert np.array_equal(first, changed(image, change, "a", 0))
    assert (first != image).mean() > 0.2
    if change not in ("motion_blur", "jpeg_defocus"):
        assert not np.array_equal(first, changed(image, change, "b", 0))
        assert not np.array_equal(first, changed(image, change, "a", 1))


def test_the_light_field_is_smooth_and_goes_from_a_quarter_to_twice():
    flat = np.full((300, 600), 100, np.uint8)
    light = changed(flat, "light_field", "a", 0).astype(float)
    assert light.min() == pytest.approx(25, abs=1) and light.max() == pytest.approx(200, abs=1)
    assert np.abs(np.diff(light, axis=1)).max() <= 4


def test_occlusion_hides_about_a_third():
    image = np.full((370, 1226), 255, np.uint8)  # no box is that bright
    hidden = np.mean([(changed(image, "occlusion", name, 0) < 255).mean() for name in NAMES])
    assert 0.25 < hidden < 0.45


def test_motion_blur_smears_a_point_over_21_pixels_about_itself_and_along_its_row():
    image = np.zeros((370, 1226), np.uint8)
    image[100, 600] = 255
    rows, columns = np.nonzero(changed(image, "motion_blur", "a", 0))
    assert set(rows) == {100} and columns.min() == 590 and columns.max() == 610
    half = image[::2, ::2]
    assert np.count_nonzero(changed(half, "motion_blur", "a", 0)) == 11


def test_night_is_dark_and_noisy_with_bright_lamps():
    image = np.full((370, 1226, 3), 120, np.uint8)
    dark = np.stack([changed(image, "night", name, 0) for name in NAMES]).astype(float)
    assert np.median(dark) < 40
    assert all((picture > 250).any() for picture in dark)
    assert np.abs(np.diff(dark[:, 300:, :, 1], axis=2)).mean() > 1


def test_the_start_is_off_by_the_prior_in_the_same_direction_under_all_conditions():
    truth = transforms.exp(np.array([4.0, -2.0, 1.0, 0.3, -0.2, 0.9]))
    directions = []
    for condition in (c for c in (*CONDITIONS, *BASIN) if c.prior is not None):
        start = start_pose(condition, truth, "a", 0)
        metres, radians = transforms.pose_error(start, truth)
        assert metres == pytest.approx(condition.prior.metres)
        assert np.degrees(radians) == pytest.approx(condition.prior.degrees, abs=1e-6)
        directions.append((start[:3, 3] - truth[:3, 3]) / metres)
    assert np.allclose(directions, directions[0])
    other = start_pose(CONDITIONS[0], truth, "b", 0)
    assert not np.allclose(other, start_pose(CONDITIONS[0], truth, "a", 0))


def test_names_of_conditions_are_distinct():
    names = [condition.name for condition in (*CONDITIONS, *BASIN)]
    assert len(set(names)) == len(names)

"""The covariance's factors are found again from errors that were drawn with them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.covariance import CovarianceConfig
from pixloc_ros.core.errors import DataError
from pixloc_ros.evaluation.consistency import Consistency, Errors, fit

TRUE = CovarianceConfig(scale=2.0, growth=4.0, map_std_m=0.02, map_std_deg=0.05)


def drawn(count: int, seed: int = 0) -> Errors:
    """Errors of Student's t, as the fit assumes them, in views of different quality."""
    random = np.random.default_rng(seed)
    px = random.lognormal(-0.7, 1.0, count)
    image = np.repeat([0.01**2, math.radians(0.02) ** 2], 3) * random.lognormal(0, 0.7, (count, 6))
    known = Errors(np.zeros((count, 6)), image, px)
    errors = np.sqrt(known.variance(TRUE)) * random.standard_t(5, (count, 6))
    return replace(known, errors=errors)


def test_the_factors_are_found_again():
    found = fit(drawn(4000))
    assert found.scale == pytest.approx(TRUE.scale, rel=0.2)
    assert found.growth == pytest.approx(TRUE.growth, rel=0.2)
    assert found.map_std_m == pytest.approx(TRUE.map_std_m, rel=0.1)
    assert found.map_std_deg == pytest.approx(TRUE.map_std_deg, rel=0.1)


def test_consistency_says_which_settings_are_right():
    judged = drawn(3000, seed=1)
    right, proud = (
        Consistency.of(judged, c) for c in (TRUE, CovarianceConfig(0.2, 0, 0.002, 0.005))
    )
    assert right.mean == pytest.approx(10, abs=1), "t with 5 degrees of freedom: 6 times 5 / 3"
    assert all(0.88 < share < 0.96 for share in right.inside)
    assert proud.mean > 10 * right.mean and max(proud.inside) < 0.6


def test_what_was_published_leads_back_to_what_the_image_gave():
    known = drawn(50)
    used = CovarianceConfig(scale=3.0, growth=1.0, map_std_m=0.03, map_std_deg=0.01)
    again = Errors.from_stds(known.errors, np.sqrt(known.variance(used)), known.crosscheck, used)
    np.testing.assert_allclose(again.image_variance, known.image_variance, rtol=1e-9)


def test_a_handful_of_fixes_is_refused():
    with pytest.raises(DataError, match="5 fixes with ground truth; at least 20"):
        fit(drawn(5))

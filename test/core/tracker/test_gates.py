"""Every gate rejects what it is there for, and only that."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.frame import Fix
from pixloc_ros.core.tracker.gates import GateConfig, judge

GOOD = Fix(
    np.eye(4),
    covariance=np.diag([0.01**2] * 3 + [0.001**2] * 3),
    image_covariance=np.diag([0.01**2] * 3 + [0.001**2] * 3),
    update=np.array([0.05, 0, 0, 0, 0, 0.002]),
    num_points=300,
    num_inliers=150,
    cost=0.03,
)
PRIOR = np.diag([0.05**2] * 3 + [0.01**2] * 3)


def test_a_good_frame_passes():
    assert judge(GateConfig(), GOOD, PRIOR) == ()


def test_where_a_model_of_trust_speaks_it_decides_and_the_fixed_limits_do_not():
    config = GateConfig(min_probability=0.8)
    poor = replace(GOOD, num_inliers=9, cost=0.5)
    assert judge(config, replace(poor, probability=0.85), PRIOR) == ()
    reasons = judge(config, replace(GOOD, probability=0.75), PRIOR)
    assert reasons == ("probability of being right 0.75 < 0.80",)
    assert len(judge(config, poor, PRIOR)) == 2, "no model: inliers and cost"


@pytest.mark.parametrize(
    "change, word",
    [
        (dict(failure="alignment failed"), "failed"),
        (dict(num_points=12), "points"),
        (dict(num_inliers=9), "inliers"),
        (dict(cost=0.5), "cost"),
        (dict(cost=float("nan")), "cost"),
        (dict(update=np.array([0, 21.0, 0, 0, 0, 0])), "correction"),
        (dict(update=np.array([0, 0, 0, 0.5, 0.6, 0])), "correction"),
        (dict(covariance=np.diag([1.0] * 3 + [1e-6] * 3)), "position std"),
        (dict(covariance=np.diag([1e-4] * 3 + [0.01] * 3)), "rotation std"),
        (dict(covariance=np.full((6, 6), np.nan)), "std"),
        (dict(update=np.array([0.6, 0, 0, 0, 0, 0])), "sigma"),
    ],
)
def test_a_bad_frame_is_rejected_with_the_reason(change, word):
    reasons = judge(GateConfig(), replace(GOOD, **change), PRIOR)
    assert reasons and any(word in reason for reason in reasons)

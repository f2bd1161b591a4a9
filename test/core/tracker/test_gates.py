"""Every gate rejects what it is there for, and only that."""

import numpy as np
import pytest

from pixloc_ros.core.tracker.gates import GateConfig, judge

GOOD = dict(
    failed=False,
    num_points=300,
    num_inliers=150,
    cost=0.03,
    correction=(0.05, 0.002),
    error6=np.array([0.05, 0, 0, 0, 0, 0.002]),
    prior_covariance=np.diag([0.05**2] * 3 + [0.01**2] * 3),
    covariance=np.diag([0.01**2] * 3 + [0.001**2] * 3),
)


def test_a_good_frame_passes():
    assert judge(GateConfig(), **GOOD) == ()


@pytest.mark.parametrize(
    "change, word",
    [
        (dict(failed=True), "failed"),
        (dict(num_points=12), "points"),
        (dict(num_inliers=9), "inliers"),
        (dict(cost=0.5), "cost"),
        (dict(cost=float("nan")), "cost"),
        (dict(correction=(12.0, 0.0)), "correction"),
        (dict(correction=(0.0, 0.5)), "correction"),
        (dict(covariance=np.diag([1.0] * 3 + [1e-6] * 3)), "position std"),
        (dict(covariance=np.diag([1e-4] * 3 + [0.01] * 3)), "rotation std"),
        (dict(covariance=np.full((6, 6), np.nan)), "std"),
        (dict(error6=np.array([0.6, 0, 0, 0, 0, 0])), "sigma"),
    ],
)
def test_a_bad_frame_is_rejected_with_the_reason(change, word):
    reasons = judge(GateConfig(), **{**GOOD, **change})
    assert reasons and any(word in reason for reason in reasons)

"""Fitting, judging and keeping the trials of trust."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.evaluation.benchmark import trust
from pixloc_ros.evaluation.benchmark.trust import CALIBRATIONS, Trial


def trials(place: str, seed: int, count: int = 300) -> list[Trial]:
    """Right fixes have a contrast about 2, wrong ones about 0.3; nothing else tells."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        right = bool(k % 3)
        found.append(
            Trial(
                place,
                f"{k}",
                "none",
                "1.5 m / 4 deg",
                metres=0.02 if right else 2.0,
                degrees=0.05,
                passes=True,
                contrast=float(rng.normal(2.0 if right else 0.3, 0.3)),
                residual=float(rng.normal(-0.3, 0.1)),
                cost=float(rng.normal(0.07, 0.01)),
                points=6.0 + 0.1 * float(rng.normal()),
                std=-4.0 + 0.1 * float(rng.normal()),
                step=-3.0 + float(rng.normal()),
            )
        )
    return found


def test_what_tells_right_from_wrong_is_found_and_holds_elsewhere():
    both = trials("a", 0) + trials("b:noon", 1)
    model = trust.fit(both)
    weights = {name: weight for name, (_, _, weight) in model.terms.items()}
    assert weights["contrast"] > 5 * max(abs(w) for n, w in weights.items() if n != "contrast")
    held_out = trust.probabilities(both)
    judged = trust.acceptance(both, held_out, 0.8)
    assert judged.right == 400 and judged.wrong <= 1 and judged.rejected <= 12
    share = np.mean([not t.wrong for t, p in zip(both, held_out) if p > 0.9])
    assert share > 0.98


def test_what_other_gates_reject_is_not_accepted_and_between_right_and_wrong_is_neither():
    some = [replace(t, passes=False) for t in trials("a", 0, 30)]
    assert trust.acceptance(some, np.ones(30), 0.5).accepted == 0
    between = replace(some[1], metres=0.3)
    assert not between.right and not between.wrong


def test_a_wrong_calibration_is_neither_fitted_to_nor_fair():
    bent = [replace(t, change=CALIBRATIONS[0], metres=0.8) for t in trials("a", 2)]
    assert not bent[0].fair
    alone, beside = trust.fit(trials("a", 0)), trust.fit(trials("a", 0) + bent)
    assert alone.terms == beside.terms and alone.bias == beside.bias


def test_images_of_elsewhere_are_fitted_to_as_wrong():
    elsewhere = [replace(t, metres=np.inf, degrees=np.inf) for t in trials("a", 3, 30)]
    assert all(t.wrong for t in elsewhere)
    assert trust.fit(trials("a", 0) + elsewhere).terms != trust.fit(trials("a", 0)).terms


def test_trials_are_kept(tmp_path):
    some = trials("a", 0, 5)
    some[0] = replace(some[0], metres=np.inf, passes=False)
    trust.write_trials(tmp_path / "t.csv", some)
    again = trust.read_trials(tmp_path / "t.csv")
    assert again == some and list(tmp_path.iterdir()) == [tmp_path / "t.csv"]


def test_the_picture_is_one():
    both = trials("a", 0) + trials("b", 1)
    assert trust.picture(both, trust.probabilities(both)).startswith(b"\x89PNG")


@pytest.mark.parametrize("part, whole", [(0, 100), (5, 100), (100, 100)])
def test_the_interval_holds_the_share(part, whole):
    low, high = trust.interval(part, whole)
    assert 0 <= low <= part / whole <= high + 1e-12 and high <= 1 and high - low < 0.12

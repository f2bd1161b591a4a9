"""Fitting, judging and keeping the trials of trust."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.cli import trust as cli
from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.benchmark import trust
from pixloc_ros.evaluation.benchmark.jumps import FrameAfter
from pixloc_ros.evaluation.benchmark.robustness.scenes import Scene
from pixloc_ros.evaluation.benchmark.trust import CALIBRATIONS, HOUSES, AlongStreet, Trial


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


def test_a_prior_along_the_street_is_one_house_off():
    T_map_cam = transforms.exp(np.array([1.0, 2.0, 1.5, -1.4, 0.2, -0.3]))
    signs = set()
    for seed in range(8):
        moved = AlongStreet(8.0, 1.0).apply(T_map_cam, np.random.default_rng(seed))
        shift = moved[:3, 3] - T_map_cam[:3, 3]
        assert shift[2] == 0 and np.linalg.norm(shift) == pytest.approx(8.0)
        ahead = T_map_cam[:2, 2] / np.linalg.norm(T_map_cam[:2, 2])
        signs.add(round(float(shift[:2] @ ahead) / 8.0, 6))
        assert transforms.pose_error(moved, T_map_cam)[1] == pytest.approx(np.radians(1.0))
    assert signs == {-1.0, 1.0}


def test_a_terrace_is_tried_from_the_house_next_door_and_taught_to_no_model(
    room_localizer, room_drive, tmp_path
):
    terrace = Scene("terrace_1", room_drive.subset([10]), tmp_path, tmp_path)
    found = trust.gather(room_localizer, terrace, terrace)
    assert [t.change for t in found] == [HOUSES] * 5 and not any(t.fair for t in found)
    assert found[0].right and found[0].probability > 0.9 and found[0].passes
    assert found[2].prior == "8 m along the street / 1 deg" and found[2].truthful
    assert found[4].wrong and not found[4].truthful, "nothing is there of what the prior says"
    assert trust.fit(trials("a", 0) + found) == trust.fit(trials("a", 0))


def test_the_tables_of_equal_houses_and_of_jumps_count_what_is_believed():
    some = [
        replace(t, change=HOUSES, probability=0.95 if k < 4 else 0.5)
        for k, t in enumerate(trials("terrace_1", 0, 6))
    ]
    (row,) = cli.houses_table(some).rows
    assert row[:2] == ("1.5 m / 4 deg", "4") and row[2].startswith("2 (50.0 %")
    assert row[3] == "4" and row[4].startswith("2 (50.0 %"), "of the right ones"

    def frame(after: int, off_m: float, sigmas: float) -> FrameAfter:
        return FrameAfter("a", 1.0, "along", 50, after, off_m < 2, off_m, 0.1, sigmas)

    frames = [frame(0, 3.0, 9.0), frame(1, 0.7, 1.0), frame(2, 0.01, 6.0), frame(3, 0.02, 1.0)]
    (row,) = cli.jumps_table(frames).rows
    assert row[:2] == ("1 m along, 50 Hz", "4") and row[2].startswith("3 (75.0 %")
    assert row[3].startswith("1 (33.3 %") and row[4:] == ("1", "3, 3")


def test_trials_are_kept(tmp_path):
    some = trials("a", 0, 5)
    some[0] = replace(some[0], metres=np.inf, passes=False)
    trust.write_rows(tmp_path / "t.csv", some)
    again = trust.read_rows(tmp_path / "t.csv", Trial)
    assert again == some and list(tmp_path.iterdir()) == [tmp_path / "t.csv"]


def test_the_picture_is_one():
    both = trials("a", 0) + trials("b", 1)
    assert trust.picture(both, trust.probabilities(both)).startswith(b"\x89PNG")


@pytest.mark.parametrize("part, whole", [(0, 100), (5, 100), (100, 100)])
def test_the_interval_holds_the_share(part, whole):
    low, high = trust.interval(part, whole)
    assert 0 <= low <= part / whole <= high + 1e-12 and high <= 1 and high - low < 0.12

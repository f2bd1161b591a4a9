"""The shipped filter settings on what the localizer published live in the embedded street.

data/ holds what a live run left behind (see its README); delays, wrong poses and an outage are
added here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixloc_ros.cli import fuse
from pixloc_ros.evaluation.fusion.recording import (
    delayed,
    read_recording,
    with_outage,
    with_outliers,
)
from pixloc_ros.evaluation.fusion.run import figures, rms, run_filter
from pixloc_ros.evaluation.fusion.settings import read_settings
from pixloc_ros.evaluation.fusion.study import MISTAKES, OUTAGE, disturbed

CONFIG = Path(__file__).parents[2] / "config" / "ekf.yaml"
DELAY = 0.4


@pytest.fixture(scope="module")
def recording(bag, data, live_rate):
    return read_recording(bag, data / "live", live_rate)


@pytest.fixture(scope="module")
def settings():
    return read_settings(CONFIG, "ekf_map")


def good_and_timely(run, settings):
    """Poses that are right and came while the filter could still go back to them."""
    recording = run.recording
    lag_s = (recording.arrival_ns - recording.stamps_ns) * 1e-9
    return ~recording.is_outlier & (lag_s < settings.history_length)


def watched(run):
    """Published less than 0.6 s after a pose came: the run itself lost its images once."""
    arrivals = np.sort(run.recording.arrival_ns)
    newest = arrivals[np.maximum(np.searchsorted(arrivals, run.stamps_ns, side="right") - 1, 0)]
    return (run.stamps_ns - newest < 600_000_000) & np.isfinite(run.errors()[:, 0])


def test_late_poses_and_outliers_become_a_better_pose(recording, settings):
    hard = with_outliers(delayed(recording, DELAY), 0.1)
    assert (hard.arrival_ns - hard.stamps_ns).min() > DELAY * 1e9 and hard.is_outlier.sum() >= 5
    run = run_filter(settings, hard)
    good = good_and_timely(run, settings)
    assert run.accepted[good].all() and good.sum() > 55, "lagged poses are used, each of them"
    assert not run.accepted[hard.is_outlier].any()
    found = figures(run)
    assert found.at_poses_m <= 0.7 * found.raw_m and found.at_poses_deg <= 0.7 * found.raw_deg
    published = run.errors()[watched(run)]
    assert len(published) > 600
    assert rms(published[:, :3]) <= 0.7 * found.raw_m
    assert np.degrees(rms(published[:, 3:])) <= 0.7 * found.raw_deg
    assert found.worst_sigma < 3.0


def test_good_poses_are_not_made_worse(recording, settings):
    run = run_filter(settings, delayed(recording, DELAY))
    good = good_and_timely(run, settings)
    assert run.accepted[good].all()
    raw, fused = run.pose_errors()
    assert rms(fused[good, :3]) <= 1.05 * rms(raw[good, :3])
    late_m = 5.0 * DELAY  # how far the newest pose lies behind the robot when it comes
    assert rms(run.errors()[watched(run), :3]) < 0.1 * late_m
    assert figures(run).nis < 1.0, "drift is in the process noise, so innovations are small"


def test_ten_seconds_without_a_camera(recording, settings):
    begin, end = OUTAGE
    hard = with_outage(with_outliers(delayed(recording, DELAY), 0.1, seed=1), begin, end)
    run = run_filter(settings, hard)
    seconds = (run.stamps_ns - recording.odometry.stamps_ns[0]) * 1e-9
    errors, sigma = run.errors(), np.sqrt(np.diagonal(run.covariances, axis1=1, axis2=2))
    blind = (seconds > begin) & (seconds < end + DELAY)
    assert blind.sum() > 300 and np.isfinite(errors[blind]).all()
    assert np.linalg.norm(errors[blind, :3], axis=1).max() > 0.5, "odometry does drift"
    assert (np.abs(errors[blind]) <= 3 * sigma[blind]).all()
    again = (seconds > end + DELAY + 1.0) & np.isfinite(errors[:, 0])
    assert again.sum() > 150 and np.linalg.norm(errors[again, :3], axis=1).max() < 0.2
    assert run.accepted[good_and_timely(run, settings)].all(), "those after the outage as well"


def test_the_local_filter_follows_the_odometry_and_never_jumps(recording):
    run = run_filter(read_settings(CONFIG, "ekf_local"), recording)
    odometry = recording.odometry
    _, mine, its = np.intersect1d(run.stamps_ns, odometry.stamps_ns, return_indices=True)
    assert len(mine) > 0.9 * len(run.stamps_ns)
    start = its[0]
    apart = run.states[mine, :3] - odometry.T[its, :3, 3]
    driven = np.linalg.norm(np.diff(odometry.T[start:, :3, 3], axis=0), axis=1).sum()
    assert driven > 80
    assert np.linalg.norm(apart - apart[0], axis=1).max() < 0.01 * driven
    steps = np.linalg.norm(np.diff(run.states[mine, :3], axis=0), axis=1)
    assert steps.max() < 0.25, "a step of the timer at 5 m/s is 0.1 m"


@pytest.fixture(scope="module")
def right(recording, settings):
    found = figures(run_filter(settings, disturbed(recording)))
    assert found.rejected_outliers == 1.0 and found.accepted > 0.95
    return found


@pytest.mark.parametrize("name", ["lag", "no_gate", "stiff", "start"])
def test_mistakes_show(recording, right, name):
    """What the pictures of docs/fusion.md say is so."""
    (mistake,) = [m for m in MISTAKES if m.name == name]
    wrong = figures(
        run_filter(read_settings(CONFIG, "ekf_map", mistake.changes), disturbed(recording))
    )
    assert {
        "lag": wrong.published_m > 3 * right.published_m,
        "no_gate": wrong.rejected_outliers == 0.0 and wrong.worst_sigma > 5,
        "stiff": wrong.accepted < 0.7,
        "start": wrong.accepted < 0.1,
    }[name]


def test_without_ground_truth_the_recorded_poses_are_the_measure(recording, settings):
    blind = replace(recording, truth=(recording.stamps_ns, recording.T_map_base))
    holes = np.diff(blind.stamps_ns) > 10**9
    assert holes.any(), "the run itself lost its images once"
    middle = (blind.stamps_ns[:-1] + blind.stamps_ns[1:]) // 2
    assert np.isnan(blind.true_pose(middle)[holes]).all(), "and nobody knows what was there"
    begin, end = 4.0, 9.0
    run = run_filter(settings, with_outage(delayed(blind, DELAY), begin, end))
    exact = run_filter(settings, with_outage(delayed(recording, DELAY), begin, end))
    assert figures(run).published_max_m == pytest.approx(figures(exact).published_max_m, abs=0.1)


def test_fuse_prints_and_draws(bag, data, live_rate, tmp_path, capsys):
    picture = tmp_path / "fused.png"
    assert (
        fuse.main(
            [
                str(bag),
                str(data / "live"),
                "--ekf",
                str(CONFIG),
                "--rate",
                str(live_rate),
                "--delay",
                "0.4",
                "--outage",
                "8",
                "18",
                "--picture",
                str(picture),
                "--set",
                "history_length=2.5",
            ]
        )
        == 0
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "good poses used" in printed and "100 %" in printed
    assert fuse.main([str(bag), str(data / "live"), "--ekf", str(CONFIG), "--set", "x=1"]) == 1
    assert "'x' is no parameter" in capsys.readouterr().out.replace("\n", " ")

"""The figures are right where the right answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from evo.core.metrics import APE, PoseRelation
from evo.core.trajectory import PosePath3D

from pixloc_ros.cli.scenario import Limits
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.evaluation.metrics import disagreement, evaluate_track, pose_errors
from pixloc_ros.evaluation.runner import run_drive
from pixloc_ros.evaluation.trajectory import Track, read_tum, write_tum


def shifted_track(drive, metres, degrees):
    turn = transforms.exp(np.array([0, 0, 0, 0, 0, np.radians(degrees)]))
    poses = drive.T_map_base @ turn
    poses[:, 2, 3] += metres
    return Track("shifted", drive.stamps_ns, poses, np.ones(len(drive), bool))


def test_errors_of_a_known_shift(make_drive):
    drive = make_drive()
    metrics = evaluate_track(shifted_track(drive, 0.2, 1e-3), drive)
    assert metrics.position_median_m == pytest.approx(0.2)
    assert metrics.position_rmse_m == pytest.approx(0.2)
    assert metrics.rotation_p95_deg == pytest.approx(1e-3, rel=1e-3), "small angles do not vanish"
    assert metrics.recall == (0.0, 1.0, 1.0)
    assert np.isnan(metrics.nees_mean) and np.isnan(metrics.latency_p50_ms)


def test_our_pose_error_agrees_with_evo(make_drive):
    drive = make_drive()
    track = shifted_track(drive, 0.03, 0.2)
    metres, degrees = pose_errors(track.poses, drive.T_map_base)
    pair = PosePath3D(poses_se3=list(drive.T_map_base)), PosePath3D(poses_se3=list(track.poses))
    for ours, relation, tolerance in (
        (metres, PoseRelation.translation_part, 1e-12),
        (degrees, PoseRelation.rotation_angle_deg, 1e-9),
    ):
        ape = APE(relation)
        ape.process_data(pair)
        np.testing.assert_allclose(ours, ape.error, atol=tolerance)


def test_frames_without_a_pose_are_missed_but_do_not_spoil_the_errors(make_drive):
    drive = make_drive()
    track = shifted_track(drive, 0.01, 0.01)
    track.poses[:5] = np.nan
    track.tracking[:5] = False
    metrics = evaluate_track(track, drive)
    assert (metrics.frames, metrics.localized, metrics.tracking) == (20, 15, 0.75)
    assert metrics.recall == (0.75, 0.75, 0.75)
    assert metrics.position_median_m == pytest.approx(0.01)


def test_poses_of_other_stamps_do_not_count(make_drive):
    drive = make_drive()
    track = shifted_track(drive, 0.01, 0.01)
    metrics = evaluate_track(replace(track, stamps_ns=track.stamps_ns + 1), drive)
    assert metrics.localized == 0 and metrics.recall == (0.0, 0.0, 0.0)
    assert np.isnan(metrics.position_median_m)


def test_an_honest_covariance_has_a_normalised_error_of_six(make_drive, noisy_tracker):
    drive = make_drive(frames=500)
    metrics = evaluate_track(run_drive(*noisy_tracker(drive), drive).track(), drive)
    assert metrics.nees_mean == pytest.approx(6.0, abs=0.6)
    assert metrics.nees_inside_95 == pytest.approx(0.95, abs=0.04)


def test_without_ground_truth_the_share_tracked_remains(make_drive, noisy_tracker):
    drive = make_drive()
    track = run_drive(*noisy_tracker(drive, lose=(0,)), drive).track()
    metrics = evaluate_track(track, replace(drive, T_map_base=None))
    assert metrics.tracking == 0.95 and np.isnan(metrics.position_median_m)
    assert metrics.latency_p50_ms == pytest.approx(51.5)


def test_disagreement_of_two_runs(make_drive):
    drive = make_drive()
    a, b = shifted_track(drive, 0.01, 0.0), shifted_track(drive, 0.03, 0.1)
    b.poses[3] = np.nan
    assert disagreement(a, b) == pytest.approx((0.02, 0.1))


def test_tum_keeps_every_nanosecond(tmp_path, make_drive):
    drive = make_drive()
    stamps = drive.stamps_ns + 1_700_000_000_000_000_001
    write_tum(tmp_path / "a.tum", stamps, drive.T_map_base)
    back_stamps, back = read_tum(tmp_path / "a.tum")
    assert np.array_equal(back_stamps, stamps)
    np.testing.assert_allclose(back, drive.T_map_base, atol=1e-8)
    (tmp_path / "a.tum").write_text("1.0 1 2 3\n")
    with pytest.raises(DataError, match="a.tum:1"):
        read_tum(tmp_path / "a.tum")


def test_frames_that_confirm_the_start_are_not_tracked_and_counted_apart(make_drive):
    drive = make_drive()
    track = replace(shifted_track(drive, 0.01, 0.0), starting=np.arange(20) < 2)
    track.poses[:2], track.tracking[:2] = np.nan, False
    metrics = evaluate_track(track, drive)
    assert (metrics.localized, metrics.tracking, metrics.starting) == (18, 0.9, 0.1)
    limits = Limits(0.1, 0.1, 1.0, 1.0)
    assert limits.violations(metrics) == [], "all of the frames after the start"
    assert limits.violations(replace(metrics, tracking=0.8)) == ["tracking 88.9 % < 100.0 %"]
    assert limits.violations(replace(metrics, tracking=0.0, starting=1.0))[0].startswith("starting")

"""What a run says of itself, where nothing else is known."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.datasets.drive import Odometry
from pixloc_ros.evaluation.agreement import agreement_of
from pixloc_ros.evaluation.runner import run_drive


def test_figures(make_drive, noisy_tracker):
    drive = make_drive()
    run = run_drive(*noisy_tracker(drive, 0.0, 0.0, lose=(3, 4)), drive)
    said = [
        replace(
            r,
            accepted=r.T_map_base is not None,
            fix=replace(r.fix, update=np.array([0.03, 0.04, 0, 0, 0, 0.01])),
            covariance=np.diag([0.01, 0.04, 0.01, 1e-4, 1e-4, 4e-4]),
        )
        for r in run.results
    ]
    found = agreement_of(replace(run, results=tuple(said)))
    frames, step_ns = len(drive), int(np.diff(drive.stamps_ns)[0])
    assert found.accepted == pytest.approx((frames - 2) / frames)
    assert found.longest_gap_s == pytest.approx(3 * step_ns * 1e-9)
    assert found.correction_median_m == pytest.approx(0.05)
    assert found.correction_p95_deg == pytest.approx(np.degrees(0.01))
    assert (found.std_m, found.std_deg) == pytest.approx((0.2, np.degrees(0.02)))
    steps = np.linalg.norm(np.diff(drive.T_map_base[:, :3, 3], axis=0), axis=1)
    assert found.speed_max == pytest.approx(steps.max() / step_ns * 1e9, rel=0.05)
    assert found.way_m == pytest.approx(steps.sum(), rel=0.01)
    assert found.odometry_way_m == pytest.approx(found.way_m, rel=0.1)


def test_a_run_without_a_single_fix(make_drive, noisy_tracker):
    drive = make_drive()
    run = run_drive(*noisy_tracker(drive, lose=range(len(drive))), drive)
    found = agreement_of(run)
    assert found.accepted == 0 and np.isnan(found.correction_median_m) and np.isnan(found.way_m)
    assert found.longest_gap_s == pytest.approx(np.ptp(drive.stamps_ns) * 1e-9)


def test_the_start_is_the_first_frame_that_odometry_covers(make_drive, noisy_tracker):
    drive = make_drive()
    keep = drive.odometry.stamps_ns > drive.stamps_ns[2]
    late = Odometry(drive.odometry.stamps_ns[keep], drive.odometry.T_odom_base[keep])
    localizer, tracker = noisy_tracker(drive)
    run_drive(localizer, tracker, replace(drive, odometry=late))
    assert tracker.calls[1] == ("set_pose", int(drive.stamps_ns[3]))

"""The runner makes the node's calls in the node's order."""

from dataclasses import replace

import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.evaluation.runner import run_drive


def test_odometry_covers_a_frame_and_never_runs_ahead(make_drive, noisy_tracker):
    drive = make_drive()
    localizer, tracker = noisy_tracker(drive)
    run = run_drive(localizer, tracker, drive)
    assert tracker.calls[:2] == [("reset", 0), ("set_pose", int(drive.stamps_ns[0]))]
    newest = 0
    for what, stamp in tracker.calls[2:]:
        if what == "odometry":
            assert stamp > newest, "odometry goes in once, in the order of its stamps"
            newest = stamp
        else:
            assert stamp <= newest < stamp + 20_000_000
    assert [r.stamp_ns for r in run.results] == drive.stamps_ns.tolist()


def test_the_track_keeps_gaps_as_nan(make_drive, noisy_tracker):
    drive = make_drive()
    track = run_drive(*noisy_tracker(drive, lose=(3, 4)), drive, with_view={7}).track()
    assert np.flatnonzero(np.isnan(track.poses[:, 0, 0])).tolist() == [3, 4]
    assert np.flatnonzero(~track.tracking).tolist() == [3, 4]
    assert track.latencies_ms[5] == 47.0


def test_progress_and_views(make_drive, noisy_tracker):
    drive, seen = make_drive(), []
    run = run_drive(*noisy_tracker(drive), drive, progress=lambda *a: seen.append(a), with_view={7})
    assert seen[-1] == (20, 20, "frames")
    assert [i for i, r in enumerate(run.results) if r.fix.views] == [7]


def test_it_says_what_a_drive_lacks(make_drive, noisy_tracker):
    drive = make_drive()
    localizer, tracker = noisy_tracker(drive)
    with pytest.raises(DataError, match="no odometry"):
        run_drive(localizer, tracker, replace(drive, odometry=None))
    with pytest.raises(DataError, match="no ground truth"):
        run_drive(localizer, tracker, replace(drive, T_map_base=None))
    run_drive(localizer, tracker, replace(drive, T_map_base=None), initial=np.eye(4))


def test_an_image_that_cannot_be_read_costs_its_own_frame(make_drive, noisy_tracker, caplog):
    """As in the node: it never gets to the tracker, and is counted."""
    drive = make_drive()

    def load(i):
        if i in (0, 5):
            raise DataError(f"image {i} is damaged")
        return drive.load(i)

    localizer, tracker = noisy_tracker(drive)
    run = run_drive(localizer, tracker, replace(drive, load=load))
    seen = [stamp for what, stamp in tracker.calls[2:] if what != "odometry"]
    assert seen == np.delete(drive.stamps_ns, (0, 5)).tolist()
    assert run.drive.stamps_ns.tolist() == [r.stamp_ns for r in run.results] == seen
    assert "2 images left out: image 0 is damaged" in caplog.text

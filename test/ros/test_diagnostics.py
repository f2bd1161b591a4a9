"""What /diagnostics counts."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from pixloc_ros.core.tracker import FrameResult, TrackState
from pixloc_ros.ros.diagnostics import OK, WARN, Statistics, pose_status


def test_reasons_are_counted_by_gate_whatever_their_numbers():
    statistics = Statistics()
    for k in range(50):
        reasons = (
            f"probability of being right 0.{10 + k} < 0.80",
            f"correction of {6.1 + k:.1f} sigma > 6.0",
            f"points in view {k} < 40",
            "no odometry at the stamp of the image",
        )
        statistics.add(FrameResult(k, TrackState.COASTING, reasons=reasons), 0.1, float(k))
    assert statistics.rejections == {
        "probability of being right": 50,
        "correction of": 50,
        "points in view": 50,
        "no odometry at the stamp of the image": 50,
    }


def test_a_suspected_calibration_is_a_warning_that_says_what():
    def status(suspicion: str):
        statistics = Statistics()
        result = FrameResult(0, TrackState.TRACKING, accepted=True, camera_suspicion=suspicion)
        statistics.add(result, 0.1, 0.0)
        return pose_status("localizer: pose", statistics, TrackState.TRACKING, "")

    assert status("").level == OK
    told = status("the focal length is off by -2.0 %")
    assert told.level == WARN and "calibration: the focal length is off by -2.0 %" in told.message

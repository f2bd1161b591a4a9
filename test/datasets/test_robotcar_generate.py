"""What the generator writes, the reader reads: through mosaic, lens, table and csv files."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.robotcar import generate, tables, utm
from pixloc_ros.datasets.robotcar.drive import RobotCar, read_robotcar
from pixloc_ros.synthetic.drive import DriveOptions, make_drive

RIG = generate.RigOptions((160, 120), (128, 128), ("stereo_left", "mono_rear"))


@pytest.fixture(scope="module")
def session():
    """Two frames, 0.1 s apart, and the odometry around them."""
    whole = make_drive(5, DriveOptions(query_frames=3))["query"]
    return replace(
        whole,
        stamps_ns=whole.stamps_ns[:2],
        T_map_base=whole.T_map_base[:2],
        sensors=whole.sensors[:2],
    )


@pytest.fixture(scope="module")
def drive(session, tmp_path_factory):
    root = tmp_path_factory.mktemp("raw")
    generate.write_calibration(root, RIG)
    return generate.write_raw_drive(root, session, datetime(2024, 6, 1, 18, 30), RIG)


@pytest.mark.parametrize("camera", ["stereo_left", "mono_rear"])
def test_images_are_what_a_pinhole_camera_would_have_seen(session, drive, camera):
    read = read_robotcar(drive, camera)
    pose = session.T_map_base @ generate.T_BODY_BASE
    there = replace(
        session,
        T_map_base=pose,
        T_base_cam=read.T_base_cam,
        camera=read.camera,
        world=session.world,
    )
    seen, expected = read.image(1).astype(float), there.image(1).astype(float)
    # vignetting and automatic exposure belong to the raw image, so a gain may stay
    gain = (seen * expected).sum() / (seen**2).sum()
    difference = np.abs(gain * seen - expected)
    assert 0.8 < gain < 1.25 and np.median(difference) < 6
    swapped = np.abs(gain * seen[..., ::-1] - expected)
    shifted = np.abs(gain * np.roll(seen, 4, axis=1) - expected)
    assert difference.mean() < 0.8 * min(swapped.mean(), shifted.mean())


def test_poses_and_stamps_come_back(session, drive, monkeypatch):
    truth = generate.T_MAP_STREET @ session.T_map_base @ generate.T_BODY_BASE
    read = read_robotcar(drive, "stereo_left")
    # half a metre is too short to tell which north yaw counts from: it is taken as it is
    _, radians = transforms.pose_error(read.T_map_base, truth)
    assert radians.max() == pytest.approx(np.deg2rad(1.367), abs=1e-4)
    row = next(tables.read_ins(drive / "rtk.csv"))
    turn = -utm.convergence(row.latitude, row.longitude, row.zone)
    monkeypatch.setattr(RobotCar, "heading_correction", lambda self, source: turn)
    read = read_robotcar(drive, "stereo_left")
    metres, radians = transforms.pose_error(read.T_map_base, truth)
    assert metres.max() < 2e-5 and radians.max() < 1e-6
    assert np.diff(read.stamps_ns).tolist() == np.diff(session.stamps_ns).tolist()
    assert drive.name == "2024-06-01-18-30-00"
    started = datetime.fromtimestamp(read.stamps_ns[0] // 10**9).astimezone().timestamp()
    assert started == 1717266600


def test_every_table_is_there(drive):
    car = RobotCar(drive)
    assert car.cameras == ("stereo_left", "mono_rear")
    assert (car.truth_source(), car.odometry_source()) == ("rtk", "vo")
    fix = next(car.fixes())
    assert fix.latitude == pytest.approx(51.757, abs=2e-3)
    assert fix.longitude == pytest.approx(-1.26, abs=2e-3) and fix.satellites == 9
    ins = {source: next(car.truth(source))[1] for source in ("ins", "rtk")}
    off, _ = transforms.pose_error(ins["ins"], ins["rtk"])
    assert 0.1 < off < 3, "INS is a metre off, as in Oxford"

"""The RobotCar's frames, cameras and tables: conventions against numbers worked out by hand."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import robotcar_raw as raw

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.place import read_place
from pixloc_ros.datasets.robotcar import camera as cameras
from pixloc_ros.datasets.robotcar import frames, heading, tables, utm
from pixloc_ros.datasets.robotcar.drive import RobotCar, chain, read_robotcar
from pixloc_ros.messages.poses import from_xyz_rpy, to_xyz_rpy

PUBLISHED = (
    Path(os.environ.get("PIXLOC_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    / "data"
    / "robotcar_calibration"
)


@pytest.fixture
def drive(tmp_path) -> Path:
    raw.write_calibration(tmp_path)
    return raw.write_drive(tmp_path)


# --- frames -----------------------------------------------------------------------------------


def test_order_of_roll_pitch_yaw():
    """Rz Ry Rx: with yaw 90 and roll 90 degrees y goes to z through Rx, which Rz leaves alone."""
    T = from_xyz_rpy([1, 2, 3, np.pi / 2, 0, np.pi / 2])
    np.testing.assert_allclose(T[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(T[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 3], [1, 2, 3])
    # a pitch of 30 degrees turns x towards -z: nose up where z is down
    T = from_xyz_rpy([0, 0, 0, 0, np.pi / 6, 0])
    np.testing.assert_allclose(T[:3, :3] @ [1, 0, 0], [np.cos(np.pi / 6), 0, -0.5], atol=1e-12)


def test_components_come_back():
    values = np.array([[1, -2, 3, 0.3, -0.4, 2.5], [4, 5, 6, -3.0, 1.2, -3.1]])
    np.testing.assert_allclose(to_xyz_rpy(from_xyz_rpy(values)), values)


def test_base_in_map_by_hand():
    """The unit looks east at 10 m north, 20 m east of the origin, 3 m above it, 2 m behind the
    lens: the lens is 22 m east, base_link looks along the map's x and its z is up."""
    origin = frames.Origin(1000.0, 2000.0, -50.0)
    T_world_ins = from_xyz_rpy([1010, 2020, -53, 0, 0, np.pi / 2])
    T = frames.base_in_map(T_world_ins, from_xyz_rpy([-2, 0, 0, 0, 0, 0]), origin)
    np.testing.assert_allclose(T, transforms.from_Rt(np.eye(3), [22, 10, 3]), atol=1e-9)
    back = frames.ins_in_world(T, from_xyz_rpy([-2, 0, 0, 0, 0, 0]), origin)
    np.testing.assert_allclose(back, T_world_ins, atol=1e-9)


def test_heading_north_looks_along_y():
    T = frames.base_in_map(from_xyz_rpy([0, 0, 0, 0, 0, 0]), np.eye(4), frames.Origin(0, 0, 0))
    np.testing.assert_allclose(T[:3, 0], [0, 1, 0], atol=1e-12)  # forward: north
    np.testing.assert_allclose(T[:3, 1], [-1, 0, 0], atol=1e-12)  # left: west
    np.testing.assert_allclose(T[:3, 2], [0, 0, 1], atol=1e-12)


def test_motion_of_base_by_hand():
    """1 m ahead with a turn to the right: yaw is clockwise seen from above, so z up turns back."""
    T = frames.base_motion(from_xyz_rpy([1, 0.5, 0, 0, 0, 0.1]))
    np.testing.assert_allclose(transforms.log(T), [1, -0.5, 0, 0, 0, -0.1], atol=1e-12)


def test_published_places_on_the_grid():
    """The CN Tower is at 17T 630084 E, 4833438 N (the usual example of UTM)."""
    north, east = utm.to_utm(*np.deg2rad([43.642567, -79.387139]), 17)
    assert (round(north), round(east)) == (4833439, 630084)
    latitude, longitude = utm.from_utm(north, east, 17)
    np.testing.assert_allclose(
        np.rad2deg([latitude, longitude]), [43.642567, -79.387139], atol=1e-9
    )


def test_convergence_is_the_grid_seen_from_true_north():
    latitude, longitude = np.deg2rad([51.76, -1.26])
    here = utm.to_utm(latitude, longitude, 30)
    north_of_here = utm.to_utm(latitude + 1e-6, longitude, 30)
    step = np.subtract(north_of_here, here)  # true north lies west of grid north
    angle = -np.arctan2(step[1], step[0])
    assert np.rad2deg(angle) == pytest.approx(1.367, abs=2e-3)
    assert utm.convergence(latitude, longitude, 30) == pytest.approx(angle, abs=2e-5)


# --- cameras ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bayer", ["gbrg", "rggb"])
@pytest.mark.parametrize("colour", [(250, 0, 0), (0, 250, 0), (0, 0, 250), (10, 90, 200)])
def test_demosaic_of_a_plain_colour(bayer, colour):
    image = np.full((8, 10, 3), colour, np.uint8)
    mosaic = cameras.mosaic_of(image, bayer)
    first = colour["rgb".index(bayer[0])]
    assert mosaic[0, 0] == first and mosaic[0, 1] == colour["rgb".index(bayer[1])]
    assert mosaic[1, 0] == colour["rgb".index(bayer[2])]
    np.testing.assert_array_equal(cameras.demosaic(mosaic, bayer), image)


def test_demosaic_is_bilinear():
    """rggb, a red ramp along x seen at columns 0, 2, 4: in between lies the mean."""
    mosaic = np.zeros((6, 6), np.uint8)
    mosaic[::2, ::2] = [10, 30, 50]
    red = cameras.demosaic(mosaic, "rggb")[..., 0]
    assert red[2, 2] == 30 and red[2, 3] == 40 and red[3, 3] == 40 and red[3, 2] == 30


def test_undistortion_looks_up_where_the_table_says(tmp_path):
    """Table: 1.5 px to the right, one row down; what falls off the image is black."""
    raw.write_calibration(tmp_path)
    v, u = np.mgrid[:24, :32].astype(float)
    cameras.write_table(tmp_path / "models" / "stereo_wide_left_distortion_lut.bin", u + 1.5, v + 1)
    model = cameras.CameraModel("stereo_left", tmp_path, (32, 24))
    image = np.repeat((np.arange(32, dtype=np.uint8) * 4)[None], 24, axis=0)
    image = np.stack([image] * 3, -1)
    image[5] = 200
    out = model.undistort(image)
    assert out[10, 3, 0] == round(4 * 4.5) and (out[4, :30] == 200).all()
    assert (out[:, 30:] == 0).all() and (out[23] == 0).all()


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published calibration files")
def test_published_rig():
    """Camera positions and viewing directions in base_link, from the published files."""
    rig = {
        name: cameras.CameraModel(
            name, PUBLISHED, (1280, 960) if "stereo" in name else (1024, 1024)
        )
        for name in cameras.SENSORS
    }
    for name, y in (("stereo_left", 0.0), ("stereo_centre", -0.12), ("stereo_right", -0.24)):
        T = rig[name].T_base_cam
        np.testing.assert_allclose(T[:3, 3], [0, y, 0], atol=1e-4)
        np.testing.assert_allclose(T[:3, 2], [1, 0, 0], atol=1e-9)  # looks ahead
        np.testing.assert_allclose(T[:3, 0], [0, -1, 0], atol=1e-9)  # image x is to the right
    assert rig["mono_left"].T_base_cam[1, 2] > 0.9 and rig["mono_left"].T_base_cam[1, 3] > 0.5
    assert rig["mono_right"].T_base_cam[1, 2] < -0.9 and rig["mono_right"].T_base_cam[1, 3] < -0.5
    assert rig["mono_rear"].T_base_cam[0, 2] < -0.9 and rig["mono_rear"].T_base_cam[0, 3] < -1.9
    assert all(model.T_base_cam[2, 1] < -0.95 for model in rig.values())  # image y is down
    assert rig["stereo_left"].camera.f.tolist() == pytest.approx([983.044, 983.044])
    # extrinsics/mono_left.txt by hand, without its tilt: yaw 70.6 deg, lens at (-1.51, 0.63)
    components = np.array([-0.0905, 1.6375, 0, 0, 0, 1.2321])
    position = transforms.inverse(from_xyz_rpy(components))[:3, 3]
    np.testing.assert_allclose(position, [-1.5146, -0.6293, 0], atol=1e-3)


# --- tables -----------------------------------------------------------------------------------


def test_visual_odometry_chains_backwards_in_its_rows():
    """Source is the later frame. Two steps of 1 m with a quarter turn to the left after the first,
    then half a second without rows, bridged at the last speed."""
    turn = from_xyz_rpy([1, 0, 0, 0, 0, -np.pi / 2])
    ahead = from_xyz_rpy([1, 0, 0, 0, 0, 0])
    motions = [
        tables.Motion(100, 0, turn),
        tables.Motion(200, 100, ahead),
        tables.Motion(300, 250, ahead),
    ]
    track = dict(chain(iter(motions)))
    assert list(track) == [0, 100, 200, 300]
    np.testing.assert_allclose(track[0], np.eye(4))
    np.testing.assert_allclose(track[100][:3, 3], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(track[200][:3, 3], [1, 1, 0], atol=1e-12)
    np.testing.assert_allclose(track[300][:3, 3], [1, 2.5, 0], atol=1e-12)
    forwards = [tables.Motion(0, 100, transforms.inverse(turn))]
    np.testing.assert_allclose(dict(chain(iter(forwards)))[100], track[100], atol=1e-12)


def test_ins_rows_that_the_unit_does_not_trust_are_left_out(drive):
    path = drive / "gps" / "ins.csv"
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("INS_SOLUTION_GOOD", "INS_ALIGNING")
    lines.insert(6, lines[5])  # a repeated row
    path.write_text("\n".join(lines) + "\n")
    stamps = [row.stamp_ns for row in tables.read_ins(path)]
    assert len(stamps) == len(lines) - 3 and np.all(np.diff(stamps) > 0)


def test_gps(drive):
    fix = next(tables.read_gps(drive / "gps" / "gps.csv"))
    assert fix.sigmas == (2.0, 1.0, 3.0) and fix.satellites == 7 and fix.latitude == 51.76


@pytest.mark.parametrize("yaw_from", ["true north", "grid north"])
def test_which_north_yaw_counts_from(drive, yaw_from):
    """The car drives along the grid; its yaw says 0 or, from true north, 1.4 degrees."""
    convergence = utm.convergence(*np.deg2rad([51.76, -1.26]), 30)
    yaw = convergence if yaw_from == "true north" else 0.0
    shifted = raw.write_drive(drive.parent / "other", yaw=yaw, images=40)
    rows = tables.read_ins(shifted / "rtk.csv")
    T_vehicle_ins = from_xyz_rpy(raw.T_VEHICLE_INS)
    assert heading.grid_correction(rows, T_vehicle_ins) == pytest.approx(-yaw, abs=1e-9)
    car = RobotCar(shifted, drive.parent)
    _, T = next(car.truth("rtk"))
    np.testing.assert_allclose(T[:3, 0], [0, 1, 0], atol=1e-9)


@pytest.mark.parametrize("metres, decided", [(10, False), (400, True)])
def test_a_short_and_shaky_drive_tells_nothing(metres, decided):
    """Positions good to 3 cm: yaw stays as the SDK takes it until there are enough stretches."""
    convergence = utm.convergence(*np.deg2rad([51.76, -1.26]), 30)
    rng = np.random.default_rng(2)
    rows = [
        tables.InsRow(
            k,
            np.array([5.7e6 + 0.1 * k, 6.2e5, 0, 0, 0, convergence])
            + np.append(rng.normal(0, 0.03, 2), np.zeros(4)),
            *np.deg2rad([51.76, -1.26]),
            30,
        )
        for k in range(10 * metres)
    ]
    expected = -convergence if decided else 0.0
    assert heading.grid_correction(iter(rows), np.eye(4)) == pytest.approx(expected)


# --- drives -----------------------------------------------------------------------------------


def test_a_drive_as_a_drive(drive):
    read = read_robotcar(drive)
    assert len(read) == 20 and read.name.endswith(":stereo_left")
    assert read.stamps_ns[0] == raw.START * 1000
    # heading north at 5 m/s; the lens is 1.5 m ahead of the unit, 0.1 m to its left, 1 m above it
    np.testing.assert_allclose(read.T_map_base[0][:3, 3], [2.9, 1.5, 3.0], atol=1e-6)
    np.testing.assert_allclose(read.T_map_base[-1][:3, 3], [2.9, 1.5 + 9.5, 3.0], atol=1e-6)
    np.testing.assert_allclose(read.odometry.T_odom_base[-1][:3, 3], [9.5, 0, 0], atol=1e-9)
    assert read.image(3).shape == (24, 32, 3)
    by_place = read_place(f"{drive}:stereo_left")
    np.testing.assert_array_equal(by_place.T_map_base, read.T_map_base)


def test_gaps_stay_gaps(drive):
    """Images that were not downloaded, and a hole in the ground truth."""
    for k in (3, 4):
        (drive / "stereo" / "left" / f"{raw.START + k * 100_000}.png").unlink()
    assert len(list(RobotCar(drive).frames("stereo_left"))) == 18
    path = drive / "rtk.csv"
    lines = path.read_text().splitlines()
    hole = [line for i, line in enumerate(lines) if not 50 < i < 90]
    path.write_text("\n".join(hole) + "\n")
    read = read_robotcar(drive)
    seconds = (read.stamps_ns - raw.START * 1000) * 1e-9
    assert not np.any((seconds > 0.9) & (seconds < 1.65)) and len(read) < 12
    np.testing.assert_allclose(read.T_map_base[:, 1, 3], 1.5 + 5 * seconds, atol=1e-6)


def test_sensors_may_be_missing(drive):
    (drive / "rtk.csv").unlink()
    (drive / "vo" / "vo.csv").unlink()
    car = RobotCar(drive)
    assert (car.truth_source(), car.odometry_source()) == ("ins", "ins")
    (drive / "gps" / "ins.csv").unlink()
    (drive / "gps" / "gps.csv").unlink()
    read = read_robotcar(drive)
    assert read.T_map_base is None and read.odometry is None and not list(car.fixes())


@pytest.mark.parametrize(
    "break_it, text",
    [
        (lambda d: d / "rtk.csv", "no column timestamp, northing"),
        (lambda d: d / "stereo.timestamps", "line 1: expected a stamp and a chunk"),
        (lambda d: d.parent / "models" / "stereo_wide_left.txt", "not a camera model of the SDK"),
        (lambda d: d.parent / "extrinsics" / "ins.txt", "not numbers"),
    ],
)
def test_damaged_files_are_named(drive, break_it, text):
    path = break_it(drive)
    path.write_text("nonsense, nonsense\n")
    with pytest.raises(DataError, match=text) as error:
        read_robotcar(drive)
    assert str(path) in str(error.value)


def test_damaged_images_and_tables_say_what_to_do(drive):
    read = read_robotcar(drive)
    (drive / "stereo" / "left" / read.names[2]).write_bytes(b"\x89PNG cut")
    with pytest.raises(DataError, match="delete it to leave this frame out"):
        read.image(2)
    cv2.imwrite(str(drive / "stereo" / "left" / read.names[3]), np.zeros((10, 10), np.uint8))
    with pytest.raises(DataError, match="10x10 px, but the drive's first image has 32x24"):
        read.image(3)
    table = drive.parent / "models" / "stereo_wide_left_distortion_lut.bin"
    table.write_bytes(table.read_bytes()[:-16])
    with pytest.raises(DataError, match="is the file whole"):
        read_robotcar(drive).image(0)
    table.unlink()
    with pytest.raises(DataError, match="robotcar-dataset-sdk has it"):
        read_robotcar(drive).image(0)


def test_what_is_not_there_is_said(drive, tmp_path):
    with pytest.raises(DataError, match="no images of mono_rear .*there: stereo_left"):
        read_robotcar(drive, "mono_rear")
    with pytest.raises(DataError, match="it has stereo_left, stereo_centre"):
        read_robotcar(drive, "front")
    with pytest.raises(DataError, match="no RobotCar drive"):
        RobotCar(tmp_path)
    (drive.parent / "models").rename(drive.parent / "elsewhere")
    with pytest.raises(DataError, match="ROBOTCAR_SDK"):
        read_robotcar(drive)
    for image in (drive / "stereo" / "left").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="extract the archives stereo_left"):
        read_robotcar(drive)

"""Image-folder drives: written, read back, and refused with the file's name when they are wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.drive import T_BODY_OPTICAL, Drive, Odometry
from pixloc_ros.datasets.folder import read_drive, write_drive

CAMERAS = {
    "pinhole": Camera.pinhole(32, 24, 20.5, 21.25, 15.5, 11.75),
    "radtan": Camera.build("radtan", (32, 24), (20, 20), (15, 11), (-0.2, 0.05, 1e-3, -2e-3)),
    "rational": Camera.build(
        "rational", (32, 24), (20, 20), (15, 11), (-0.2, 0.05, 1e-3, -2e-3, 0.01, 0.02, 0.03, 0.004)
    ),
    "equidistant": Camera.build("equidistant", (32, 24), (20, 20), (15, 11), (0.1, 0.01, 0, 0)),
}


def example(camera=CAMERAS["pinhole"], frames=5) -> Drive:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (frames, 24, 32, 3), np.uint8)
    poses = transforms.exp(random.normal(size=(frames, 6)))
    return Drive(
        name="example",
        names=tuple(f"{i}.png" for i in range(frames)),
        stamps_ns=1_700_000_000_000_000_001 + 100_000_000 * np.arange(frames),
        camera=camera,
        T_base_cam=transforms.exp(np.array([1.2, 0.1, 1.6, 0, 0.02, 0])) @ T_BODY_OPTICAL,
        load=lambda i: images[i],
        T_map_base=poses,
        odometry=Odometry(np.arange(9) * 50_000_000, transforms.exp(random.normal(size=(9, 6)))),
    )


@pytest.mark.parametrize("model", CAMERAS)
def test_a_written_drive_reads_back_the_same(tmp_path, model):
    made = example(CAMERAS[model])
    read = read_drive(write_drive(tmp_path / "session", made, suffix=".png"))
    assert read.name == "session" and len(read) == 5
    assert np.array_equal(read.stamps_ns, made.stamps_ns)
    assert read.camera.to_dict() == made.camera.to_dict()
    np.testing.assert_allclose(read.T_base_cam, made.T_base_cam, atol=1e-8)
    np.testing.assert_allclose(read.T_map_base, made.T_map_base, atol=1e-7)
    assert np.array_equal(read.odometry.stamps_ns, made.odometry.stamps_ns)
    np.testing.assert_allclose(read.odometry.T_odom_base, made.odometry.T_odom_base, atol=1e-7)
    assert np.array_equal(read.image(3), made.image(3))


def test_images_that_cannot_be_read_are_left_out(tmp_path, caplog):
    made = example()

    def load(i):
        if i == 2:
            raise DataError("no picture at 7 ns")
        return made.load(i)

    read = read_drive(write_drive(tmp_path, replace(made, load=load), suffix=".png"))
    assert read.names == ("000000.png", "000001.png", "000003.png", "000004.png")
    np.testing.assert_allclose(read.T_map_base, made.T_map_base[[0, 1, 3, 4]], atol=1e-7)
    assert np.array_equal(read.image(2), made.image(3)) and "no picture at 7 ns" in caplog.text


def test_ground_truth_and_odometry_are_optional(tmp_path):
    write_drive(tmp_path, example())
    (tmp_path / "poses.csv").unlink()
    (tmp_path / "odometry.csv").unlink()
    drive = read_drive(tmp_path)
    assert drive.T_map_base is None and drive.odometry is None
    with pytest.raises(DataError, match="no ground-truth"):
        drive.posed_images()


def test_subset_takes_frames_and_keeps_the_odometry():
    drive = example()
    part = drive.subset(slice(1, None, 2))
    assert part.names == ("1.png", "3.png") and len(part.odometry) == 9
    assert np.array_equal(part.image(1), drive.image(3))
    assert np.array_equal(part.subset([1]).image(0), drive.image(3))


def test_a_y_down_world_is_turned_to_z_up(tmp_path):
    settings = {"model": "PINHOLE", "width": 8, "height": 6, "fx": 5, "fy": 5, "cx": 3, "cy": 2}
    (tmp_path / "camera.json").write_text(json.dumps({**settings, "world": "frame 0 (y down)"}))
    (tmp_path / "poses.txt").write_text(
        "# name tx ty tz qx qy qz qw\nmap/0.png 0 0 0 0 0 0 1\nquery/1.png 1 -2 5 0 0 0 1\n"
    )
    for name in ("map/0.png", "query/1.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.zeros((6, 8), np.uint8))
    drive = read_drive(tmp_path)
    np.testing.assert_allclose(drive.T_map_base[0], np.eye(4), atol=1e-12)
    # 5 m ahead, 1 m to the right, 2 m up
    np.testing.assert_allclose(drive.T_map_base[1, :3, 3], [5, -1, 2], atol=1e-12)
    np.testing.assert_allclose(drive.T_map_cam[0], T_BODY_OPTICAL, atol=1e-12)
    assert drive.image(0).shape == (6, 8)
    assert read_drive(tmp_path, "query").names == ("query/1.png",)


def break_columns(folder):
    (folder / "poses.csv").write_text("name,x,y\n")


def break_quaternion(folder):
    lines = (folder / "poses.csv").read_text().splitlines()
    lines[1] = "000000.jpg,0,0,0,2,0,0,0"
    (folder / "poses.csv").write_text("\n".join(lines))


def break_number(folder):
    text = (folder / "poses.csv").read_text().replace("000001.jpg,", "000001.jpg,x")
    (folder / "poses.csv").write_text(text)


def break_stamps(folder):
    lines = (folder / "stamps.csv").read_text().splitlines()
    (folder / "stamps.csv").write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    (folder / "poses.csv").unlink()


def break_camera(folder):
    (folder / "camera.json").write_text('{"model": "pinhole"}')


def break_model(folder):
    text = (folder / "camera.json").read_text().replace('"pinhole"', '"fancy"')
    (folder / "camera.json").write_text(text)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda f: (f / "000002.jpg").unlink(), "000002.jpg: image is missing"),
        (lambda f: (f / "stamps.csv").unlink(), "stamps.csv: missing"),
        (lambda f: (f / "camera.json").unlink(), "camera.json: missing"),
        (break_columns, "poses.csv: the first line must be"),
        (break_quaternion, "not a unit quaternion"),
        (break_number, "poses.csv: a pose is not 7 numbers"),
        (break_stamps, "stamps do not increase"),
        (break_camera, "camera.json: not a camera description"),
        (break_model, "camera.json: unknown camera model 'fancy'"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_a_wrong_drive_is_refused(tmp_path, spoil, message):
    folder = write_drive(tmp_path / "drive", example())
    spoil(folder)
    with pytest.raises(DataError, match=message):
        read_drive(folder)


def test_a_damaged_image_is_named(tmp_path):
    drive = read_drive(write_drive(tmp_path, example()))
    (tmp_path / "000001.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match="000001.jpg: image cannot be decoded"):
        drive.image(1)


def test_missing_session_lists_those_there_are(tmp_path):
    write_drive(tmp_path / "map", example())
    with pytest.raises(DataError, match="it has the sessions map"):
        read_drive(tmp_path)


def test_the_real_drive(shared):
    drive = read_drive(shared / "data" / "kitti00_clip")
    assert len(drive) == 200 and drive.image(0).shape == (376, 1241)
    assert np.all(np.diff(drive.stamps_ns) == 100_000_000)
    motion = drive.T_map_base[40, :3, 3] - drive.T_map_base[0, :3, 3]
    assert motion[0] > 20 and abs(motion[2]) < 3  # forward is x, the street is level


def test_the_rendered_street(shared):
    drive = read_drive(shared / "data" / "street_a", "query_noon")
    assert len(drive) == 48 and drive.image(0).shape == (480, 640, 3)
    assert abs(drive.T_map_base[:, 2, 3]).max() < 0.1  # the body's origin is on the road
    assert np.all(drive.T_map_base[:, 2, 2] > 0.99)
    assert len(drive.odometry) > 90

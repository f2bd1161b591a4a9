"""Raw RobotCar drives as bags: what is in them, how they are laid out, and that work is kept."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import robotcar_raw as raw
import yaml

from pixloc_ros.cli import pixloc
from pixloc_ros.core.errors import ConfigError, DataError
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_storage import BagStorage
from pixloc_ros.datasets.bag_topics import Channel
from pixloc_ros.datasets.place import read_place
from pixloc_ros.datasets.robotcar import utm
from pixloc_ros.datasets.robotcar.bag import (
    BagOptions,
    thinned,
    write_robotcar_bag,
)
from pixloc_ros.datasets.robotcar.camera import CameraModel
from pixloc_ros.datasets.robotcar.drive import Frame, RobotCar, read_robotcar
from pixloc_ros.datasets.split_bag import Event, write_split_bag

IMAGE = "/stereo_left/image_raw/compressed"


@pytest.fixture
def drive(tmp_path) -> Path:
    raw.write_calibration(tmp_path)
    return raw.write_drive(tmp_path, cameras=("stereo_left", "mono_rear"))


def log_of(bag: Path) -> list[tuple[int, str, bytes]]:
    storage = BagStorage(bag)
    topics = {connection.topic for connection in storage.connections}
    return [(stamp, c.topic, bytes(data)) for stamp, c, data in storage.messages(topics)]


def information(bag: Path) -> dict:
    return yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_holds_what_the_drive_holds(drive, tmp_path, storage):
    options = BagOptions(storage=storage, image_format="png", part_s=1.2)
    counts = write_robotcar_bag(RobotCar(drive), tmp_path / "bag", options)
    assert counts[IMAGE] == counts["/odom"] == counts["/tf"] == 20 and counts["/tf_static"] == 1
    for camera in ("stereo_left", "mono_rear"):
        source, back = read_robotcar(drive, camera), read_place(f"{tmp_path / 'bag'}:{camera}")
        np.testing.assert_array_equal(back.stamps_ns, source.stamps_ns)
        np.testing.assert_allclose(back.T_map_base, source.T_map_base, atol=1e-9)
        np.testing.assert_allclose(back.T_base_cam, source.T_base_cam, atol=1e-9)
        np.testing.assert_allclose(
            back.odometry.T_odom_base, source.odometry.T_odom_base, atol=1e-9
        )
        assert back.camera.to_dict() == source.camera.to_dict()
        for i in (0, 7, 19):
            np.testing.assert_array_equal(back.image(i), source.image(i))


def test_layout_is_that_of_a_split_rosbag2(drive, tmp_path):
    bag = tmp_path / "bag"
    counts = write_robotcar_bag(RobotCar(drive), bag, BagOptions(part_s=1.0))
    info = information(bag)
    assert info["version"] == 9 and info["storage_identifier"] == "mcap"
    assert info["relative_file_paths"] == ["bag_0.mcap", "bag_1.mcap", "bag_2.mcap"]
    assert {p.name for p in bag.iterdir()} == {*info["relative_file_paths"], "metadata.yaml"}
    log = log_of(bag)
    assert info["message_count"] == len(log) == sum(counts.values())
    assert info["message_count"] == sum(entry["message_count"] for entry in info["files"])
    assert [entry["path"] for entry in info["files"]] == info["relative_file_paths"]
    begin = info["starting_time"]["nanoseconds_since_epoch"]
    assert (begin, begin + info["duration"]["nanoseconds"]) == (log[0][0], log[-1][0])
    stamps = [stamp for stamp, *_ in log]
    assert stamps == sorted(stamps)
    topics = {t["topic_metadata"]["name"]: t for t in info["topics_with_message_count"]}
    assert {name: t["message_count"] for name, t in topics.items()} == counts
    latched = topics["/tf_static"]["topic_metadata"]["offered_qos_profiles"][0]
    assert (latched["durability"], latched["depth"]) == ("transient_local", 1)
    plain = topics[IMAGE]["topic_metadata"]["offered_qos_profiles"][0]
    assert (plain["durability"], plain["reliability"]) == ("volatile", "reliable")
    assert info["custom_data"]["map_origin_utm_northing_easting_down"] == (
        "5735000.000 620000.000 -110.000"
    )


def test_our_player_plays_all_parts(drive, tmp_path):
    pytest.importorskip("rclpy")
    from pixloc_ros.ros.bag_player import Bag

    path = tmp_path / "bag"
    counts = write_robotcar_bag(RobotCar(drive), path, BagOptions(part_s=1.0))
    bag = Bag(path)
    played = list(bag.messages(bag.start_ns))
    assert not bag.skipped and len(played) == sum(counts.values()) - 1  # all but /tf_static
    assert [m.time_ns for m in played] == sorted(m.time_ns for m in played)
    assert {t.child_frame_id for t in bag.static_transforms().transforms} >= {"mono_rear_optical"}
    later = list(bag.messages(bag.start_ns + 1_500_000_000))
    assert 0 < len(later) < len(played) and later == played[-len(later) :]
    bag.close()


def test_messages(drive, tmp_path):
    bag = tmp_path / "bag"
    write_robotcar_bag(RobotCar(drive), bag, BagOptions(odometry="ins", truth="ins"))
    reader = BagReader(bag)
    (static,) = reader.messages("/tf_static")
    frames = {t.child_frame_id: t.header.frame_id for t in static.transforms}
    assert frames == dict.fromkeys(("stereo_left_optical", "mono_rear_optical", "ins"), "base_link")
    ins = next(t.transform.translation for t in static.transforms if t.child_frame_id == "ins")
    assert (ins.x, ins.y, ins.z) == pytest.approx((-1.5, -0.1, -1.0))  # right and down turn sign
    image, info = reader.first_message(IMAGE), reader.first_message("/stereo_left/camera_info")
    assert image.header == info.header and image.header.frame_id == "stereo_left_optical"
    assert image.format == "jpeg" and not any(info.d)
    assert info.k.tolist() == [20, 0, 16, 0, 21, 12, 0, 0, 1]
    fix = reader.first_message("/gps/fix")
    assert (fix.latitude, fix.longitude, fix.altitude) == (51.76, -1.26, 110)
    assert fix.position_covariance.tolist() == [4, 0, 0, 0, 1, 0, 0, 0, 9]  # east, north, up
    assert (fix.status.status, fix.position_covariance_type) == (0, 2)
    odometry = list(reader.messages("/odom"))
    assert len(odometry) > 100, "ins.csv at 50 Hz"
    assert odometry[5].twist.twist.linear.x == pytest.approx(raw.SPEED)
    variances = [m.pose.covariance[0] for m in odometry]
    assert all(m.twist.covariance[0] > 0 for m in odometry) and variances[-1] > variances[1] > 0
    assert odometry[0].header.frame_id == "odom" and odometry[0].child_frame_id == "base_link"


def test_an_interrupted_run_goes_on(drive, tmp_path, monkeypatch):
    options = BagOptions(cameras=("stereo_left",), part_s=0.5)
    write_robotcar_bag(RobotCar(drive), tmp_path / "whole", options)
    load, made = CameraModel.image, []

    def until_cut(self, path):
        if len(made) == 12:
            raise KeyboardInterrupt
        made.append(path)
        return load(self, path)

    monkeypatch.setattr(CameraModel, "image", until_cut)
    bag = tmp_path / "bag"
    with pytest.raises(KeyboardInterrupt):
        write_robotcar_bag(RobotCar(drive), bag, options)
    assert not bag.exists()
    partial = tmp_path / "bag.partial"
    kept = {path.name: path.stat().st_mtime_ns for path in partial.glob("*.mcap")}
    assert kept
    with pytest.raises(DataError, match="unfinished bag made with other options"):
        write_robotcar_bag(RobotCar(drive), bag, BagOptions(cameras=("mono_rear",), part_s=0.5))
    again = []
    monkeypatch.setattr(
        CameraModel, "image", lambda self, path: again.append(path) or load(self, path)
    )
    write_robotcar_bag(RobotCar(drive), bag, options)
    assert not partial.exists() and 0 < len(again) < 20
    assert {name: (bag / name).stat().st_mtime_ns for name in kept} == kept
    assert log_of(bag) == log_of(tmp_path / "whole")
    with pytest.raises(DataError, match="exists already"):
        write_robotcar_bag(RobotCar(drive), bag, options)


def test_gaps_ranges_and_rates(drive, tmp_path):
    for k in (8, 9):
        (drive / "stereo" / "left" / f"{raw.START + k * 100_000}.png").unlink()
    options = BagOptions(cameras=("stereo_left",), start_s=0.5, end_s=1.5, image_rate=5.0)
    counts = write_robotcar_bag(RobotCar(drive), tmp_path / "bag", options)
    stamps = BagReader(tmp_path / "bag").index(IMAGE)[:, 0] // 1000 - raw.START
    assert (stamps // 100_000).tolist() == [6, 10, 11, 13, 15] and counts[IMAGE] == 5
    log = log_of(tmp_path / "bag")
    assert log[0][0] >= (raw.START - 1) * 1000 and log[-1][0] <= (raw.START + 2_000_000) * 1000
    drive_again = read_place(f"{tmp_path / 'bag'}:stereo_left")
    np.testing.assert_allclose(drive_again.T_map_base[:, 1, 3], 1.5 + 5e-6 * stamps, atol=1e-6)


@pytest.mark.parametrize("rate, count", [(0, 160), (5, 50), (8, 80), (11, 110), (20, 160)])
def test_thinning_keeps_the_rate(rate, count):
    """Ten seconds at 16 Hz with jitter."""
    rng = np.random.default_rng(1)
    stamps = np.arange(160) * 62_500_000 + rng.integers(-2_000_000, 2_000_000, 160)
    kept = list(thinned((Frame(int(s), Path("x")) for s in stamps), rate))
    assert len(kept) == pytest.approx(count, abs=1)


def test_bad_requests(drive, tmp_path):
    with pytest.raises(ConfigError, match="is not after"):
        BagOptions(start_s=3, end_s=2)
    with pytest.raises(ConfigError, match="jpeg"):
        BagOptions(image_format="gif")
    with pytest.raises(DataError, match="it has no images after 99 s"):
        write_robotcar_bag(RobotCar(drive), tmp_path / "bag", BagOptions(start_s=99))
    with pytest.raises(DataError, match="mcap, sqlite3"):
        write_robotcar_bag(RobotCar(drive), tmp_path / "bag", BagOptions(storage="zip"))
    for path in (drive / "vo" / "vo.csv", drive / "gps" / "ins.csv"):
        path.unlink()
    with pytest.raises(DataError, match="extract the archive vo or gps"):
        write_robotcar_bag(RobotCar(drive), tmp_path / "bag")
    assert not (tmp_path / "bag").exists() and not (tmp_path / "bag.partial").exists()


def test_stamps_that_decrease_are_refused(tmp_path):
    from rosbags.typesys import Stores, get_typestore

    channels = {"a": Channel("/a", "std_msgs/msg/Empty")}
    events = iter([Event(stamp, "a", lambda: memoryview(b"\0\1\0\0\0")) for stamp in (5, 4)])
    with pytest.raises(DataError, match="4 comes after 5"):
        write_split_bag(tmp_path / "bag", channels, events, get_typestore(Stores.ROS2_JAZZY), {})


def test_memory_does_not_depend_on_the_length(tmp_path):
    """More than three times the images and rows, in parts of the same length: the same peak."""
    raw.write_calibration(tmp_path)
    peaks = []
    for images in (10, 40, 140):  # the first only warms up
        drive = raw.write_drive(tmp_path / str(images), images=images, rate=20.0)
        tracemalloc.start()
        write_robotcar_bag(
            RobotCar(drive, tmp_path),
            tmp_path / f"bag{images}",
            BagOptions(part_s=1.5, image_format="raw"),
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 400_000, peaks  # kept data would be over 1 MB


def test_without_pyproj_it_says_what_to_install(drive, tmp_path, monkeypatch, capsys):
    """And once that is there, the same command goes through."""
    monkeypatch.setattr(sys, "argv", [])
    arguments = [str(drive), str(tmp_path / "bag"), "--calibration", str(tmp_path)]
    with monkeypatch.context() as without:
        utm._grid.cache_clear()
        without.setitem(sys.modules, "pyproj", None)
        assert pixloc.run("robotcar_to_bag", arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("robotcar_to_bag: the package pyproj is not installed; pip install")
    assert pixloc.run("robotcar_to_bag", arguments) == 0

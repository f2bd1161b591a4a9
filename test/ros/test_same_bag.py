"""One bag, two readers: the live node's and that of recordings give the same frames, to the bit."""

from __future__ import annotations

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

import made
from rclpy.serialization import deserialize_message

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.bag import read_bag
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_topics import BagInput, Channel, add_channels, open_writer
from pixloc_ros.datasets.drive import T_BODY_OPTICAL
from pixloc_ros.ros import pipeline
from pixloc_ros.ros.odometry import BaseOdometry
from pixloc_ros.ros.pipeline import FramePipeline, Job

RNG = np.random.default_rng(4)
DEEP = RNG.integers(0, 65536, (3, 60, 80), np.uint16)
STAMPS = [2_000_000_000 + 100_000_000 * i for i in range(3)]
# What an image of 80x60 is cut out of, and shrunk from, on a chip of 640x480.
WINDOW = dict(roi=(40, 80, 160, 120), binning_x=2, binning_y=2)


def png(mosaic):
    return cv2.imencode(".png", mosaic)[1]


def nv12(luma):
    return made.image("nv12", np.concatenate([luma, luma[:30]]), height=60)


IMAGES = {
    "bayer_grbg16": lambda i: made.image("bayer_grbg16", DEEP[i], 6, big=True),
    "mono16": lambda i: made.image("mono16", DEEP[i], 2),
    "yuv422_yuy2": lambda i: made.image("yuv422_yuy2", DEEP[i].view("u1").reshape(60, 80, 2)),
    "nv12": lambda i: nv12(DEEP[i].astype(np.uint8)),
    "compressed mosaic": lambda i: made.compressed(
        "bayer_rggb8; png compressed ", png(DEEP[i].astype(np.uint8))
    ),
}


def stamped(message, stamp_ns: int, frame_id: str):
    message.header = made.header(stamp_ns, frame_id)
    return message


def write(path: Path, kind: str, frame_id: str, info_frame: str, changes: dict, child="") -> Path:
    """A bag of three images as some robot records them: slashes before frame ids, a bad message."""
    compressed = kind.startswith("compressed")
    channels = {
        "tf": Channel("/tf_static", "tf2_msgs/msg/TFMessage", latched=True),
        "odom": Channel("/odom", "nav_msgs/msg/Odometry"),
        "info": Channel("/camera_info", "sensor_msgs/msg/CameraInfo"),
        "image": Channel("/image/compressed", "sensor_msgs/msg/CompressedImage")
        if compressed
        else Channel("/image", "sensor_msgs/msg/Image"),
    }
    q, t = transforms.to_quaternion(T_BODY_OPTICAL)
    mount = made.new(
        "geometry_msgs/TransformStamped",
        made.header(1, "/base_link"),
        "/lens",
        made.transform([*t, *q]),
    )
    zeros = np.zeros(36)
    with open_writer(path, "mcap") as writer:
        connections = add_channels(writer, channels, made.TYPES)

        def put(channel, stamp_ns, message):
            writer.write(connections[channel], stamp_ns, made.cdr(message))

        put("tf", STAMPS[0], made.new("tf2_msgs/TFMessage", [mount]))
        for i, stamp_ns in enumerate(STAMPS):
            pose = [float(i), 0, 0, 0, 0, 0, 2.0]  # a quaternion that is not normalised
            odometry = made.odometry(pose, zeros, np.zeros(6), zeros)
            odometry.child_frame_id = child
            put("odom", stamp_ns, stamped(odometry, stamp_ns, "/odom"))
            bad = made.odometry([np.nan] * 7, zeros, np.zeros(6), zeros)
            put("odom", stamp_ns + 1, stamped(bad, stamp_ns + 1, "/odom"))
            put("info", stamp_ns, stamped(made.info(**changes), stamp_ns, info_frame))
            put("image", stamp_ns, stamped(IMAGES[kind](i), stamp_ns, frame_id))
    return path


def decoded(bag: Path, topic: str):
    """The messages of a topic as the node gets them."""
    for _, msgtype, raw in BagReader(bag).raw_messages(topic):
        package, _, name = msgtype.split("/")
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
        yield deserialize_message(bytes(raw), kind)


def live_frames(bag: Path, monkeypatch, rectified: bool):
    """What the node hands to the localizer for each image of the bag, and what it asks of tf."""
    frames, asked = [], []

    def extrinsics(frame_id, stamp_ns):
        asked.append((frame_id, stamp_ns))
        return T_BODY_OPTICAL

    def keep(localizer, tracker, frame, with_view, finder):
        frames.append(frame)

    monkeypatch.setattr(pipeline, "process_frame", keep)
    run = FramePipeline(None, None, extrinsics, rectified)
    topic = BagReader(bag).require("/image", "/image/compressed")
    for image, info in zip(decoded(bag, topic), decoded(bag, "/camera_info")):
        outcome = run(Job(image, info))
        if outcome.problem:
            raise DataError(outcome.problem)
    return frames, asked


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("kind", IMAGES)
def test_the_node_and_the_reader_of_bags_agree(tmp_path, monkeypatch, kind, rectified, caplog):
    bag = write(tmp_path / "bag", kind, "/lens", "elsewhere", WINDOW)
    drive = read_bag(bag, BagInput(image_is_rectified=rectified))
    frames, asked = live_frames(bag, monkeypatch, rectified)
    assert asked == [("lens", stamp_ns) for stamp_ns in STAMPS]
    assert [frame.stamp_ns for frame in frames] == STAMPS == drive.stamps_ns.tolist()
    for i, frame in enumerate(frames):
        assert frame.image.shape[:2] == (60, 80) and frame.image.dtype == np.uint8
        np.testing.assert_array_equal(drive.image(i), frame.image)
        assert drive.camera.to_dict() == frame.camera.to_dict()
        np.testing.assert_allclose(drive.T_base_cam, frame.T_base_cam, atol=1e-12)
    f = 150.0 if rectified else 200.0
    assert drive.camera.f.tolist()[0] == f and drive.camera.size.tolist() == [80, 60]
    # The node refuses the three odometry messages of NaN and counts them; here a warning does.
    np.testing.assert_allclose(drive.odometry.T_odom_base[:, 0, 3], [0, 1, 2])
    assert "3 messages of /odom left out: the pose holds NaN" in caplog.text


def test_an_image_without_a_frame_is_in_that_of_its_camera_info(tmp_path, monkeypatch):
    bag = write(tmp_path / "bag", "mono16", "", "/lens", WINDOW)
    _, asked = live_frames(bag, monkeypatch, False)
    assert {frame_id for frame_id, _ in asked} == {"lens"}
    np.testing.assert_allclose(read_bag(bag).T_base_cam, T_BODY_OPTICAL, atol=1e-12)


@pytest.mark.parametrize("child", ["", "base_link", "/lens"])
def test_both_hear_the_same_odometry(tmp_path, child):
    """That of the base, also where a visual odometry tells the pose of its camera."""
    bag = write(tmp_path / "bag", "mono16", "lens", "lens", WINDOW, child)

    class Tree:
        odom_frame = ""
        lookup = staticmethod(lambda *frames: BagReader(bag).static_chain(*frames[:2]))

        def follow(self, frame):
            self.odom_frame = frame

    tree = Tree()
    live = BaseOdometry(tree, "base_link")
    good = [m for m in decoded(bag, "/odom") if np.isfinite(m.pose.pose.position.x)]
    poses = np.stack([live.pose_of(message) for message in good])
    np.testing.assert_array_equal(read_bag(bag).odometry.T_odom_base, poses)
    stated = np.stack([np.eye(4)] * 3)
    stated[:, 0, 3] = [0, 1, 2]
    T_child_base = transforms.inverse(T_BODY_OPTICAL) if child == "/lens" else np.eye(4)
    np.testing.assert_allclose(poses, stated @ T_child_base, atol=1e-12)
    assert tree.odom_frame == "odom" and live.newest is good[-1]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"d": [0.1, np.nan, 0, 0, 0]}, "camera_info: D holds NaN"),
        ({"roi": (600, 80, 160, 120)}, "roi, 160x120"),
        ({"width": 600}, "80x60, but camera_info speaks of 600x480"),
    ],
)
def test_both_refuse_the_same(tmp_path, monkeypatch, changes, words):
    bag = write(tmp_path / "bag", "mono16", "lens", "lens", changes)
    with pytest.raises(DataError, match=words) as offline:
        read_bag(bag)
    with pytest.raises(DataError, match=words) as live:
        live_frames(bag, monkeypatch, False)
    assert str(live.value) in str(offline.value) and str(bag) in str(offline.value)


def test_a_topic_of_nothing_but_bad_messages_is_named(tmp_path):
    bag = write(tmp_path / "bag", "mono16", "lens", "lens", WINDOW)
    broken = BagReader(bag)
    with pytest.raises(DataError, match="/odom of .*has no messages that can be used: no good"):
        broken._by_time("/odom", refuse)


def refuse(message):
    raise DataError("no good")

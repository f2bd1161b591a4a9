"""Topics and frames of other people's bags: found where they are clear, else to be named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_bag import TYPES, changed, make_drive

from pixloc_ros.cli import build_map, evaluate, flags
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.datasets.bag import read_bag, write_bag
from pixloc_ros.datasets.bag_topics import BagInput
from pixloc_ros.datasets.place import read_place
from pixloc_ros.messages.poses import to_xyz_rpy

FOREIGN = {
    "/image": "/zed/left/image_rect_color",
    "/camera_info": "/zed/left/camera_info",
    "/odom": "/wheel/odometry",
    "/ground_truth/odometry": "/rtk",
}


def new(name: str, *values):
    package, kind = name.split("/")
    return TYPES.types[f"{package}/msg/{kind}"](*values)


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_bag(make_drive(), tmp_path_factory.mktemp("toy") / "bag")


def foreign(topic, kind, log_ns, message):
    return [(FOREIGN.get(topic, topic), kind, log_ns, message)]


def test_the_only_topics_of_their_types_are_taken(bag, tmp_path):
    other = changed(bag, tmp_path / "other", foreign)
    with pytest.raises(DataError, match=r"It has /rtk, /wheel/odometry; name one with --odom"):
        read_bag(other)
    back, own = read_bag(other, BagInput(odom="/wheel/odometry")), read_bag(bag)
    assert back.T_map_base is None, "ground truth is never guessed"
    np.testing.assert_array_equal(back.image(3), own.image(3))
    assert back.camera.to_dict() == own.camera.to_dict()
    np.testing.assert_allclose(back.odometry.T_odom_base, own.odometry.T_odom_base)
    back = read_bag(other, BagInput(ground_truth="/rtk"))
    np.testing.assert_allclose(back.T_map_base, own.T_map_base)
    np.testing.assert_allclose(back.odometry.T_odom_base, own.odometry.T_odom_base)


def stereo(topic, kind, log_ns, message):
    """A second camera beside the first, both of them also compressed."""
    if topic == "/camera_info":
        right = replace(message, k=2 * message.k)
        return [(f"/{s}/camera_info", kind, log_ns, m) for s, m in (("l", message), ("r", right))]
    if topic != "/image":
        return [(topic, kind, log_ns, message)]
    packed = new("sensor_msgs/CompressedImage", message.header, "jpeg", np.zeros(9, np.uint8))
    return [
        entry
        for side in "lr"
        for entry in (
            (f"/{side}/image", kind, log_ns, message),
            (f"/{side}/image/compressed", "sensor_msgs/msg/CompressedImage", log_ns, packed),
        )
    ]


def test_one_of_several_has_to_be_named(bag, tmp_path):
    two = changed(bag, tmp_path / "two", stereo)
    with pytest.raises(DataError, match="It has /l/image, /r/image; name one with --image"):
        read_bag(two)
    left, right = (read_bag(two, BagInput(image=f"/{side}/image")) for side in "lr")
    assert right.camera.f.tolist() == (2 * left.camera.f).tolist(), "the camera info beside it"
    named = BagInput(image="/r/image", camera_info="/l/camera_info")
    assert read_bag(two, named).camera.to_dict() == left.camera.to_dict()
    with pytest.raises(DataError, match="no topic /x or /x/compressed; it has: /ground_truth"):
        read_bag(two, BagInput(image="/x"))
    with pytest.raises(DataError, match="/odom is a nav_msgs/msg/Odometry, but sensor_msgs/msg/Im"):
        read_bag(two, BagInput(image="/odom"))


def test_frames_and_extrinsics(bag, tmp_path):
    def renamed(topic, kind, log_ns, message):
        if kind.endswith("/Odometry"):
            message.child_frame_id = "wheels"
        return [(topic, kind, log_ns, message)]

    other = changed(bag, tmp_path / "other", renamed)
    own = read_bag(bag)
    with pytest.raises(
        DataError, match=r"joins 'wheels' to 'camera' .*--base-frame-id.*--extrinsics"
    ):
        read_bag(other)
    with pytest.raises(DataError, match="'wheels', not of 'base_link'"):
        read_bag(other, BagInput(base_frame_id="/base_link"))
    numbers = tuple(to_xyz_rpy(own.T_base_cam).tolist())
    T_base_cam = read_bag(other, BagInput(extrinsics=numbers)).T_base_cam
    np.testing.assert_allclose(T_base_cam, own.T_base_cam, atol=1e-12)


def test_the_base_is_base_link_where_odometry_moves_what_tf_fixes_to_it(bag, tmp_path):
    def footprint(topic, kind, log_ns, message):
        if topic == "/odom":
            message.child_frame_id = "base_footprint"
        if topic == "/tf_static":
            fixed = replace(message.transforms[0], child_frame_id="base_footprint")
            message.transforms.append(fixed)
        return [(topic, kind, log_ns, message)]

    other, own = changed(bag, tmp_path / "other", footprint), read_bag(bag)
    back = read_bag(other)
    np.testing.assert_allclose(back.T_base_cam, own.T_base_cam)
    T_footprint_base = transforms.inverse(own.T_base_cam)  # it sits where the camera does
    moved = own.odometry.T_odom_base @ T_footprint_base
    np.testing.assert_allclose(back.odometry.T_odom_base, moved, atol=1e-9)
    named = read_bag(other, BagInput(base_frame_id="base_footprint"))
    np.testing.assert_allclose(named.T_base_cam, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(named.odometry.T_odom_base, own.odometry.T_odom_base)
    np.testing.assert_allclose(named.T_map_base, own.T_map_base @ own.T_base_cam, atol=1e-9)


def transform(odometry, parent: str, child: str):
    """geometry_msgs/TransformStamped of an Odometry's pose."""
    pose = odometry.pose.pose
    vector = new("geometry_msgs/Vector3", pose.position.x, pose.position.y, pose.position.z)
    moved = new("geometry_msgs/Transform", vector, pose.orientation)
    header = replace(odometry.header, frame_id=parent)
    return new("geometry_msgs/TransformStamped", header, child, moved)


def as_poses(topic, kind, log_ns, message):
    """Odometry as bare poses, beside one that somebody set, and nothing on /tf."""
    if topic != "/odom":
        return [(topic, kind, log_ns, message)] if topic != "/tf" else []
    pose = new("geometry_msgs/PoseStamped", message.header, message.pose.pose)
    covered = new("geometry_msgs/PoseWithCovarianceStamped", message.header, message.pose)
    return [
        ("/vio/pose", "geometry_msgs/msg/PoseStamped", log_ns, pose),
        ("/initialpose", "geometry_msgs/msg/PoseWithCovarianceStamped", log_ns, covered),
    ]


def as_tf(topic, kind, log_ns, message):
    """Odometry on /tf alone, in a tree with a map above, a footprint below, and a wheel."""
    if topic != "/odom":
        return [(topic, kind, log_ns, message)] if topic != "/tf" else []
    moving = [("odom", "base_footprint"), ("map", "odom"), ("base_link", "wheel")]
    entries = [transform(message, *pair) for pair in moving]
    fixed = transform(message, "base_footprint", "base_link")
    fixed.transform.translation = new("geometry_msgs/Vector3", 0.0, 0.0, 0.5)
    fixed.transform.rotation = new("geometry_msgs/Quaternion", 0.0, 0.0, 0.0, 1.0)
    tf = "tf2_msgs/msg/TFMessage"
    return [("/tf", tf, log_ns, new("tf2_msgs/TFMessage", [*entries, fixed]))]


@pytest.mark.parametrize("change, lift", [(as_poses, 0.0), (as_tf, 0.5)])
def test_odometry_as_poses_or_as_transforms(bag, tmp_path, change, lift):
    own, back = read_bag(bag).odometry, read_bag(changed(bag, tmp_path / "other", change)).odometry
    np.testing.assert_array_equal(back.stamps_ns, own.stamps_ns)
    up = transforms.exp(np.array([0, 0, lift, 0, 0, 0]))
    np.testing.assert_allclose(back.T_odom_base, own.T_odom_base @ up, atol=1e-9)


def test_transforms_that_do_not_say_how_the_base_moves(bag, tmp_path):
    def without(topic, kind, log_ns, message):
        entries = as_tf(topic, kind, log_ns, message)
        if topic == "/odom":
            entries[0][3].transforms = entries[0][3].transforms[2:]
        return entries

    other = changed(bag, tmp_path / "other", without)
    with pytest.raises(DataError, match="/tf says nowhere how 'base_link' moves; .*-> wheel"):
        read_bag(other, BagInput(odom="/tf"))
    with pytest.raises(DataError, match="no topic of type nav_msgs/msg/Odometry or geometry_msgs"):
        read_bag(other)


def test_flags_of_the_commands():
    typed = ["--image", "/zed/i", "--odom", "/tf", "--base-frame-id", "base", "--extrinsics", "1"]
    typed += ["-0.5", "0", "-1.57", "0", "-1.57"]
    for command, needed in ((evaluate, ["--map", "m"]), (build_map, ["--out", "m"])):
        arguments = command.parse(["--drive", "bag", *needed, *typed])
        given = flags.settings_of(BagInput, arguments)
        assert given == BagInput(
            image="/zed/i",
            odom="/tf",
            base_frame_id="base",
            extrinsics=(1.0, -0.5, 0.0, -1.57, 0.0, -1.57),
        )
        default = flags.settings_of(BagInput, command.parse(["--drive", "bag", *needed]))
        assert default == BagInput()


def test_what_is_given_is_for_bags_alone(bag, tmp_path):
    with pytest.raises(DataError, match="is no bag; topics, frames"):
        read_place(str(tmp_path), BagInput(image="/image"))
    assert len(read_place(str(bag), BagInput(image="/image"))) == 6


@pytest.mark.parametrize("drop", [(), ("/odom",)])
def test_our_own_bags_have_the_whole_tree(bag, tmp_path, drop):
    """odom -> base_link on /tf is what /odom says."""

    def without(topic, kind, log_ns, message):
        return [] if topic in drop else [(topic, kind, log_ns, message)]

    other = read_bag(changed(bag, tmp_path / "other", without), BagInput(odom="/tf"))
    own = read_bag(bag).odometry
    np.testing.assert_array_equal(other.odometry.stamps_ns, own.stamps_ns)
    np.testing.assert_allclose(other.odometry.T_odom_base, own.T_odom_base, atol=1e-12)

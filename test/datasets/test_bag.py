"""Bags keep what a drive holds, and are laid out as ``ros2 bag`` expects them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import yaml
from toy_bag import make_drive

from pixloc_ros.cli import build_map, evaluate
from pixloc_ros.core.errors import DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.datasets.bag import read_bag, write_bag
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_storage import BagStorage
from pixloc_ros.datasets.bag_topics import BagFrames, BagInput
from pixloc_ros.datasets.drive import Odometry
from pixloc_ros.datasets.place import read_place
from pixloc_ros.synthetic.odometry import simulate_odometry


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("colour", [True, False])
def test_round_trip(tmp_path, storage, colour):
    drive = make_drive(colour=colour)
    back = read_bag(write_bag(drive, tmp_path / "bag", storage=storage))
    shift = 1_000_000_000 - 7
    assert np.array_equal(back.stamps_ns, drive.stamps_ns + shift)
    assert np.array_equal(back.odometry.stamps_ns, drive.odometry.stamps_ns + shift)
    np.testing.assert_allclose(back.odometry.T_odom_base, drive.odometry.T_odom_base, atol=1e-12)
    np.testing.assert_allclose(back.T_map_base, drive.T_map_base, atol=1e-12)
    np.testing.assert_allclose(back.T_base_cam, drive.T_base_cam, atol=1e-12)
    for i in (3, 0, 5):
        assert np.array_equal(back.image(i), drive.image(i))
    assert back.camera.to_dict() == drive.camera.to_dict()


def test_absolute_stamps_are_kept(tmp_path):
    drive = make_drive(start_ns=1_700_000_000_123_456_789)
    back = read_bag(write_bag(drive, tmp_path / "bag"))
    assert np.array_equal(back.stamps_ns, drive.stamps_ns)


@pytest.mark.parametrize("image_format, tolerance", [("png", 0), ("jpeg", 60)])
def test_compressed_images(tmp_path, image_format, tolerance):
    drive = make_drive()
    smooth = np.full((48, 64, 3), (200, 100, 30), np.uint8)
    drive = replace(drive, load=lambda i: smooth)
    back = read_bag(write_bag(drive, tmp_path / "bag", image_format=image_format))
    difference = np.abs(back.image(2).astype(int) - smooth)
    assert difference.max() <= min(tolerance, 6)


@pytest.mark.parametrize(
    "model, coefficients",
    [
        ("plumb_bob", [-0.3, 0.1, 1e-3, -2e-3, 0.0]),
        ("rational_polynomial", [-0.3, 0.1, 1e-3, -2e-3, 0.01, 0.1, 0.02, 0.003]),
        ("rational_polynomial", [-0.3, 0.1, 1e-3, -2e-3] + [0.01] * 8 + [0.02, -0.01]),
        ("equidistant", [0.01, -0.02, 0.003, -0.001]),
    ],
)
def test_camera_models(tmp_path, model, coefficients):
    k = [50.0, 0, 31.0, 0, 51.0, 23.5, 0, 0, 1]
    camera = Camera.from_ros(model, 64, 48, k, coefficients)
    drive = make_drive(camera=camera)
    back = read_bag(write_bag(drive, tmp_path / "bag"))
    assert back.camera.to_dict() == camera.to_dict()


def test_rectified_images_take_the_projection(tmp_path):
    k, d = [50.0, 0, 31, 0, 51, 23, 0, 0, 1], [-0.3, 0.1, 1e-3, 0]
    camera = Camera.from_ros("plumb_bob", 64, 48, k, d)
    path = write_bag(make_drive(camera=camera), tmp_path / "bag")
    raw, straight = (
        read_place(str(path)).camera,
        read_place(str(path), BagInput(image_is_rectified=True)).camera,
    )
    assert raw.to_dict() == camera.to_dict()
    assert straight.model == "pinhole" and straight.f.tolist() == [50, 51]
    with pytest.raises(DataError, match="is no bag; topics"):
        read_place(str(tmp_path), BagInput(image_is_rectified=True))


@pytest.mark.parametrize("flags", [[], ["--image-is-rectified"]])
def test_commands_that_read_bags_may_be_told_so(flags):
    for command, needed in ((evaluate, ["--map", "m"]), (build_map, ["--out", "m"])):
        arguments = command.parse(["--drive", "bag", *needed, *flags])
        assert arguments.image_is_rectified is bool(flags)


def test_metadata_suits_ros2_bag_play(tmp_path):
    path = write_bag(make_drive(), tmp_path / "bag")
    info = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert info["version"] == 9 and info["storage_identifier"] == "mcap"
    topics = {t["topic_metadata"]["name"]: t for t in info["topics_with_message_count"]}
    assert set(topics) == {
        "/image",
        "/camera_info",
        "/odom",
        "/tf",
        "/tf_static",
        "/ground_truth/odometry",
    }
    latched = topics["/tf_static"]["topic_metadata"]["offered_qos_profiles"][0]
    assert latched["durability"] == "transient_local" and latched["depth"] == 1
    plain = topics["/image"]["topic_metadata"]["offered_qos_profiles"][0]
    assert plain["durability"] == "volatile" and plain["reliability"] == "reliable"
    assert topics["/image"]["message_count"] == 6
    # The hash that upstream's tf2_msgs has: the message crosses to any other ROS machine.
    assert topics["/tf_static"]["topic_metadata"]["type_description_hash"] == (
        "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"
    )


def test_messages_are_in_stamp_order_and_odometry_comes_first(tmp_path):
    path = write_bag(make_drive(), tmp_path / "bag")
    storage = BagStorage(path)
    topics = {connection.topic for connection in storage.connections}
    log = [(stamp, connection.topic) for stamp, connection, _ in storage.messages(topics)]
    assert [stamp for stamp, _ in log] == sorted(stamp for stamp, _ in log)
    assert [topic for _, topic in log[:6]] == [
        "/tf_static",
        "/odom",
        "/tf",
        "/ground_truth/odometry",
        "/camera_info",
        "/image",
    ]


def test_odometry_states_its_motion_and_how_well_it_knows_it(tmp_path):
    """What an EKF takes from the bag: twists that lead from pose to pose, from the first message
    on, with a covariance that covers their scatter."""
    seconds = np.arange(200) * 0.02
    truth = transforms.exp(np.stack([4 * seconds, *np.zeros((4, 200)), 0.05 * seconds], axis=1))
    stamps = 10**9 + np.arange(200, dtype=np.int64) * 20_000_000
    measured = Odometry(stamps, simulate_odometry(stamps, truth, 5))
    drive = replace(make_drive(start_ns=10**9), odometry=measured)
    odometry = BagReader(write_bag(drive, tmp_path / "bag")).stated_odometry("/odom")
    assert np.array_equal(odometry.stamps_ns, stamps)
    steps = transforms.inverse(odometry.T[:-1]) @ odometry.T[1:]
    np.testing.assert_allclose(odometry.twist[1:] * 0.02, transforms.log(steps), atol=1e-9)
    np.testing.assert_array_equal(odometry.twist[0], odometry.twist[1])
    true_twist = transforms.log(transforms.inverse(truth[:-1]) @ truth[1:]) / 0.02
    scatter = (odometry.twist[1:] - true_twist).std(axis=0)
    sigma = np.sqrt(np.diagonal(odometry.twist_covariance, axis1=1, axis2=2)).mean(axis=0)
    for axis in (0, 5):
        assert 0.6 < scatter[axis] / sigma[axis] < 1.2, "neither boasting nor timid"
    assert (np.diff(odometry.covariance[:, 0, 0]) > -1e-12).all()


def test_missing_topic_lists_what_is_there(tmp_path):
    path = write_bag(make_drive(), tmp_path / "bag")
    with pytest.raises(
        DataError,
        match=r"no topic /front or /front/compressed; it has: "
        r"/camera_info \(sensor_msgs/msg/CameraInfo\), .*/image",
    ):
        read_bag(path, BagInput(image="/front"))


def test_unreachable_camera_frame_is_named(tmp_path):
    path = write_bag(make_drive(), tmp_path / "bag")
    with pytest.raises(DataError, match="joins 'base_link' to 'lidar' for good"):
        BagReader(path).static_chain("base_link", "lidar")


def test_odometry_and_truth_of_another_frame_are_those_of_the_base(tmp_path):
    drive = make_drive()
    path = write_bag(drive, tmp_path / "bag", frames=BagFrames(base="vehicle"))
    with pytest.raises(DataError, match="'vehicle', not of 'base_link'.* to 'vehicle'"):
        read_bag(path, BagInput(base_frame_id="base_link"))
    named = read_place(str(path), BagInput(base_frame_id="vehicle"))
    for found in (named, read_bag(path)):
        assert np.array_equal(found.T_base_cam, drive.T_base_cam)
    back = read_bag(path, BagInput(base_frame_id="camera"))  # a robot that is its camera
    for found, expected in (
        (back.odometry.T_odom_base, drive.odometry.T_odom_base @ drive.T_base_cam),
        (back.T_map_base, drive.T_map_base @ drive.T_base_cam),
        (back.T_base_cam, np.eye(4)),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_camera_that_looks_up_is_named(tmp_path, caplog):
    path = write_bag(replace(make_drive(), T_base_cam=np.eye(4)), tmp_path / "bag")
    read_bag(path)
    assert "/image: the camera looks 90 deg up" in caplog.text


def test_bad_requests(tmp_path):
    drive = make_drive()
    with pytest.raises(DataError, match="no odometry"):
        write_bag(replace(drive, odometry=None), tmp_path / "bag")
    with pytest.raises(DataError, match="mcap, sqlite3"):
        write_bag(drive, tmp_path / "bag", storage="zip")
    (tmp_path / "bag").mkdir()
    with pytest.raises(DataError, match="exists already"):
        write_bag(drive, tmp_path / "bag")
    with pytest.raises(DataError, match="metadata.yaml"):
        read_bag(tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").write_text("nonsense: [")
    with pytest.raises(DataError, match="cannot be read"):
        read_bag(tmp_path / "bag")


def test_failed_write_leaves_nothing(tmp_path):
    drive = make_drive()

    def fail(i):
        raise DataError("image is gone")

    with pytest.raises(DataError, match="image is gone"):
        write_bag(replace(drive, load=fail), tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


def test_writing_needs_constant_memory(tmp_path):
    image = np.zeros((240, 320, 3), np.uint8)

    def peak(frames):
        drive = replace(make_drive(frames=frames, size=(8, 8)), load=lambda i: image)
        tracemalloc.start()
        write_bag(drive, tmp_path / f"bag{frames}")
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes

    peak(2)
    assert peak(48) < peak(16) + 2_000_000

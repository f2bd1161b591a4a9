"""Bags as other people have them: bare, cut off, damaged, of ROS 1, with stamps of no use."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from rosbags import rosbag1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from toy_bag import TYPES, changed, make_drive, messages, written

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag import read_bag, write_bag
from pixloc_ros.datasets.bag_reader import BagReader
from pixloc_ros.datasets.bag_storage import is_bag
from pixloc_ros.datasets.place import read_place

FRAMES = 40


@pytest.fixture(scope="module")
def drive():
    """With images large enough for several chunks of an mcap file (1 MiB each)."""
    return make_drive(frames=FRAMES, size=(320, 240))


@pytest.fixture
def bag(drive, tmp_path) -> Path:
    return write_bag(drive, tmp_path / "bag")


def check_same(back, bag: Path, frames: int = FRAMES) -> None:
    """A drive that was read holds the first frames of the bag, and they are the same."""
    whole = read_bag(bag)
    assert len(back) == frames and len(back.odometry) <= len(whole.odometry)
    np.testing.assert_array_equal(back.stamps_ns, whole.stamps_ns[:frames])
    np.testing.assert_allclose(back.T_base_cam, whole.T_base_cam)
    np.testing.assert_allclose(back.T_map_base, whole.T_map_base[:frames])
    assert back.camera.to_dict() == whole.camera.to_dict()
    for i in (0, frames // 2, frames - 1):
        np.testing.assert_array_equal(back.image(i), whole.image(i))


@pytest.mark.parametrize("storage, suffix", [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_a_bare_file_and_a_folder_without_metadata(drive, tmp_path, storage, suffix, caplog):
    bag = write_bag(drive, tmp_path / "bag", storage=storage)
    (file,) = bag.glob(f"*{suffix}")
    bare = tmp_path / f"bare{suffix}"
    shutil.copy(file, bare)
    check_same(read_place(str(bare)), bag)
    assert not caplog.text
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(file, folder)
    assert is_bag(folder)
    check_same(read_place(str(folder)), bag)
    assert "no metadata.yaml; its files are read by their names" in caplog.text


@pytest.mark.parametrize(
    "old, new, word",
    [
        ("storage_identifier: mcap", "storage_identifier: ''", ""),
        ("rosbag2_bagfile_information:", "nonsense: [", "metadata.yaml cannot be read"),
        ("- bag.mcap", "- bag.mcap\n  - bag_1.mcap", "bag_1.mcap missing; the rest is read"),
    ],
)
def test_metadata_that_is_wrong(bag, tmp_path, old, new, word, caplog):
    text = (bag / "metadata.yaml").read_text()
    assert old in text
    other = shutil.copytree(bag, tmp_path / "other")
    (other / "metadata.yaml").write_text(text.replace(old, new))
    check_same(read_bag(other), bag)
    assert word in caplog.text and bool(caplog.text) == bool(word)


def test_a_tail_that_was_cut_off(bag, tmp_path, caplog):
    """What the last whole chunk holds is there; what was lost is said."""
    data = (bag / "bag.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: len(data) // 2])
    back = read_bag(cut)
    assert FRAMES // 3 < len(back) < FRAMES // 2 + 1
    check_same(back, bag, len(back))
    assert "cut.mcap: it ends in the middle of a record at byte" in caplog.text
    cut.write_bytes(data[: -len(data) // 50])  # the index alone is missing, or a little more
    check_same(read_bag(cut), bag, len(read_bag(cut)))
    cut.write_bytes(data[:4])
    with pytest.raises(DataError, match="cut.mcap cannot be read: .*; record or copy it again"):
        read_bag(cut)


def test_a_split_bag_whose_last_file_is_empty(bag, tmp_path, caplog):
    (bag / "bag.mcap").rename(bag / "bag_0.mcap")
    (bag / "bag_1.mcap").touch()
    text = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(text.replace("- bag.mcap", "- bag_0.mcap\n  - bag_1.mcap"))
    assert len(read_bag(bag)) == FRAMES
    assert "bag_1.mcap cannot be read" in caplog.text and "the rest of the bag" in caplog.text


def test_damage_in_the_middle(bag, tmp_path, caplog):
    """A chunk whose checksum is wrong costs its own messages only."""
    data = bytearray((bag / "bag.mcap").read_bytes())
    head = struct.Struct("<BQ")
    position, chunks = 8, []
    while position < len(data):
        operation, length = head.unpack_from(data, position)
        chunks += [position] if operation == 6 else []
        position += head.size + length
        if operation == 2:
            break
    assert len(chunks) > 4
    struct.pack_into("<I", data, chunks[2] + head.size + 24, 12345)  # its CRC
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(data)
    back = read_bag(broken)
    assert FRAMES - 8 < len(back) < FRAMES and len(back.stamps_ns) == len(set(back.stamps_ns))
    assert set(back.stamps_ns) < set(read_bag(bag).stamps_ns)
    assert "1 damaged parts of it are left out" in caplog.text


def test_an_mcap_without_chunks_whose_messages_are_out_of_order(tmp_path, bag):
    """As `ros2 bag record --storage-preset-profile fastwrite` writes them."""

    def record(operation, body):
        return struct.pack("<BQ", operation, len(body)) + body

    def string(text):
        return struct.pack("<I", len(text)) + text.encode()

    content = messages(bag)
    topics = list({topic: kind for topic, kind, *_ in content}.items())
    data = b"\x89MCAP0\r\n" + record(1, string("") + string("somebody"))
    for number, (topic, kind) in enumerate(topics, start=1):
        data += record(3, struct.pack("<H", number) + string(kind) + string("") + string(""))
        channel = struct.pack("<HH", number, number) + string(topic) + string("cdr") + string("")
        data += record(4, channel)
    for topic, kind, log_ns, message in [*content[1::2], *content[::2]]:
        number = topics.index((topic, kind)) + 1
        head = struct.pack("<HIQQ", number, 0, log_ns, log_ns)
        data += record(5, head + bytes(TYPES.serialize_cdr(message, kind)))
    data += record(15, bytes(4)) + record(2, bytes(20)) + b"\x89MCAP0\r\n"
    file = tmp_path / "fast.mcap"
    file.write_bytes(data)
    check_same(read_bag(file), bag)


def test_a_cut_database_is_an_error_of_one_line(drive, tmp_path):
    bag = write_bag(drive, tmp_path / "bag", storage="sqlite3")
    cut = tmp_path / "cut.db3"
    cut.write_bytes(next(bag.glob("*.db3")).read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"cut.db3 cannot be read: .*; try `sqlite3") as caught:
        read_bag(cut)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="is no bag; bags end in .mcap, .db3, .bag"):
        read_bag(bag / "metadata.yaml")
    with pytest.raises(DataError, match="no such file or folder"):
        read_bag(tmp_path / "nowhere")


def test_topics_whose_type_nobody_can_parse(bag, tmp_path):
    """Service events have the text of a service, which is no message, as their definition."""
    path = tmp_path / "all"
    definition = "SRV: example_interfaces/srv/AddTwoInts\nint64 a\nint64 b\n---\nint64 sum\n"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        event = writer.add_connection(
            "/add/_service_event",
            "example_interfaces/srv/AddTwoInts_Event",
            msgdef=definition,
            rihs01="RIHS01_" + "0" * 64,
        )
        connections = {}
        for topic, kind, log_ns, message in messages(bag):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], log_ns, TYPES.serialize_cdr(message, kind))
            writer.write(event, log_ns, b"\0\1\0\0")
    check_same(read_bag(path), bag)
    with pytest.raises(
        DataError, match="_service_event .*AddTwoInts_Event cannot be read"
    ) as caught:
        BagReader(path).first_message("/add/_service_event")
    assert "\n" not in str(caught.value)


def test_stamps_of_no_use_are_replaced_by_the_times_of_recording(bag, tmp_path, caplog):
    for stamp, word in ((0, "are 0"), (7, "are equal")):

        def unstamped(topic, kind, log_ns, message, stamp=stamp):
            if topic in ("/image", "/odom"):
                message.header.stamp.sec, message.header.stamp.nanosec = stamp, 0
            return [(topic, kind, log_ns, message)]

        caplog.clear()
        check_same(read_bag(changed(bag, tmp_path / word, unstamped)), bag)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 2 and all(f"most header stamps {word}" in text for text in said)
        assert [topic in text for topic, text in zip(("/odom", "/image"), said)] == [True, True]


def test_single_bad_messages_are_left_out_and_counted(bag, tmp_path, caplog):
    """Stamps of 0, bytes that are no message, and an image that is none, first of all."""
    counts: dict = {}

    def spoilt(topic, kind, log_ns, message):
        number = counts[topic] = counts.get(topic, -1) + 1
        if topic in ("/image", "/odom") and number in (5, 6):
            message.header.stamp.sec = message.header.stamp.nanosec = 0
        if topic == "/image" and number == 0:
            message.data = message.data[:100]
        if topic in ("/camera_info", "/image", "/odom") and number == 9:
            return [(topic, kind, log_ns, b"\0\1\0")]
        if topic == "/camera_info" and number == 0:
            message.k = np.full(9, np.nan)
        return [(topic, kind, log_ns, message)]

    back = read_bag(changed(bag, tmp_path / "spoilt", spoilt))
    whole = read_bag(bag)
    assert len(back) == FRAMES - 3 and len(back.odometry) == len(whole.odometry) - 3
    np.testing.assert_array_equal(back.image(20), whole.image(23))
    assert "2 messages left out: their stamps are 0 or repeated" in caplog.text
    assert "1 messages of /odom left out: a message of 3 bytes cannot be decoded" in caplog.text
    with pytest.raises(DataError, match="/image at 1000000000 ns: the image holds 100 bytes"):
        back.image(0)


def test_stamps_of_two_clocks_are_said(bag, tmp_path):
    def late(topic, kind, log_ns, message):
        if topic == "/odom":
            message.header.stamp.sec += 1000
        return [(topic, kind, log_ns, message)]

    with pytest.raises(
        DataError, match="/image is stamped 1.000 to 4.900 s, but /odom 1001.*clock"
    ):
        read_bag(changed(bag, tmp_path / "late", late))


def test_mountings_that_are_only_on_tf(bag, tmp_path):
    """As static_transform_publisher of ROS 1 sends them; what moves there is no mounting."""

    def dynamic(topic, kind, log_ns, message):
        return [("/tf" if topic == "/tf_static" else topic, kind, log_ns, message)]

    check_same(read_bag(changed(bag, tmp_path / "tf", dynamic)), bag)

    def moving(topic, kind, log_ns, message):
        if topic != "/tf_static":
            return [(topic, kind, log_ns, message)]
        (entry,) = message.transforms
        raw = [bytes(TYPES.serialize_cdr(message, kind))]
        entry.transform.translation.x += 0.1
        raw.append(bytes(TYPES.serialize_cdr(message, kind)))
        return [("/tf", kind, log_ns, data) for data in raw]

    with pytest.raises(DataError, match="joins 'base_link' to 'camera' for good"):
        read_bag(changed(bag, tmp_path / "moving", moving))


def test_ros_1(bag, tmp_path):
    """Types, header and field names of ROS 1; transforms under their name before tf2."""
    types = get_typestore(Stores.ROS1_NOETIC)
    tf = "geometry_msgs/TransformStamped[] transforms"
    file = tmp_path / "robot.bag"
    with rosbag1.Writer(file) as writer:
        connections = {}
        for topic, kind, log_ns, message in messages(bag):
            if topic not in connections:
                if kind == "tf2_msgs/msg/TFMessage":
                    name, definition, digest = (
                        "tf/msg/tfMessage",
                        tf,
                        "94810edda583a504dfda3829e70d7eec",
                    )
                else:
                    name, (definition, digest) = kind, types.generate_msgdef(kind)
                connections[topic] = writer.add_connection(
                    topic, name, msgdef=definition, md5sum=digest
                )
            raw = TYPES.cdr_to_ros1(TYPES.serialize_cdr(message, kind), kind)
            writer.write(connections[topic], log_ns, raw)
    check_same(read_place(str(file)), bag)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataError, match="robot.bag cannot be read: .*rosbag reindex"):
        read_bag(file)


@pytest.mark.parametrize("kind", ["cut", "bare"])
def test_the_player_plays_them_too(bag, tmp_path, kind):
    pytest.importorskip("rclpy")
    from pixloc_ros.ros.bag_player import Bag

    data = (bag / "bag.mcap").read_bytes()
    file = tmp_path / "file.mcap"
    file.write_bytes(data[: len(data) // 2] if kind == "cut" else data)
    player = Bag(file)
    played = list(player.messages(player.start_ns))
    expected = [entry for entry in messages(file) if entry[0] != "/tf_static"]
    assert [(m.topic, m.time_ns) for m in played] == [(topic, t) for topic, _, t, _ in expected]
    assert [t.child_frame_id for t in player.static_transforms().transforms] == ["camera"]
    player.close()


def test_messages_written_again_are_the_same(bag, tmp_path):
    """The helper of these tests changes nothing by itself."""
    check_same(read_bag(written(tmp_path / "again", messages(bag), "sqlite3")), bag)

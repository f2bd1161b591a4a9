"""The environment of the wheels: type hashes, ament's index, discovery, images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# the hash of the real package, without which the two could not talk to each other
TFMESSAGE = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"

SUBSCRIBER = """
import sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("image_counter")
seen = set()
node.create_subscription(Image, "image_count", lambda m: seen.add(m.header.frame_id),
                         QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
end = time.monotonic() + 60
while time.monotonic() < end and "last" not in seen:
    rclpy.spin_once(node, timeout_sec=0.1)
print(len(seen))
"""
PUBLISHER = """
import array, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("image_source")
publisher = node.create_publisher(
    Image, "image_count", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
while publisher.get_subscription_count() == 0:
    time.sleep(0.01)
time.sleep(1.0)
image = Image(height=480, width=640, encoding="rgb8", step=1920)
image.data = array.array("B", bytes(480 * 1920))
for index in range(40):
    image.header.frame_id = str(index)
    publisher.publish(image)
    time.sleep(0.05)
image.header.frame_id = "last"
for _ in range(20):
    publisher.publish(image)
    time.sleep(0.05)
"""


@pytest.fixture
def bare():
    """An environment without anything of ROS, as a new shell has it."""
    ros = ("ROS_", "AMENT_", "COLCON_", "RMW_", "FAST", "LD_LIBRARY_PATH", "_ROS_", "PYTHONPATH")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ros)}
    return {**clean, "ROS_DOMAIN_ID": "78"}


def output(code: str, environment: dict) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_type_hash_is_that_of_the_real_package():
    from ament_index_python.packages import get_package_share_directory

    share = Path(get_package_share_directory("tf2_msgs"))
    description = json.loads((share / "msg" / "TFMessage.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in description["type_hashes"]}
    assert hashes["tf2_msgs/msg/TFMessage"] == TFMESSAGE


def test_all_interfaces_are_there():
    from tf2_msgs.action import LookupTransform
    from tf2_msgs.msg import TF2Error
    from tf2_msgs.srv import FrameGraph

    assert TF2Error.EXTRAPOLATION_ERROR == 3
    assert LookupTransform.Goal().advanced is False
    assert FrameGraph.Response().frame_yaml == ""


def test_nothing_has_to_be_exported(bare):
    code = (
        "import os, ament_index_python as a\n"
        "for name in ('tf2_msgs', 'tf2_ros', 'cv_bridge', 'std_msgs', 'pixloc_ros'):\n"
        "    assert os.path.isdir(a.get_package_share_directory(name)), name\n"
        "print(os.environ['FASTRTPS_DEFAULT_PROFILES_FILE'])"
    )
    assert Path(output(code, bare).strip()).is_file()


def test_what_the_user_set_stays(bare):
    code = (
        "import os\n"
        "print(os.environ['FASTRTPS_DEFAULT_PROFILES_FILE'])\n"
        "print(os.environ['AMENT_PREFIX_PATH'])"
    )
    mine = {**bare, "FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml", "AMENT_PREFIX_PATH": "/overlay"}
    profile, prefixes = output(code, mine).split()
    assert profile == "mine.xml"
    assert prefixes.split(os.pathsep) == ["/overlay", sys.prefix]


def test_guard_without_library_path(bare):
    """A child that inherited the wheels' guard variable alone imports rclpy all the same."""
    inherited = {**bare, "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    assert output("import rclpy; rclpy.init(); print('fine')", inherited).strip() == "fine"


def test_large_images_get_through_between_processes(bare):
    """0.92 MB images, best effort, no environment variable: all but none arrive."""
    listening = subprocess.Popen(
        [sys.executable, "-c", SUBSCRIBER], env=bare, text=True, stdout=subprocess.PIPE
    )
    try:
        output(PUBLISHER, bare)
        arrived = int(listening.communicate(timeout=90)[0])
    finally:
        listening.kill()
    assert arrived >= 38, f"{arrived} of 41 images arrived"

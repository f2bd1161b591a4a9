"""What `doctor` looks at in ROS: packages, the transport of images, the running system.

Compiled ROS packages can take the whole process down when their numpy or Python does not fit, so
each is tried in a process of its own; this also keeps the imports of ROS out of this room.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from pixloc_ros.cli._doctor_checks import Finding

MESSAGES = (
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "nav_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
)
IMAGES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
SOURCE_OR_WHEELS = "source /opt/ros/jazzy/setup.bash, or without ROS: make venv"
FIXED_TF2 = (0, 36, 5)
SHARED_MEMORY_MB = 128  # a few participants with the profile's segment each

TRY_CV_BRIDGE = """
import numpy as np
from cv_bridge import CvBridge
image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
message = CvBridge().cv2_to_imgmsg(image, "bgr8")
rgb = CvBridge().imgmsg_to_cv2(message, "rgb8")
assert (rgb[..., ::-1] == image).all(), "bgr8 to rgb8 came out wrong"
"""
TRY_TF2 = """
import pathlib, re
import tf2_ros
from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
for package in ("tf2_ros_py", "tf2_ros"):
    try:
        manifest = pathlib.Path(get_package_share_directory(package)) / "package.xml"
        print(re.search("<version>(.*?)</version>", manifest.read_text())[1])
        break
    except PackageNotFoundError:
        pass
"""


def _run(code: str) -> tuple[str, str]:
    """(what the code printed, why it failed or "")."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "", "did not return within 60 s"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    if done.returncode < 0:
        return "", f"crashed with signal {-done.returncode}"
    return "", (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def from_wheels() -> bool:
    """Whether this environment's ROS comes out of PyPI wheels."""
    try:
        return bool(version("ros-rclpy"))
    except PackageNotFoundError:
        return False


def checks(listen: float) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    """What there is to check, by name; listen: seconds to watch the running system, or 0."""
    yield "rclpy", rclpy
    if find_spec("rclpy") is None:
        return  # without ROS each of the others would say no more than that
    yield from (("messages", messages), ("tf2_ros", tf2_ros), ("cv_bridge", cv_bridge))
    yield "DDS", transport
    if listen > 0:
        yield "topics", lambda: graph(listen)


def rclpy() -> Iterator[Finding]:
    if find_spec("rclpy") is None:
        detail = (
            "no ROS 2: maps, evaluation and training work, the node and what talks to it do not"
        )
        yield Finding("rclpy", "error", detail, SOURCE_OR_WHEELS)
        return
    place, failure = _run("import rclpy; rclpy.init(); rclpy.shutdown(); print(rclpy.__file__)")
    distribution = os.environ.get("ROS_DISTRO")
    if failure:
        yield Finding("rclpy", "error", failure, SOURCE_OR_WHEELS)
    elif from_wheels() and distribution:
        yield Finding(
            "rclpy",
            "error",
            f"both a sourced ROS ({distribution}) and ROS wheels",
            "remove the environment and run make venv with that ROS sourced",
        )
    elif from_wheels():
        yield Finding("rclpy", "ok", f"{version('ros-rclpy')} out of wheels")
    else:
        yield Finding("rclpy", "ok", f"ROS {distribution or '(not sourced)'}: {Path(place).parent}")
        if distribution and distribution != "jazzy":
            yield Finding("rclpy", "warning", f"ROS {distribution}", "tested with Jazzy")


def messages() -> Iterator[Finding]:
    code = f"""
import importlib
for name in {MESSAGES!r}:
    try:
        importlib.import_module(name + (".srv" if name == "std_srvs" else ".msg"))
    except ImportError as error:
        print(name, error)
"""
    lines, failure = _run(code)
    for line in [*lines.splitlines(), *([failure] if failure else [])]:
        package = line.split()[0].replace("_", "-")
        yield Finding(
            "messages",
            "error",
            line,
            "make venv" if from_wheels() else f"sudo apt install ros-jazzy-{package}",
        )
    if not lines and not failure:
        yield Finding("messages", "ok", f"{len(MESSAGES)} packages")


def tf2_ros() -> Iterator[Finding]:
    found, failure = _run(TRY_TF2)
    if failure:
        yield Finding(
            "tf2_ros",
            "error",
            failure,
            "make venv" if from_wheels() else "sudo apt install ros-jazzy-tf2-ros-py",
        )
        return
    if from_wheels():
        yield Finding("tf2_ros", "ok", "out of ros_wheels")
    elif tuple(int(part) for part in found.split(".") if part.isdigit()) < FIXED_TF2:
        yield Finding(
            "tf2_ros",
            "warning",
            f"{found or 'unknown version'}; before "
            f"{'.'.join(map(str, FIXED_TF2))} Python nodes that listen to tf crash when "
            "time jumps back",
            "the localizer takes care of itself; for other nodes: "
            "sudo apt upgrade, and no looped bags until then",
        )
    else:
        yield Finding("tf2_ros", "ok", found)


def cv_bridge() -> Iterator[Finding]:
    _, failure = _run(TRY_CV_BRIDGE)
    if not failure:
        yield Finding("cv_bridge", "ok", "converts an image")
    elif from_wheels():
        yield Finding("cv_bridge", "error", failure, "make venv")
    elif "No module named 'cv_bridge'" in failure:
        yield Finding("cv_bridge", "error", failure, "sudo apt install ros-jazzy-cv-bridge")
    else:
        yield Finding(
            "cv_bridge",
            "error",
            failure,
            "the cv_bridge of apt is compiled against "
            "numpy 1: python -m pip install 'numpy<2' 'opencv-python-headless<4.12'",
        )


def transport() -> Iterator[Finding]:
    """Whether images get through: Fast DDS needs a profile for messages above 0.5 MB."""
    middleware = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in middleware:
        yield Finding("DDS", "ok", middleware)
        return
    profile = os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE")
    remedy = (
        "in every terminal: export FASTRTPS_DEFAULT_PROFILES_FILE=$(ros2 pkg prefix --share "
        "pixloc_ros)/config/fastdds_profile.xml"
    )
    if not profile:
        misspelt = "FASTDDS_DEFAULT_PROFILES_FILE" in os.environ
        yield Finding(
            "DDS",
            "warning",
            "Fast DDS without a profile loses most images above 0.5 MB"
            + (" (FASTDDS_DEFAULT_PROFILES_FILE is ignored by Jazzy)" * misspelt),
            remedy,
        )
    elif not Path(profile).is_file():
        yield Finding("DDS", "error", f"the Fast DDS profile {profile} does not exist", remedy)
    else:
        yield Finding("DDS", "ok", f"Fast DDS with {profile}")
    memory = Path("/dev/shm")
    size = shutil.disk_usage(memory).total / 2**20 if memory.is_dir() else 0
    if size < SHARED_MEMORY_MB:
        yield Finding(
            "DDS",
            "warning",
            f"/dev/shm has {size:.0f} MB; images fall back to UDP",
            "in a container: docker run --shm-size=512m, or --ipc=host",
        )


def graph(seconds: float) -> Iterator[Finding]:
    """The running system: topics with images, and publishers that a subscription cannot hear."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pixloc_ros.ros.graph_probe", "--seconds", str(seconds)],
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        yield Finding(
            "topics",
            "error",
            "the ROS graph could not be read in time",
            "is another process holding this ROS_DOMAIN_ID's ports?",
        )
        return
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["graph_probe failed"])[-1]
        yield Finding("topics", "error", reason, SOURCE_OR_WHEELS)
        return
    yield from judge_graph(json.loads(done.stdout))


def judge_graph(report: dict) -> Iterator[Finding]:
    """Findings about a graph as `graph_probe` reports it."""
    topics = report["topics"]
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    images = {topic: entry for topic, entry in topics.items() if IMAGES & set(entry["types"])}
    published = {topic: entry for topic, entry in images.items() if entry["publishers"]}
    if not published:
        yield Finding(
            "topics",
            "warning",
            f"nobody publishes images (ROS_DOMAIN_ID {domain}, {len(report['nodes'])} nodes)",
            "start the camera or the bag; same ROS_DOMAIN_ID and network?",
        )
    for topic, entry in published.items():
        reliability = "/".join(sorted({end["reliability"] for end in entry["publishers"]}))
        if entry["rate_hz"] > 0:
            yield Finding("topics", "ok", f"{topic}: {entry['rate_hz']:.1f} Hz, {reliability}")
        else:
            yield Finding(
                "topics",
                "warning",
                f"{topic}: published ({reliability}) but silent",
                "is the camera running? is the bag paused?",
            )
    localizers = {
        end["node"]
        for entry in topics.values()
        for end in entry["subscriptions"]
        if end["node"].endswith("/localizer")
    }
    if not localizers:
        yield Finding(
            "topics",
            "warning",
            "no localizer is running",
            "ros2 launch pixloc_ros localize.launch.py map:=...",
        )
    for topic, entry in topics.items():
        yield from _mismatches(topic, entry)
        deaf = {end["node"] for end in entry["subscriptions"]} & localizers
        if deaf and not entry["publishers"] and topic not in ("/initialpose", "/clock"):
            kind = entry["types"][0].rpartition("/")[2]
            yield Finding(
                "topics",
                "warning",
                f"{topic} ({kind}): the localizer listens, nobody publishes",
                f"remap it: --ros-args -r {topic.lstrip('/')}:=<topic>",
            )


def _mismatches(topic: str, entry: dict) -> Iterator[Finding]:
    for publisher in entry["publishers"]:
        for subscriber in entry["subscriptions"]:
            wants = [
                (key, strong)
                for key, strong in (("reliability", "reliable"), ("durability", "transient_local"))
                if subscriber[key] == strong and publisher[key] != strong
            ]
            for key, strong in wants:
                yield Finding(
                    "topics",
                    "error",
                    f"{topic}: {subscriber['node']} asks for {strong}, "
                    f"{publisher['node']} offers {publisher[key]}; nothing gets through",
                    "set the localizer's parameter reliability to best_effort"
                    if key == "reliability" and subscriber["node"].endswith("/localizer")
                    else f"let both agree on {key}",
                )

"""Starts the localizer, and with arguments also a bag and rviz.

    ros2 launch pixloc_ros localize.launch.py map:=/maps/street
    ros2 launch pixloc_ros localize.launch.py map:=/maps/street bag:=/bags/drive rviz:=true

An argument that is not given leaves the parameter to params_file. The bag starts when the localizer
is active, so that nothing of it is missed; one that cannot be played ends the launch.
"""

import os
from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("pixloc_ros"), "config"])
ARGUMENTS = (
    ("map", "", "feature map: a folder written by build_map"),
    ("checkpoint", "", "the network that the map was built with"),
    ("params_file", PathJoinSubstitution([CONFIG, "localize.yaml"]), "parameters of the node"),
    ("tf_broadcast", "", "send map -> odom: true, or false if an EKF does"),
    ("fused_with_odometry", "", "the poses go to a filter that fuses the odometry: true or false"),
    ("reset_services", "", "what is reset with the localizer when a bag loops, names with spaces"),
    ("initialization", "", "auto: the robot finds itself; pose: it waits to be told"),
    ("autostart", "", "configure and activate at start: true, or false for a lifecycle manager"),
    ("base_frame_id", "", "the robot's frame"),
    ("base_to_camera", "", "camera in it without tf: 'x y z qx qy qz qw' (m)"),
    ("image_transport", "", "raw or compressed"),
    ("image_is_rectified", "", "the images are undistorted already: true or false"),
    ("use_sim_time", "", "take time from /clock: true or false; true if a bag is given"),
    ("bag", "", "rosbag2 folder to play, with /clock"),
    ("rate", "1.0", "speed of the bag"),
    ("start_offset", "0.0", "seconds of the bag to leave out at its start"),
    ("loop", "false", "play the bag again and again: true or false"),
    ("namespace", "", "of the node and its topics"),
    ("image", "image", "image topic (the compressed one is <image>/compressed)"),
    ("camera_info", "camera_info", "calibration topic"),
    ("odom", "odom", "odometry topic"),
    ("rviz", "false", "open rviz: true or false"),
)
#: Arguments that are the node's parameters of the same name.
TEXTS = ("map", "checkpoint", "initialization", "base_frame_id", "image_transport")
TRUTHS = ("tf_broadcast", "fused_with_odometry", "autostart", "image_is_rectified")
#: Hz of /clock: above the 50 Hz at which robot_localization's filters run on it.
CLOCK_RATE = 100
#: What Fast DDS reads its settings from. Its own lose images of more than half a megabyte.
PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def _truth(argument: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"the launch argument {argument} is '{text}'; it takes true or false")
    return text.lower() == "true"


def _numbers(argument: str, text: str) -> list[float]:
    try:
        return [float(value) for value in text.split()]
    except ValueError as error:
        raise ValueError(f"the launch argument {argument} takes numbers: {error}") from None


def start(context):
    """The actions, now that the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    sim_time = {
        "use_sim_time": _truth("use_sim_time", given["use_sim_time"] or str(bool(given["bag"])))
    }
    settings = {name: given[name] for name in TEXTS if given[name]}
    settings |= {name: _truth(name, given[name]) for name in TRUTHS if given[name]}
    if given["reset_services"]:
        settings["reset_services"] = given["reset_services"].split()
    if given["base_to_camera"]:
        settings["base_to_camera"] = _numbers("base_to_camera", given["base_to_camera"])
    if PROFILES not in os.environ:
        yield SetEnvironmentVariable(
            PROFILES, PathJoinSubstitution([CONFIG, "fastdds_profile.xml"])
        )
    # The node configures and activates itself unless autostart says otherwise.
    localizer = LifecycleNode(
        package="pixloc_ros",
        executable="localizer",
        name="localizer",
        namespace=given["namespace"],
        output="screen",
        emulate_tty=True,
        parameters=[given["params_file"], sim_time, settings],
        remappings=[(topic, given[topic]) for topic in ("image", "camera_info", "odom")],
    )
    if given["bag"]:
        yield from played_when_active(given, localizer)
    yield localizer
    if _truth("rviz", given["rviz"]):
        yield Node(
            package="rviz2",
            executable="rviz2",
            parameters=[sim_time],
            arguments=["-d", PathJoinSubstitution([CONFIG, "localize.rviz"])],
        )


def played_when_active(given, localizer):
    """The bag, from the moment on at which the localizer is active."""
    if not Path(given["bag"]).exists():
        raise ValueError(f"the bag {given['bag']} is not there")
    command = ["ros2", "bag", "play", given["bag"], "--clock", str(CLOCK_RATE)]
    command += ["--rate", given["rate"], "--start-offset", given["start_offset"]]
    command += ["--delay", "1.0"]  # until the localizer has found the player's topics
    if _truth("loop", given["loop"]):
        command.append("--loop")
    player = ExecuteProcess(cmd=command, output="screen")

    def ended(event, context):
        if event.returncode == 0 or context.is_shutdown:
            return None
        reason = f"{' '.join(command)} ended with status {event.returncode}"
        get_logger("localize").error(reason)
        return EmitEvent(event=Shutdown(reason=reason))

    yield RegisterEventHandler(OnProcessExit(target_action=player, on_exit=ended))
    yield RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=localizer,
            goal_state="active",
            entities=[player],
            handle_once=True,
        )
    )


def generate_launch_description():
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            OpaqueFunction(function=lambda context: list(start(context))),
        ]
    )

"""Starts the localizer, and with arguments also a bag and rviz.

    ros2 launch pixloc_ros localize.launch.py map:=/maps/street
    ros2 launch pixloc_ros localize.launch.py map:=/maps/street bag:=/bags/drive rviz:=true

An argument that is not given leaves the parameter to params_file.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("pixloc_ros"), "config"])
ARGUMENTS = (
    ("map", "", "feature map: a folder written by build_map"),
    ("checkpoint", "", "the network that the map was built with"),
    ("params_file", PathJoinSubstitution([CONFIG, "localize.yaml"]), "parameters of the node"),
    ("tf_broadcast", "", "send map -> odom: true, or false if an EKF does"),
    ("use_sim_time", "", "take time from /clock: true or false; true if a bag is given"),
    ("bag", "", "rosbag2 folder to play, with /clock"),
    ("namespace", "", "of the node and its topics"),
    ("image", "image", "image topic (the compressed one is <image>/compressed)"),
    ("camera_info", "camera_info", "calibration topic"),
    ("odom", "odom", "odometry topic"),
    ("rviz", "false", "open rviz: true or false"),
)


def _truth(argument: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"the launch argument {argument} is '{text}'; it takes true or false")
    return text.lower() == "true"


def start(context):
    """The actions, now that the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    sim_time = {
        "use_sim_time": _truth("use_sim_time", given["use_sim_time"] or str(bool(given["bag"])))
    }
    settings = {name: given[name] for name in ("map", "checkpoint") if given[name]}
    if given["tf_broadcast"]:
        settings["tf_broadcast"] = _truth("tf_broadcast", given["tf_broadcast"])
    # The node configures and activates itself (parameter autostart), with or without launch.
    yield LifecycleNode(
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
        yield ExecuteProcess(cmd=["ros2", "bag", "play", given["bag"], "--clock"], output="screen")
    if _truth("rviz", given["rviz"]):
        yield Node(
            package="rviz2",
            executable="rviz2",
            parameters=[sim_time],
            arguments=["-d", PathJoinSubstitution([CONFIG, "localize.rviz"])],
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

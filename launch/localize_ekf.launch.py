"""Starts the localizer and two filters of robot_localization that fuse its pose with odometry.

    ros2 launch pixloc_ros localize_ekf.launch.py map:=/maps/street
    ros2 launch pixloc_ros localize_ekf.launch.py map:=/maps/street local_filter:=false

The localizer does not send map -> odom then: ekf_map does, and /odometry/map. ekf_local sends
odom -> base_link and /odometry/local; local_filter:=false leaves it out for robots whose odometry
sends that transform itself, as it is left out with a bag that has /tf. All other arguments are
those of localize.launch.py.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("pixloc_ros")
CONFIG = PathJoinSubstitution([SHARE, "config"])
LOCALIZE = PathJoinSubstitution([SHARE, "launch", "localize.launch.py"])
ARGUMENTS = (
    ("map", "", "feature map: a folder written by build_map"),
    ("checkpoint", "", "the network that the map was built with"),
    ("params_file", PathJoinSubstitution([CONFIG, "localize.yaml"]), "parameters of the localizer"),
    ("ekf_params_file", PathJoinSubstitution([CONFIG, "ekf.yaml"]), "parameters of the filters"),
    (
        "local_filter",
        "",
        "false if the odometry itself sends odom -> base_link, as a bag with /tf does (default)",
    ),
    ("reset_services", "ekf_map/reset ekf_local/reset", "what is reset when a bag loops"),
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
    ("namespace", "", "of the nodes and their topics"),
    ("image", "image", "image topic (the compressed one is <image>/compressed)"),
    ("camera_info", "camera_info", "calibration topic"),
    ("odom", "odom", "odometry topic"),
    ("rviz", "false", "open rviz: true or false"),
)
OF_THE_FILTERS = ("ekf_params_file", "local_filter")
# Both filters have these names in common; below their own names they keep out of each other's way.
OWN = ("set_pose", "enable", "reset", "toggle")


def _truth(argument: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"the launch argument {argument} is '{text}'; it takes true or false")
    return text.lower() == "true"


def _has_tf(bag: str) -> bool:
    """Whether the metadata of a bag names the topic /tf."""
    metadata = Path(bag) / "metadata.yaml"
    return bool(bag) and metadata.is_file() and "name: /tf\n" in metadata.read_text()


def ekf(name: str, output: str, given: dict, sim_time: bool) -> Node:
    """One ekf_node, publishing its odometry on `output`."""
    return Node(
        package="robot_localization",
        executable="ekf_node",
        name=name,
        namespace=given["namespace"],
        output="screen",
        parameters=[given["ekf_params_file"], {"use_sim_time": sim_time}],
        remappings=[
            ("odometry/filtered", output),
            ("odom", given["odom"]),
            *((own, f"~/{own}") for own in OWN),
        ],
    )


def start(context):
    """The actions, now that the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    sim_time = _truth("use_sim_time", given["use_sim_time"] or str(bool(given["bag"])))
    default = str(not _has_tf(given["bag"]))
    local_filter = _truth("local_filter", given["local_filter"] or default)
    if local_filter:
        yield ekf("ekf_local", "odometry/local", given, sim_time)
    yield ekf("ekf_map", "odometry/map", given, sim_time)
    passed = {name: given[name] for name, *_ in ARGUMENTS if name not in OF_THE_FILTERS}
    if not local_filter:
        passed["reset_services"] = passed["reset_services"].replace("ekf_local/reset", "").strip()
    yield IncludeLaunchDescription(
        PythonLaunchDescriptionSource(LOCALIZE.perform(context)),
        launch_arguments=[
            *passed.items(),
            ("tf_broadcast", "false"),
            ("fused_with_odometry", "true"),
        ],
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

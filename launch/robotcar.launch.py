"""Localizes a bag of an Oxford RobotCar drive that robotcar_to_bag wrote.

    ros2 launch pixloc_ros robotcar.launch.py bag:=/bags/drive map:=/maps/oxford rviz:=true
    ros2 launch pixloc_ros robotcar.launch.py bag:=/bags/drive map:=/maps/oxford ekf:=true

camera:=mono_rear takes another camera of the bag; a map of any camera serves for all of them. With
ekf:=true the filters of localize_ekf.launch.py fuse the pose with the drive's odometry.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("pixloc_ros")
ARGUMENTS = (
    ("bag", "", "rosbag2 folder to play, with /clock; empty: played by somebody else"),
    ("rate", "1.0", "speed of the bag"),
    ("start_offset", "0.0", "seconds of the bag to leave out at its start"),
    ("loop", "false", "play the bag again and again: true or false"),
    ("map", "", "feature map: a folder written by build_map"),
    (
        "camera",
        "stereo_left",
        "stereo_left, stereo_centre, stereo_right, mono_left, mono_right or mono_rear",
    ),
    ("ekf", "false", "fuse with odometry in robot_localization: true or false"),
    ("rviz", "false", "open rviz: true or false"),
    ("checkpoint", "", "the network that the map was built with"),
    (
        "params_file",
        PathJoinSubstitution([SHARE, "config", "robotcar.yaml"]),
        "parameters of the localizer",
    ),
    ("use_sim_time", "true", "take time from /clock: true or false"),
)
PASSED = (
    "bag",
    "rate",
    "start_offset",
    "loop",
    "map",
    "rviz",
    "checkpoint",
    "params_file",
    "use_sim_time",
)


def start(context):
    """The launch file to include, now that the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    if given["ekf"].lower() not in ("true", "false"):
        raise ValueError(f"the launch argument ekf is '{given['ekf']}'; it takes true or false")
    file = "localize_ekf.launch.py" if given["ekf"].lower() == "true" else "localize.launch.py"
    topics = {
        "image": f"/{given['camera']}/image_raw",
        "camera_info": f"/{given['camera']}/camera_info",
        "odom": "/odom",
    }
    passed = {name: given[name] for name in PASSED}
    yield IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([SHARE, "launch", file]).perform(context)
        ),
        launch_arguments=[*passed.items(), *topics.items()],
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

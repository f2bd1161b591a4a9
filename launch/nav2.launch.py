"""The localizer in AMCL's place: with nav2's map server, under nav2's lifecycle manager.

    ros2 launch pixloc_ros nav2.launch.py map:=/maps/street grid:=/maps/street_grid.yaml
    ros2 launch nav2_bringup navigation_launch.py          # planner and controllers, as always

map is the feature map, grid the occupancy grid that nav2 plans on; both have to be in one frame
(docs/nav2.md). All other arguments are those of localize.launch.py.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

LOCALIZE = PathJoinSubstitution([FindPackageShare("pixloc_ros"), "launch", "localize.launch.py"])
ARGUMENTS = (
    ("map", "", "feature map: a folder written by build_map"),
    ("grid", "", "occupancy grid of the same place, in the same frame: a yaml file of nav2"),
    ("use_sim_time", "", "take time from /clock: true or false; true if a bag is given"),
    ("bag", "", "rosbag2 folder to play, with /clock"),
)
#: The manager brings them up in this order, and down in the reverse one.
MANAGED = ["map_server", "localizer"]


def start(context):
    """The actions, now that the arguments are known."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    if not given["grid"]:
        raise ValueError(
            "the launch argument grid is missing: the occupancy grid that nav2 plans on"
        )
    time = given["use_sim_time"].lower() or str(bool(given["bag"])).lower()
    if time not in ("true", "false"):
        raise ValueError(f"the launch argument use_sim_time is '{time}'; it takes true or false")
    sim_time = {"use_sim_time": time == "true"}
    yield Node(
        package="nav2_map_server",
        executable="map_server",
        name="map_server",
        parameters=[{"yaml_filename": given["grid"]}, sim_time],
        output="screen",
    )
    yield IncludeLaunchDescription(
        PythonLaunchDescriptionSource(LOCALIZE.perform(context)),
        launch_arguments=[
            ("map", given["map"]),
            ("bag", given["bag"]),
            ("use_sim_time", time),
            ("autostart", "false"),
        ],
    )
    yield Node(
        package="nav2_lifecycle_manager",
        executable="lifecycle_manager",
        name="lifecycle_manager_localization",
        # The localizer keeps no bond; whether it is well is in /diagnostics.
        parameters=[
            {"node_names": MANAGED, "autostart": True, "bond_timeout": 0.0},
            sim_time,
        ],
        output="screen",
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

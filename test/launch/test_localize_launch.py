"""The launch file, run by launch itself where that is installed (on a robot; not from PyPI)."""

import importlib.util
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("launch", reason="launch is not on PyPI; this runs where ROS 2 is installed")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI")
pytest.importorskip("rclpy")

import launch
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, TimerAction
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource

from pixloc_ros.cli.processes import free_domain
from pixloc_ros.datasets.bag import write_bag

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "localize.launch.py"


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """An install prefix with this checkout's package, as colcon would lay it out."""
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/pixloc_ros").touch()
    (tmp_path / "share/pixloc_ros").mkdir()
    for folder in ("config", "launch"):
        (tmp_path / "share/pixloc_ros" / folder).symlink_to(ROOT / folder)
    program = tmp_path / "lib/pixloc_ros/localizer"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pixloc_ros.ros.localizer_node "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    prefixes = [str(tmp_path), *filter(None, [os.environ.get("AMENT_PREFIX_PATH")])]
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(prefixes))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    monkeypatch.setenv("ROS_DOMAIN_ID", str(free_domain()))
    return tmp_path


def load():
    spec = importlib.util.spec_from_file_location("localize_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def actions(module, **arguments) -> list:
    """The actions of the launch file for these arguments."""
    context = launch.LaunchContext()
    given = {
        name: default if isinstance(default, str) else "" for name, default, _ in module.ARGUMENTS
    }
    context.launch_configurations.update({**given, **arguments})
    return list(module.start(context))


def run(end_at: str, seconds: float = 90.0, **arguments) -> tuple[int, str]:
    """Run the file until the node's output holds `end_at`; launch's exit status and the output."""
    output: list[str] = []
    service = launch.LaunchService(noninteractive=True)

    def watch(event):
        output.append(event.text.decode())
        if end_at in "".join(output):
            return launch.actions.EmitEvent(event=Shutdown(reason="test"))
        return None

    exits: list[int] = []
    service.include_launch_description(
        launch.LaunchDescription(
            [
                RegisterEventHandler(OnProcessIO(on_stdout=watch, on_stderr=watch)),
                RegisterEventHandler(
                    OnProcessExit(on_exit=lambda event, _: exits.append(event.returncode))
                ),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(FILE)),
                    launch_arguments=list(arguments.items()),
                ),
                TimerAction(
                    period=seconds,
                    actions=[launch.actions.EmitEvent(event=Shutdown(reason="too late"))],
                ),
            ]
        )
    )
    status = service.run()
    return status or max(exits, default=-1), "".join(output)


def test_every_argument_is_described(installed):
    described = load().generate_launch_description().get_launch_arguments()
    names = {argument.name for argument in described}
    assert {"map", "params_file", "use_sim_time", "bag", "rviz", "tf_broadcast"} <= names
    assert {"rate", "loop", "start_offset"} <= names
    assert all(argument.description for argument in described)


def kinds(found: list) -> list[str]:
    return sorted(type(action).__name__ for action in found)


def test_bag_and_rviz_only_when_asked_for(installed, monkeypatch):
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    module = load()
    assert kinds(actions(module)) == ["LifecycleNode", "SetEnvironmentVariable"]
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/own/profile.xml")
    assert kinds(actions(module)) == ["LifecycleNode"], "who has a profile keeps it"
    found = actions(module, bag=str(installed), rviz="true")
    assert kinds(found) == ["LifecycleNode", "Node", *["RegisterEventHandler"] * 2]
    with pytest.raises(ValueError, match="/no/such/bag is not there"):
        actions(module, bag="/no/such/bag")
    with pytest.raises(ValueError, match="tf_broadcast"):
        actions(module, tf_broadcast="perhaps")


def test_the_node_starts_with_what_the_arguments_say(installed):
    status, output = run("not started", map="/no/such/map")
    assert "/no/such/map: no such folder" in output
    assert status == 0, output


def test_what_is_not_given_is_left_to_the_params_file(installed, tmp_path):
    parameters = tmp_path / "robot.yaml"
    parameters.write_text(
        "/**:\n  localizer:\n    ros__parameters:\n      map: /maps/of/the/file\n"
    )
    status, output = run("not started", params_file=str(parameters), namespace="robot_1")
    assert "/maps/of/the/file" in output and "/robot_1/localizer" in output
    assert status == 0, output


@pytest.fixture
def ros2(tmp_path, monkeypatch) -> Path:
    """A command `ros2` whose `bag play` is our own player; the file that holds what it was told."""
    told = tmp_path / "told"
    program = tmp_path / "bin/ros2"
    program.parent.mkdir()
    program.write_text(
        f"""#!{sys.executable}
import sys
from pixloc_ros.ros.bag_player import main
assert sys.argv[1:3] == ["bag", "play"], sys.argv
open({str(told)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
arguments = sys.argv[3:]
del arguments[arguments.index("--clock") + 1]
arguments[arguments.index("--start-offset")] = "--start"
place = arguments.index("--delay")
del arguments[place : place + 2]
sys.exit(main(arguments))
"""
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    return told


def test_parameters_can_be_arguments(installed, room_map):
    _, output = run(
        "inactive now",
        seconds=15.0,
        map=str(room_map),
        initialization="pose",
        autostart="false",
        base_to_camera="0 0 1 0 0 0",
    )
    assert "the initial pose must be given" not in output and "active;" not in output
    for wrong in ({"autostart": "no"}, {"image_is_rectified": "1"}, {"base_to_camera": "x"}):
        with pytest.raises(ValueError):
            actions(load(), **wrong)


@pytest.mark.slow
def test_a_bag_is_tracked_without_being_told_where_it_begins(
    installed, ros2, tmp_path, room_places, room_drive
):
    bag = write_bag(room_drive, tmp_path / "room")
    _, output = run("] [localizer]: tracking", map=str(room_places), bag=str(bag), rate="0.25")
    assert "tracking" in output and "please set the initial pose" not in output


@pytest.mark.slow
def test_the_bag_starts_when_the_localizer_is_active_and_is_tracked(
    installed, ros2, tmp_path, room_map, room_drive
):
    T, stamp = room_drive.T_map_base[0], room_drive.odometry.stamps_ns[0] * 1e-9
    bag = write_bag(room_drive, tmp_path / "room")
    parameters = tmp_path / "start.yaml"
    parameters.write_text(
        "/**:\n  localizer:\n    ros__parameters:\n      device: cpu\n"
        "      set_initial_pose: true\n      initial_pose: "
        f"{{x: {T[0, 3]}, y: {T[1, 3]}, yaw: {np.arctan2(T[1, 0], T[0, 0])}, stamp: {stamp}}}\n"
    )
    _, output = run(
        "tracking", map=str(room_map), params_file=str(parameters), bag=str(bag), rate="0.25"
    )
    assert ros2.read_text().startswith(f"bag play {bag} --clock 100 --rate 0.25 --start-offset 0.0")
    assert "tracking" in output and "not used" not in output
    assert output.index("active") < output.index("tracking")


def test_a_bag_that_cannot_be_played_ends_the_launch(installed, ros2, tmp_path, room_map):
    (tmp_path / "empty").mkdir()
    status, output = run("never said", map=str(room_map), bag=str(tmp_path / "empty"), seconds=60.0)
    assert ("does not exist" in output or "is no bag" in output) and status != 0

"""The launch file, run by launch itself where that is installed (on a robot; not from PyPI)."""

import importlib.util
import os
import stat
import sys
from pathlib import Path

import pytest

pytest.importorskip("launch", reason="launch is not on PyPI; this runs where ROS 2 is installed")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI")
pytest.importorskip("rclpy")

import launch
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, TimerAction
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource

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
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
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
    assert all(argument.description for argument in described)


def test_bag_and_rviz_only_when_asked_for(installed):
    module = load()
    assert len(actions(module)) == 1
    assert len(actions(module, bag="/bags/drive", rviz="true")) == 3
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

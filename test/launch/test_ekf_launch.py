"""The launch file of localizer and filters, run by launch itself where that is installed.

The programs are stand-ins that print their command lines and parameter files: what is tested is
what they are started with. test/fusion tests what the parameters do.
"""

import importlib.util
import os
import stat
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("launch", reason="launch is not on PyPI; this runs where ROS 2 is installed")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI")
pytest.importorskip("rclpy")

import launch
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, TimerAction
from launch.event_handlers import OnProcessIO
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource

ROOT = Path(__file__).parents[2]
FILE = ROOT / "launch" / "localize_ekf.launch.py"
STAND_IN = """#!{python}
import sys
print("STARTED", *sys.argv[1:], flush=True)
for before, name in zip(sys.argv, sys.argv[1:]):
    if before == "--params-file":
        print("FILE", open(name).read().replace(chr(10), " | "), flush=True)
print("THAT IS ALL", flush=True)
import time; time.sleep(60)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """An install prefix with this checkout's package and stand-ins for what it starts."""
    for package, program in (("pixloc_ros", "localizer"), ("robot_localization", "ekf_node")):
        marker = tmp_path / "share/ament_index/resource_index/packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        path = tmp_path / "lib" / package / program
        path.parent.mkdir(parents=True)
        path.write_text(STAND_IN.format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "share/pixloc_ros").mkdir()
    for folder in ("config", "launch"):
        (tmp_path / "share/pixloc_ros" / folder).symlink_to(ROOT / folder)
    prefixes = [str(tmp_path), *filter(None, [os.environ.get("AMENT_PREFIX_PATH")])]
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(prefixes))
    return tmp_path


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem.replace(".", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_of_arguments(path: Path) -> set[str]:
    arguments = load(path).generate_launch_description().get_launch_arguments()
    assert all(argument.description for argument in arguments)
    return {argument.name for argument in arguments}


def started(programs: int, **arguments) -> dict[str, str]:
    """Run the launch file until so many programs have spoken; the output of each by its node."""
    output: dict[str, str] = {}
    service = launch.LaunchService(noninteractive=True)

    def watch(event):
        name = event.process_name
        output[name] = output.get(name, "") + event.text.decode()
        if sum("THAT IS ALL" in text for text in output.values()) == programs:
            return launch.actions.EmitEvent(event=Shutdown(reason="test"))
        return None

    service.include_launch_description(
        launch.LaunchDescription(
            [
                RegisterEventHandler(OnProcessIO(on_stdout=watch, on_stderr=watch)),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(FILE)),
                    launch_arguments=list(arguments.items()),
                ),
                TimerAction(
                    period=60.0,
                    actions=[launch.actions.EmitEvent(event=Shutdown(reason="too late"))],
                ),
            ]
        )
    )
    service.run()
    by_node = {}
    for text in output.values():
        assert "THAT IS ALL" in text, output
        by_node[text.split("__node:=")[1].split()[0]] = text
    return by_node


def test_arguments_are_those_of_the_localizer_and_two_more(installed):
    ours, localizers = (
        names_of_arguments(FILE),
        names_of_arguments(FILE.with_name("localize.launch.py")),
    )
    assert ours - localizers == {"ekf_params_file", "local_filter"}
    assert localizers - ours == {"tf_broadcast", "fused_with_odometry"}, "the filter decides both"


def test_the_localizer_leaves_map_to_odom_to_the_filter(installed):
    output = started(
        3, map="/maps/street", odom="/wheels/odometry", namespace="robot_1", use_sim_time="true"
    )
    assert set(output) == {"localizer", "ekf_local", "ekf_map"}
    assert "tf_broadcast: false" in output["localizer"]
    assert "map: /maps/street" in output["localizer"]
    assert "reset_services:" in output["localizer"], "filters do not notice that a bag loops"
    assert all(f"- ekf_{name}/reset" in output["localizer"] for name in ("map", "local"))
    for text in output.values():
        assert "__ns:=/robot_1" in text and "odom:=/wheels/odometry" in text
        assert "use_sim_time: true" in text
    assert "odometry/filtered:=odometry/local" in output["ekf_local"]
    assert "odometry/filtered:=odometry/map" in output["ekf_map"]
    assert all("set_pose:=~/set_pose" in output[name] for name in ("ekf_local", "ekf_map"))
    assert "smooth_lagged_data: true" in output["ekf_map"], "config/ekf.yaml is the default"


def test_without_the_local_filter(installed, tmp_path):
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(
        yaml.safe_dump({"/**": {"ekf_map": {"ros__parameters": {"history_length": 7.5}}}})
    )
    output = started(2, local_filter="false", ekf_params_file=str(parameters))
    assert set(output) == {"localizer", "ekf_map"}
    assert "- ekf_map/reset" in output["localizer"]
    assert "- ekf_local/reset" not in output["localizer"]
    assert "history_length: 7.5" in output["ekf_map"]
    assert "use_sim_time: false" in output["ekf_map"]


def test_what_is_neither_true_nor_false_is_refused(installed):
    module = load(FILE)
    context = launch.LaunchContext()
    given = {
        name: default if isinstance(default, str) else default.perform(context)
        for name, default, _ in module.ARGUMENTS
    }
    context.launch_configurations.update({**given, "local_filter": "perhaps"})
    with pytest.raises(ValueError, match="local_filter"):
        list(module.start(context))


def test_a_bag_with_transforms_needs_no_local_filter(tmp_path):
    module = load(FILE)
    (tmp_path / "metadata.yaml").write_text("- name: /tf_static\n")
    assert not module._has_tf(str(tmp_path)) and not module._has_tf("")
    (tmp_path / "metadata.yaml").write_text("- name: /tf_static\n- name: /tf\n")
    assert module._has_tf(str(tmp_path))

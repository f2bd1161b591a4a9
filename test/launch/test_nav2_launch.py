"""The launch file of nav2: what it starts, run by launch itself where that is installed."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("launch", reason="launch is not on PyPI; this runs where ROS 2 is installed")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI")

import launch
from launch.actions import IncludeLaunchDescription

FILE = Path(__file__).parents[2] / "launch" / "nav2.launch.py"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The launch file, in an install prefix that has this package."""
    marker = tmp_path / "share/ament_index/resource_index/packages/pixloc_ros"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (tmp_path / "share/pixloc_ros").mkdir()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    spec = importlib.util.spec_from_file_location("nav2_launch", FILE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def actions(module, **arguments):
    context = launch.LaunchContext()
    given = {name: default for name, default, _ in module.ARGUMENTS}
    context.launch_configurations.update({**given, **arguments})
    return list(module.start(context))


def test_one_manager_brings_up_the_grid_and_the_localizer(module):
    assert all(a.description for a in module.generate_launch_description().get_launch_arguments())
    server, localizer, manager = actions(module, map="/m", grid="/g.yaml", bag="/b")
    assert isinstance(localizer, IncludeLaunchDescription)
    passed = dict(localizer.launch_arguments)
    assert passed["autostart"] == "false", "the manager configures and activates it"
    assert passed["map"] == "/m" and passed["use_sim_time"] == "true"
    assert [node.node_package for node in (server, manager)] == [
        "nav2_map_server",
        "nav2_lifecycle_manager",
    ]
    assert module.MANAGED == ["map_server", "localizer"]


def test_a_grid_is_needed_and_time_is_true_or_false(module):
    with pytest.raises(ValueError, match="use_sim_time is 'yes'"):
        actions(module, map="/m", grid="/g.yaml", use_sim_time="yes")
    with pytest.raises(ValueError, match="grid is missing"):
        actions(module, map="/m")

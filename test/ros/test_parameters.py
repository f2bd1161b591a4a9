"""The parameters are the dataclasses: same names, same defaults, every one described."""

import math
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from pixloc_ros.core.errors import ConfigError
from pixloc_ros.core.feature_map import SelectionConfig
from pixloc_ros.core.tracker import GateConfig
from pixloc_ros.ros.parameters import (
    NodeParameters,
    changed,
    declare_parameters,
    flatten,
    is_live,
    read_parameters,
)

CONFIG = Path(__file__).parents[2] / "config" / "localize.yaml"


@pytest.fixture
def make_node(graph):
    nodes = []

    def make(**values) -> Node:
        node = Node(
            "parameters",
            parameter_overrides=[
                Parameter(k.replace("__", "."), value=v) for k, v in values.items()
            ],
        )
        nodes.append(node)
        declare_parameters(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def test_the_defaults_are_those_of_the_dataclasses(make_node):
    assert read_parameters(make_node()) == NodeParameters()


def test_values_reach_nested_dataclasses(make_node):
    p = read_parameters(
        make_node(
            localizer__selection__point_budget=99,
            localizer__aligner__iterations=[3, 4, 5],
            tracker__gates__min_points=7,
            initial_pose__yaw=0.5,
            base_to_camera=[0.0, 0.0, 1.0, -0.5, 0.5, -0.5, 0.5],
        )
    )
    selection = p.localizer.selection
    assert selection == SelectionConfig(point_budget=99) and p.initial_pose.yaw == 0.5
    assert p.tracker.gates == GateConfig(min_points=7)
    assert p.localizer.aligner == {"iterations": [3, 4, 5]}, "the rest is the checkpoint's"
    assert p.base_to_camera[2] == 1.0


def test_every_parameter_is_described(make_node):
    node = make_node()
    for name, *_ in flatten(NodeParameters()):
        assert len(node.describe_parameter(name).description) > 5, name


def test_an_unknown_name_is_refused_with_a_proposal(make_node):
    with pytest.raises(ConfigError, match="tf_rte.*tf_rate"):
        read_parameters(make_node(tf_rte=1.0))


def test_a_parameter_of_another_node_is_left_out(make_node):
    node = make_node(max_vel_x=1.0, controller__plugin="dwb")
    assert read_parameters(node) == NodeParameters()


@pytest.mark.parametrize(
    "values",
    [
        {"image_transport": "theora"},
        {"reliability": "hope"},
        {"base_to_camera": [1.0, 2.0]},
        {"odom_frame_id": "/odom"},
        {"global_frame_id": ""},
    ],
)
def test_wrong_values_are_refused(make_node, values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        read_parameters(make_node(**values))


def test_ranges_are_enforced(make_node):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises(InvalidParameterValueException, match="tf_rate"):
        make_node(tf_rate=1e6)


def test_the_yaml_file_shows_the_defaults():
    tree = yaml.safe_load(CONFIG.read_text())["/**"]["localizer"]["ros__parameters"]
    defaults = {name: value for name, value, *_ in flatten(NodeParameters())}

    def leaves(branch, prefix=""):
        for key, value in branch.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    for name, value in leaves(tree):
        assert value == defaults[name] and type(value) is type(defaults[name]), name


@pytest.mark.parametrize(
    "name, value",
    [
        ("localizer__selection__point_budget", -5),
        ("tracker__gates__max_cost", -0.1),
        ("tracker__odometry_noise__rotation_floor", 1e30),
        ("initial_pose__x", 1e30),
        ("initial_pose__yaw", 1e4),
    ],
)
def test_every_number_has_a_range(make_node, name, value):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises(InvalidParameterValueException, match=name.split("__")[-1]):
        make_node(**{name: value})


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["initial_pose__x", "tracker__gates__max_cost", "tf_rate"])
def test_numbers_are_finite(make_node, name, number):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises((InvalidParameterValueException, ConfigError), match=name.split("__")[-1]):
        read_parameters(make_node(**{name: number}))


def test_what_is_live_follows_from_where_it_stands():
    live = {name for name, *_ in flatten(NodeParameters()) if is_live(name)}
    assert {"tf_rate", "tracker.gates.min_points", "localizer.covariance.scale"} <= live
    assert not live & {"map", "checkpoint", "device", "odom_frame_id", "initial_pose.x"}
    assert not is_live("localizer_of_another") and not is_live("qos_overrides./tf.history")


def test_other_values_leave_the_rest_as_it_was():
    before = NodeParameters(tf_rate=5.0)
    after = changed(
        before,
        [
            Parameter("tracker.gates.min_points", value=7),
            Parameter("localizer.aligner.iterations", value=[3, 4, 5]),
        ],
    )
    assert after.tf_rate == 5.0 and after.tracker.gates == GateConfig(min_points=7)
    assert list(after.localizer.aligner["iterations"]) == [3, 4, 5]
    assert before == NodeParameters(tf_rate=5.0)
    with pytest.raises(ConfigError, match="search: survivors is 0"):
        changed(before, [Parameter("localizer.search.survivors", value=0)])

"""A DDS domain of its own, a small real map, and a graph of test publishers and listeners."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from pixloc_ros.cli.processes import free_domain

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "messages")]


@pytest.fixture(scope="session", autouse=True)
def domain() -> int:
    """A DDS domain that nobody on this machine uses, for this process and its children."""
    number = free_domain()
    os.environ["ROS_DOMAIN_ID"] = str(number)
    return number


@pytest.fixture(scope="session")
def room_bag(tmp_path_factory, room_drive) -> Path:
    """The same drive as a rosbag2 folder."""
    from pixloc_ros.datasets.bag import write_bag

    return write_bag(room_drive, tmp_path_factory.mktemp("bag") / "room")


@pytest.fixture
def graph(domain):
    """rclpy, initialised, with one executor that spins in a thread; add nodes to it."""
    rclpy = pytest.importorskip("rclpy")
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()

    def spin():
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    yield executor
    nodes = list(executor.get_nodes())
    executor.shutdown()
    thread.join(5)
    for node in nodes:
        if hasattr(node, "close"):
            node.close()
        node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def until():
    """until(condition, seconds): wait for something to become true; its last value."""

    def wait(condition, seconds: float = 120.0):
        deadline = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return value

    return wait


@pytest.fixture
def running(graph, room_map, room_drive, until):
    """running(**parameters): a robot and an active localizer that hear each other."""

    from robot import Robot, localizer

    def start(robot_options=None, **parameters):
        robot = Robot(room_drive, **(robot_options or {}))
        node = localizer(room_map, **parameters)
        graph.add_node(robot)
        graph.add_node(node)
        assert until(robot.ready), "the localizer did not become active"
        return robot, node

    return start


@pytest.fixture
def call(graph, until):
    """call(node, type, service, request): the answer."""

    def ask(node, kind, name, request):
        client = node.create_client(kind, name)
        assert until(client.service_is_ready)
        future = client.call_async(request)
        assert until(future.done)
        return future.result()

    return ask

"""These tests are about the stand-ins of the wheels environment, not about a robot's packages."""

from __future__ import annotations

import importlib.util

import pytest


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("ros_wheels_environment") is None:
        skip = pytest.mark.skip(reason="this ROS does not come out of wheels")
        for item in items:
            if "ros_wheels" in item.path.parts:
                item.add_marker(skip)

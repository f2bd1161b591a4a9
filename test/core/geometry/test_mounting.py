"""Camera frames that are none of an image, and images that are turned."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.geometry.mounting import strange_mounting

OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


def turned(yaw=0.0, pitch=0.0, roll=0.0, frame=OPTICAL) -> np.ndarray:
    """A camera's frame turned about the base's z, then tilted (positive: down), then rolled."""
    z, y, x = ((0, 0, 0, 0, 0, yaw), (0, 0, 0, 0, pitch, 0), (0, 0, 0, roll, 0, 0))
    turns = [transforms.exp(np.radians(np.array(v, float))) for v in (z, y, x)]
    return turns[0] @ turns[1] @ turns[2] @ frame


@pytest.mark.parametrize("yaw", [0, 90, 180, -45])
@pytest.mark.parametrize("pitch", [0, 30, -30, 90])
@pytest.mark.parametrize("roll", [0, 20, -20])
def test_cameras_as_they_sit_on_robots(yaw, pitch, roll):
    assert strange_mounting(turned(yaw, pitch, roll)) == ""


@pytest.mark.parametrize("yaw", [0, 180, 60])
@pytest.mark.parametrize("pitch", [0, 25])
def test_a_frame_with_x_forward_is_none_of_an_image(yaw, pitch):
    said = strange_mounting(turned(yaw, pitch, frame=np.eye(4)))
    assert f"looks {90 - pitch} deg up" in said and "optical frame" in said


@pytest.mark.parametrize("roll, side", [(90, "right"), (180, "upper"), (-90, "left")])
@pytest.mark.parametrize("yaw", [0, 120])
def test_the_lower_side_of_a_turned_image_is_named(roll, side, yaw):
    T_base_cam = turned(yaw, 10, roll + 8)
    assert f"its {side} side is the lower one" in strange_mounting(T_base_cam)
    middle = {"right": (1, 0), "upper": (0, -1), "left": (-1, 0)}[side]
    assert T_base_cam[2, :2] @ middle < -math.cos(math.radians(20)), "that side is further down"

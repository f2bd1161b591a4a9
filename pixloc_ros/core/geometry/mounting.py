"""Does a camera sit on its robot as cameras do?"""

from __future__ import annotations

import math

import numpy as np

#: Cameras look up less than this (rad), but for those that watch a ceiling.
HIGHEST_LOOK = math.radians(50.0)


def strange_mounting(T_base_cam: np.ndarray) -> str:
    """What is strange about the pose (4, 4) of a camera's optical frame in the base (z up), or "".

    An axis that points up is mostly that of a frame with x forward and z up, which is not the
    optical one. An image that lies on its side or stands on its head may be true, but looks unlike
    the map's: features are those of images as they are, not turned.
    """
    down = -T_base_cam[2, :3]  # the base's, in the camera's axes
    elevation = math.asin(float(np.clip(-down[2], -1.0, 1.0)))
    if elevation > HIGHEST_LOOK:
        return (
            f"the camera looks {math.degrees(elevation):.0f} deg up; its frame seems to be none of "
            "an image (x right, y down, z forward): name the optical frame"
        )
    if -elevation > HIGHEST_LOOK:  # from above, no side of the image is the lower one
        return ""
    quarters = round(math.atan2(down[0], down[1]) / (math.pi / 2)) % 4
    if not quarters:
        return ""
    side = {1: "right", 2: "upper", 3: "left"}[quarters]
    return (
        f"the image is turned: its {side} side is the lower one on the robot; turn the images "
        "upright, or correct the camera's frame"
    )

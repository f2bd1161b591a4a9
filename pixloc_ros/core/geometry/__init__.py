"""Poses, rotations, cameras and their analytic Jacobians.

`T_a_b` maps points of frame b to frame a. Host side (`transforms`): numpy float64 (4, 4) matrices.
Device side (`Pose`, `Camera`, `so3`): torch tensors with any leading batch dimensions.
"""

from pixloc_ros.core.geometry.camera import Camera
from pixloc_ros.core.geometry.pose import Pose

__all__ = ["Camera", "Pose"]

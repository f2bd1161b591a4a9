"""Drives by where they lie: bags, raw RobotCar drives, image folders."""

from __future__ import annotations

from pathlib import Path

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag import read_bag
from pixloc_ros.datasets.bag_storage import is_bag
from pixloc_ros.datasets.bag_topics import BagTopics
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.folder import read_drive
from pixloc_ros.datasets.robotcar.bag import topics_of
from pixloc_ros.datasets.robotcar.drive import is_robotcar, read_robotcar


def read_place(place: str, rectified: bool = False) -> Drive:
    """The drive at `place`, of any kind that the package reads.

    A bag (a rosbag2 folder, an mcap, db3 or ROS 1 bag file), or `bag:camera` for the topics
    `/<camera>/image_raw` and `/<camera>/camera_info` of one; a raw RobotCar drive, or
    `folder:camera`; an image folder, or `folder:session` of one. rectified: the images of a bag are
    undistorted already, as the node's parameter `image_is_rectified` says. Raises DataError naming
    what is missing, or for images that are rectified in anything but a bag: what else is read has
    one camera only.
    """
    path, _, part = place.partition(":")
    if is_bag(Path(path)):
        return read_bag(path, topics_of(part) if part else BagTopics(), rectified=rectified)
    if rectified:
        raise DataError(f"{place} is no bag; only a bag's images can be rectified or not")
    if is_robotcar(Path(path)):
        return read_robotcar(path, part or None)
    return read_drive(path, part or None)

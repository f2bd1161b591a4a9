"""Drives by where they lie: bags, raw RobotCar drives, image folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag import read_bag
from pixloc_ros.datasets.bag_storage import is_bag
from pixloc_ros.datasets.bag_topics import BagInput
from pixloc_ros.datasets.drive import Drive
from pixloc_ros.datasets.folder import read_drive
from pixloc_ros.datasets.robotcar.bag import topics_of
from pixloc_ros.datasets.robotcar.drive import is_robotcar, read_robotcar


def read_place(place: str, given: BagInput = BagInput()) -> Drive:
    """The drive at `place`, of any kind that the package reads.

    A bag (a rosbag2 folder, an mcap, db3 or ROS 1 bag file), or `bag:camera` for the topics
    `/<camera>/image_raw` and `/<camera>/camera_info` of one; a raw RobotCar drive, or
    `folder:camera`; an image folder, or `folder:session` of one. given: what to read of a bag.
    Raises DataError naming what is missing, or where something is given for anything but a bag:
    what else is read has one camera only.
    """
    path, _, part = place.partition(":")
    if is_bag(Path(path)):
        if part:
            topics = topics_of(part)
            given = replace(given, image=topics.image, camera_info=topics.camera_info)
        return read_bag(path, given)
    if given != BagInput():
        raise DataError(f"{place} is no bag; topics, frames and rectified images are a bag's")
    if is_robotcar(Path(path)):
        return read_robotcar(path, part or None)
    return read_drive(path, part or None)

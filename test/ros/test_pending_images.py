"""Images wait for late odometry, newest first, and not for ever."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image

from pixloc_ros.core.tracker import OdometryBuffer
from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.ros import conversions as c
from pixloc_ros.ros.pending_images import ROOM, PendingImages

MS = 1_000_000


class Scene:
    """Images every 100 ms; times in milliseconds."""

    def __init__(self, timeout_s: float = 0.6):
        self.now, self.odometry = 0.0, OdometryBuffer()
        self.room = PendingImages(self.reached, timeout_s, lambda: self.now * 1e-3)

    def reached(self, stamp_ns: int) -> bool:
        newest_ns = self.odometry.newest_stamp()
        return newest_ns is not None and stamp_ns <= newest_ns

    def image(self, stamp: int, now: float | None = None) -> int:
        self.now = stamp if now is None else now
        return self.room.add(Image(header=c.header(stamp * MS, "camera")))

    def heard(self, stamp: int) -> None:
        self.odometry.add(stamp * MS, np.eye(4))

    def taken(self) -> tuple[int | None, int]:
        image, dropped = self.room.take()
        return (image and stamp_of(image) // MS), dropped


def test_odometry_half_a_second_late_serves_every_image():
    scene = Scene()
    for stamp in range(100, 1000, 100):
        assert scene.image(stamp) == 0
        if stamp > 500:
            scene.heard(stamp - 500)
            assert scene.taken() == (stamp - 500, 0)
        assert scene.taken() == (None, 0)


def test_of_those_that_odometry_reaches_at_once_the_newest_goes_on():
    scene = Scene()
    for stamp in (100, 200, 300, 400):
        scene.image(stamp)
    scene.heard(350)
    assert scene.taken() == (300, 2)
    assert scene.taken() == (None, 0)
    scene.heard(400)
    assert scene.taken() == (400, 0)


def test_after_the_timeout_an_image_goes_on_without():
    scene = Scene(timeout_s=0.25)
    scene.image(100)
    scene.image(200)
    scene.now = 349
    assert scene.taken() == (None, 0)
    scene.now = 350
    assert scene.taken() == (100, 0)
    scene.now = 451
    assert scene.taken() == (200, 0)


def test_the_room_is_bounded_and_its_images_evenly_spread():
    scene = Scene()
    dropped, served = 0, []
    for stamp in range(10, 3000, 10):  # 100 Hz, odometry half a second late
        dropped += scene.image(stamp)
        if stamp > 500:
            scene.heard(stamp - 500)
            served.append(scene.taken()[0])
    served = [stamp for stamp in served if stamp]
    assert 299 - dropped - len(served) <= ROOM
    assert max(np.diff(served)) <= 100


def test_a_new_beginning_forgets_them():
    scene = Scene()
    scene.image(100)
    scene.room.clear()
    scene.heard(100)
    assert scene.taken() == (None, 0)

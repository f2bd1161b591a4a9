"""The camera_info of an image: that of its stamp where there is one, else the newest."""

import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CameraInfo

from pixloc_ros.ros import conversions as c
from pixloc_ros.ros.calibrations import Calibrations


def info(stamp_ns: int, width: int = 640) -> CameraInfo:
    return CameraInfo(header=c.header(stamp_ns, "camera"), width=width)


def test_a_calibration_goes_with_the_image_of_its_stamp():
    known = Calibrations()
    assert known.of(5) is None and not known.is_coming(5)
    for stamp, width in ((1, 640), (2, 320), (3, 160)):
        known.add(info(stamp, width))
    assert [known.of(stamp).width for stamp in (1, 2, 3)] == [640, 320, 160]
    assert known.of(4).width == 160, "of no image; the newest holds"


def test_one_that_comes_after_its_image_is_waited_for():
    known = Calibrations()
    known.image_came(1)
    assert not known.is_coming(1), "nobody knows yet that there will be one"
    known.add(info(1))
    known.image_came(2)
    assert known.is_coming(2)
    known.add(info(2))
    assert not known.is_coming(2)
    known.image_came(3)
    known.add(info(4))
    assert not known.is_coming(3), "it was lost"


@pytest.mark.parametrize("stamps", [[0, 0, 0], [5, 15, 25], [5]])
def test_one_that_is_published_in_no_step_is_not_waited_for(stamps):
    known = Calibrations()
    for stamp in stamps:
        known.add(info(stamp, 100 + stamp))
    for stamp in (10, 20, 30):
        known.image_came(stamp)
    assert not known.is_coming(30) and known.of(30).width == 100 + stamps[-1]

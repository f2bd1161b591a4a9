"""Which camera_info belongs to an image."""

from __future__ import annotations

from collections import deque

from sensor_msgs.msg import CameraInfo

from pixloc_ros.messages.headers import stamp_of

#: So many messages are remembered (of camera_info, and stamps of images).
REMEMBERED = 60


class Calibrations:
    """The newest camera_info messages, to be found by the stamps of images.

    Drivers publish one beside each image, with its stamp; a zoom or a region of interest that
    changes then goes with its image. Others publish camera_info now and then, or with stamps of
    their own: the newest holds.
    """

    def __init__(self) -> None:
        self._infos: deque[tuple[int, CameraInfo]] = deque(maxlen=REMEMBERED)
        self._images: deque[int] = deque(maxlen=REMEMBERED)

    def add(self, info: CameraInfo) -> None:
        self._infos.append((stamp_of(info), info))

    def image_came(self, stamp_ns: int) -> None:
        """What stamps images have, to notice that those of camera_info are the same."""
        self._images.append(stamp_ns)

    def of(self, stamp_ns: int) -> CameraInfo | None:
        """That of the same stamp, else the newest; None while there is none."""
        newest = self._infos[-1][1] if self._infos else None
        return next((info for stamp, info in self._infos if stamp == stamp_ns), newest)

    def is_coming(self, stamp_ns: int) -> bool:
        """True if images have had theirs, and that of this stamp is not here yet."""
        in_step = not {stamp for stamp, _ in self._infos}.isdisjoint(self._images)
        return in_step and self._infos[-1][0] < stamp_ns

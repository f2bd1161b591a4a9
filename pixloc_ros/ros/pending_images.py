"""Where images wait for what belongs to them: odometry that reaches their stamp, camera_info."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from sensor_msgs.msg import CompressedImage, Image

from pixloc_ros.messages.headers import stamp_of

#: So many images wait at most, evenly spread over the time that odometry is late: at half a second
#: ten a second are still served, and large images do not fill the memory.
ROOM = 12


class PendingImages:
    """Images that came before their odometry. It may be late by any time up to the timeout: the
    device then works on at the rate of the images, as much later.

    is_ready: whether all is there for an image of this stamp (ns). timeout_s: how long an image
    waits; then it goes on as it is (odometry may be extrapolated a little, or the frame's result
    says what is missing). Not for several threads.
    """

    def __init__(
        self,
        is_ready: Callable[[int], bool],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._is_ready, self.timeout_s, self._clock = is_ready, timeout_s, clock
        self._waiting: deque[tuple[float, Image | CompressedImage]] = deque()

    def add(self, image: Image | CompressedImage) -> int:
        """An image came. How many were dropped to make room."""
        self._waiting.append((self._clock(), image))
        if len(self._waiting) <= ROOM:
            return 0
        # The one between the two that are closest together.
        times = [came for came, _ in self._waiting]
        gaps = [after - before for before, after in zip(times, times[2:])]
        del self._waiting[1 + gaps.index(min(gaps))]
        return 1

    def take(self) -> tuple[Image | CompressedImage | None, int]:
        """The newest image that need not wait any longer, if there is one, and how many older ones
        it takes the place of."""
        now, ready = self._clock(), 0
        for place, (came, image) in enumerate(self._waiting, start=1):
            if now - came >= self.timeout_s or self._is_ready(stamp_of(image)):
                ready = place
        taken = [self._waiting.popleft()[1] for _ in range(ready)]
        return (taken[-1], ready - 1) if taken else (None, 0)

    def clear(self) -> None:
        """Forget all images."""
        self._waiting.clear()

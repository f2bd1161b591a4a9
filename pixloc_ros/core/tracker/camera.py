"""Is the camera what its calibration says? Fixes tell, one by one; here they are counted."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from pixloc_ros.core.frame import CameraError

#: What each number of a camera's error says, in percent.
SAYINGS = (
    "the focal length is off by {:+.1f} %",
    "the principal point is off to the right by {:+.1f} % of the focal length",
    "the principal point is off downwards by {:+.1f} % of the focal length",
)


@dataclass(frozen=True)
class CameraWatchConfig:
    """every: fixes between two looks at the camera. window: newest looks of which the median
    counts. scatter: of a single look at a camera that is right, one standard deviation, as a share
    of the focal length (docs/trust.md has how it was measured). suspected: error of the focal
    length, or of the principal point as a share of it, that is said; refused: beyond which no fix
    is believed. Either counts once it is exceeded by three standard deviations of the median.
    """

    every: int = 10
    window: int = 9
    scatter: float = 0.008
    suspected: float = 0.005
    refused: float = 0.015


class CameraWatch:
    """The newest looks at the cameras of a robot, and what they say together."""

    def __init__(self, config: CameraWatchConfig = CameraWatchConfig()) -> None:
        self._looks: deque[np.ndarray] = deque()
        self._since = 0
        self.reconfigure(config)

    def reconfigure(self, config: CameraWatchConfig) -> None:
        """Other settings, for the looks so far too."""
        self._config, self._looks = config, deque(self._looks, maxlen=config.window)

    @property
    def due(self) -> bool:
        """Whether the next fix should look at its cameras: now and then, and all along while
        there are few looks or the camera is not believed."""
        few = len(self._looks) < self._config.window
        return few or self._since >= self._config.every or bool(self.refused())

    def add(self, cameras: tuple[CameraError, ...]) -> None:
        """A fix that is right but for its cameras, with or without a look at them."""
        self._since += 1
        if cameras:
            self._looks.append(np.array([camera[:3] for camera in cameras]))
            self._since = 0

    def error(self) -> np.ndarray | None:
        """(K, 3): median of the newest looks: focal length, principal point right and below, as
        shares of the focal length. None before the first."""
        return np.median(self._looks, axis=0) if self._looks else None

    def suspected(self) -> str:
        """What seems to be wrong with a camera, or nothing."""
        return self._beyond(self._config.suspected)

    def refused(self) -> str:
        """The same where it is so wrong that poses are not right either."""
        return self._beyond(self._config.refused)

    def _beyond(self, limit: float) -> str:
        error = self.error()
        if error is None:
            return ""
        sure = limit + 3 * self._config.scatter / math.sqrt(len(self._looks))
        said = [
            saying.format(100 * value)
            for row in error
            for saying, value in zip(SAYINGS, row)
            if abs(value) > sure
        ]
        return ", ".join(said)

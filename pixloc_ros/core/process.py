"""The way of a frame: prior -> features -> fix -> gates and state -> FrameResult."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Fix, Frame, Place
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.tracker import FrameResult, Tracker, TrackerConfig


class PlaceFinder(Protocol):
    """Finds a frame in the whole map (see `pixloc_ros.finding`)."""

    covariance: np.ndarray  # (6, 6) in ROS order, of each pose found
    problems: list[str]  # what of the map could not be read

    def find(self, frame: Frame) -> np.ndarray:
        """T_map_base (P, 4, 4) that the frame may have been taken from."""


@dataclass(frozen=True)
class Settings:
    """All between an image and a pose, as YAML files and node parameters hold it."""

    localizer: LocalizerConfig = field(default_factory=LocalizerConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)


def process_frame(
    localizer: Localizer,
    tracker: Tracker,
    frame: Frame,
    with_view: bool = False,
    finder: PlaceFinder | None = None,
) -> FrameResult:
    """Localize one frame. with_view: also return where the map points fall in the image. finder:
    proposes places where nobody knows the pose, or it is doubted; the tracker then must have been
    made to find itself."""
    prior = tracker.predict(frame.stamp_ns)
    if isinstance(prior, FrameResult):
        return prior
    try:
        features = localizer.look(frame.image)
    except DataError as error:
        return tracker.update(prior, Fix.none(str(error)))
    places = [prior.place] if prior.place is not None else []
    if prior.anywhere and finder is not None:
        covariance = finder.covariance
        places += [Place(T, covariance, found=True) for T in finder.find(frame)]
    if not places:
        problems = finder.problems if finder is not None else []
        missing = "; ".join(problems) or "this image was found nowhere in the map"
        return tracker.update(prior, Fix.none(missing))
    fix = localizer.localize(
        features,
        frame,
        np.stack([place.T_map_base for place in places]),
        np.stack([place.covariance for place in places]),
        with_views=with_view,
        with_cameras=prior.with_cameras,
    )
    return tracker.update(prior, fix, places[fix.place])

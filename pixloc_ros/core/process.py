"""The way of a frame: prior -> features -> fix -> gates and state -> FrameResult."""

from __future__ import annotations

from dataclasses import dataclass, field

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Fix, Frame
from pixloc_ros.core.localizer import Localizer, LocalizerConfig
from pixloc_ros.core.tracker import FrameResult, Tracker, TrackerConfig


@dataclass(frozen=True)
class Settings:
    """All between an image and a pose, as YAML files and node parameters hold it."""

    localizer: LocalizerConfig = field(default_factory=LocalizerConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)


def process_frame(
    localizer: Localizer, tracker: Tracker, frame: Frame, with_view: bool = False
) -> FrameResult:
    """Localize one frame. with_view: also return where the map points fall in the image."""
    prior = tracker.predict(frame.stamp_ns)
    if isinstance(prior, FrameResult):
        return prior
    try:
        features = localizer.look(frame.image)
    except DataError as error:
        return tracker.update(prior, Fix.none(str(error)))
    fix = localizer.localize(
        features,
        frame,
        prior.T_map_base,
        prior.covariance,
        with_views=with_view,
        with_cameras=prior.with_cameras,
    )
    return tracker.update(prior, fix)

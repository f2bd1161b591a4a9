"""What the worker does with an image message: convert, place the camera, track, draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pixloc_ros.core.errors import DataError
from pixloc_ros.core.frame import Frame
from pixloc_ros.core.geometry.mounting import strange_mounting
from pixloc_ros.core.localizer import Localizer
from pixloc_ros.core.process import PlaceFinder, process_frame
from pixloc_ros.core.tracker import FrameResult, Tracker
from pixloc_ros.images.overlay import draw
from pixloc_ros.messages.camera_info import camera_of, source_of
from pixloc_ros.messages.headers import camera_frame, stamp_of
from pixloc_ros.messages.images import image_of

Extrinsics = Callable[[str, int], np.ndarray]


@dataclass(frozen=True)
class Job:
    """An image with its calibration; draw: somebody watches the debug image."""

    image: Image | CompressedImage
    info: CameraInfo | None
    draw: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an image: a result, or the topic that made it unusable (image or camera_info;
    image too when nobody knows where the camera sits) and why. mounting: what is strange about
    where it sits, or nothing."""

    stamp_ns: int
    result: FrameResult | None = None
    bad_input: str = ""
    problem: str = ""
    camera_frame: str = ""
    mounting: str = ""
    picture: np.ndarray | None = None


class FramePipeline:
    """Callable for the worker: Job -> Outcome. Messages that cannot be used never get further.

    localizer: may be replaced from another thread; the next image meets the new one.
    extrinsics: T_base_cam (4, 4) for a camera frame at a stamp; DataError if nobody knows it.
    """

    def __init__(
        self,
        localizer: Localizer,
        tracker: Tracker,
        extrinsics: Extrinsics,
        rectified: bool,
        finder: PlaceFinder | None = None,
    ):
        self.localizer = localizer
        self._tracker = tracker
        self._extrinsics = extrinsics
        self._rectified = rectified
        self._finder = finder
        self._camera_source: tuple | None = None
        self._camera = None

    def __call__(self, job: Job) -> Outcome:
        stamp_ns = stamp_of(job.image)
        frame_id = camera_frame(job.image, job.info)
        bad_input = "image"
        try:
            image = image_of(job.image)
            bad_input = "camera_info"
            camera = self._camera_of(job.info, image)
            bad_input = "image"
            T_base_cam = self._extrinsics(frame_id, stamp_ns)
        except DataError as error:
            return Outcome(stamp_ns, bad_input=bad_input, problem=str(error))
        frame = Frame(stamp_ns, image, camera, T_base_cam)
        result = process_frame(self.localizer, self._tracker, frame, job.draw, self._finder)
        picture = draw(image, result) if job.draw else None
        strange = strange_mounting(T_base_cam)
        return Outcome(stamp_ns, result, camera_frame=frame_id, mounting=strange, picture=picture)

    def _camera_of(self, info: CameraInfo | None, image: np.ndarray):
        if info is None:
            raise DataError("no camera_info yet; without a calibration images are of no use")
        height, width = image.shape[:2]
        source = width, height, *source_of(info)
        if source != self._camera_source:
            self._camera = camera_of(info, width, height, self._rectified)
            self._camera_source = source
        return self._camera

"""A raw drive of the RobotCar as a rosbag2 recording, streamed: images undistorted, real stamps."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pixloc_ros.core.errors import ConfigError, DataError
from pixloc_ros.core.geometry import transforms
from pixloc_ros.core.progress import Progress
from pixloc_ros.datasets.bag_topics import (
    BagFrames,
    BagTopics,
    Channel,
    image_channel,
    motion_channels,
)
from pixloc_ros.datasets.robotcar.drive import Frame, RobotCar, Track
from pixloc_ros.datasets.robotcar.frames import T_VEHICLE_BASE
from pixloc_ros.datasets.split_bag import Event, write_split_bag
from pixloc_ros.messages.headers import stamp_of
from pixloc_ros.messages.maker import IMAGE_FORMATS, MessageMaker, OdometryNoise

#: The dataset states no uncertainty; these are cautious for stereo odometry and a tactical INS.
NOISE = {
    "vo": OdometryNoise(0.05, 0.005, 0.0, 0.0, per_metre=0.01, heading_per_metre=5e-4),
    "ins": OdometryNoise(0.05, 0.002, 0.0, 0.0, per_metre=0.005, heading_per_metre=1e-4),
}
#: Odometry, positions and ground truth reach this far beyond the images' time range.
MARGIN_NS = 500_000_000
INS_FRAME = "ins"


@dataclass(frozen=True)
class BagOptions:
    """cameras: by name; none: all that are there. odometry: "vo" or "ins"; truth: "rtk", "ins" or
    "none"; empty: the better one that is there. image_format: "jpeg", "png" (CompressedImage) or
    "raw". start_s, end_s: part of the drive in seconds from its first image; 0 ends with it.
    image_rate: most images of a camera in a second; 0 keeps all. storage: "mcap" or "sqlite3".
    part_s: seconds of the drive in one file of the bag."""

    cameras: tuple[str, ...] = ()
    odometry: str = ""
    truth: str = ""
    image_format: str = "jpeg"
    start_s: float = 0.0
    end_s: float = 0.0
    image_rate: float = 0.0
    storage: str = "mcap"
    part_s: float = 120.0

    def __post_init__(self) -> None:
        if self.image_format not in IMAGE_FORMATS:
            raise ConfigError(
                f"image_format '{self.image_format}' is unknown; known are "
                f"{', '.join(IMAGE_FORMATS)}"
            )
        if self.odometry not in ("", "vo", "ins") or self.truth not in ("", "rtk", "ins", "none"):
            raise ConfigError("odometry is vo or ins, truth is rtk, ins or none")
        if self.part_s <= 0 or self.start_s < 0 or self.image_rate < 0:
            raise ConfigError("part_s must be positive, start_s and image_rate not negative")
        if self.end_s and self.end_s <= self.start_s:
            raise ConfigError(f"end_s {self.end_s:g} is not after start_s {self.start_s:g}")


def topics_of(camera: str) -> BagTopics:
    """The topics of one camera in a bag of a RobotCar drive."""
    return BagTopics(image=f"/{camera}/image_raw", camera_info=f"/{camera}/camera_info")


def write_robotcar_bag(
    drive: RobotCar,
    path: Path,
    options: BagOptions = BagOptions(),
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write the drive, one message at a time, and go on where an earlier run was interrupted.

    Topics: `/<camera>/image_raw` (`.../compressed`), `/<camera>/camera_info`, `/odom`, `/tf`,
    `/gps/fix`, `/ground_truth/odometry`, `/tf_static` (latched). The UTM position of the map
    frame's origin is in the bag's custom_data. Returns the number of messages by topic.
    """
    writer = _Streams(drive, options)
    begin_ns, end_ns = writer.range_ns
    whole = round((end_ns - begin_ns) * 1e-9)

    def tell(stamp_ns: int) -> None:
        if progress:
            done = min(max(stamp_ns - begin_ns, 0), end_ns - begin_ns)
            progress(int(done * 1e-9), whole, "seconds of the drive")

    counts = write_split_bag(
        path,
        writer.channels,
        writer.events(),
        writer.make.typestore,
        writer.request(),
        options.storage,
        round(options.part_s * 1e9),
        writer.notes(),
        tell,
    )
    tell(end_ns)
    return counts


class _Streams:
    """The drive's sensors as streams of events, each in order of time."""

    def __init__(self, drive: RobotCar, options: BagOptions) -> None:
        self._drive, self._options = drive, options
        self._cameras = options.cameras or drive.cameras
        if not self._cameras:
            raise DataError(f"{drive.path}: no images; extract the archives of at least one camera")
        self._models = {camera: drive.model(camera) for camera in self._cameras}
        self._odometry = options.odometry or drive.odometry_source()
        if self._odometry is None:
            raise DataError(
                f"{drive.path}: neither vo/vo.csv nor gps/ins.csv is there; extract "
                "the archive vo or gps of this drive"
            )
        self._truth = options.truth or drive.truth_source() or "none"
        frames = BagFrames()
        self._makers = {
            camera: MessageMaker(frames.map, frames.odom, frames.base, f"{camera}_optical")
            for camera in self._cameras
        }
        self.make = next(iter(self._makers.values()))
        self.range_ns = self._range()

    @property
    def channels(self) -> dict[str, Channel]:
        channels = {
            **motion_channels(BagTopics(), with_truth=self._truth != "none"),
            "fix": Channel("/gps/fix", "sensor_msgs/msg/NavSatFix"),
        }
        for camera in self._cameras:
            topics = topics_of(camera)
            channels[f"{camera} info"] = Channel(topics.camera_info, "sensor_msgs/msg/CameraInfo")
            channels[camera] = image_channel(topics.image, self._options.image_format)
        return channels

    def request(self) -> dict:
        """What the bag depends on."""
        return {
            "drive": self._drive.path.resolve().name,
            "origin": asdict(self._drive.origin),
            "options": asdict(self._options),
            "cameras": list(self._cameras),
        }

    def notes(self) -> dict[str, str]:
        origin = self._drive.origin
        return {
            "robotcar_drive": self._drive.path.resolve().name,
            "map_origin_utm_northing_easting_down": " ".join(
                f"{metres:.3f}" for metres in (origin.northing, origin.easting, origin.down)
            ),
            "odometry_source": self._odometry,
            "ground_truth_source": self._truth,
        }

    def events(self) -> Iterator[Event]:
        """Everything in order of time; at one stamp odometry comes before images."""
        streams = [self._static(), self._odometries(), self._fixes(), self._truths()]
        streams += [self._images(camera) for camera in self._cameras]
        ranked = (_ranked(rank, stream) for rank, stream in enumerate(streams))
        for _, _, event in heapq.merge(*ranked, key=lambda entry: entry[:2]):
            yield event

    def _range(self) -> tuple[int, int]:
        """First and last stamp of the images to be written."""
        first, last = None, 0
        for camera in self._cameras:
            for stamp_ns in self._drive.stamps(camera):
                first = stamp_ns if first is None else min(first, stamp_ns)
                last = max(last, stamp_ns)
        begin = first + round(self._options.start_s * 1e9)
        end = min(last, first + round(self._options.end_s * 1e9)) if self._options.end_s else last
        if begin > end:
            raise DataError(
                f"{self._drive.path}: the drive is {(last - first) * 1e-9:.0f} s long, "
                f"it has no images after {self._options.start_s:g} s"
            )
        return begin, end

    def _static(self) -> Iterator[Event]:
        mounts = {f"{camera}_optical": m.T_base_cam for camera, m in self._models.items()}
        T_base_vehicle = transforms.inverse(T_VEHICLE_BASE)
        mounts[INS_FRAME] = T_base_vehicle @ self._drive.T_vehicle_ins @ T_VEHICLE_BASE
        stamp_ns = self.range_ns[0] - MARGIN_NS
        message = self.make.static_transforms(stamp_ns, mounts)
        yield Event(stamp_ns, "tf_static", lambda: self.make.serialize(message))

    def _odometries(self) -> Iterator[Event]:
        poses = self._drive.odometry(self._odometry)
        for message in self.make.odometry(poses, NOISE[self._odometry]):
            yield from self._near(stamp_of(message), "odom", message)
            yield from self._near(stamp_of(message), "tf", self.make.moved(message))

    def _truths(self) -> Iterator[Event]:
        poses: Track = iter(()) if self._truth == "none" else self._drive.truth(self._truth)
        for stamp_ns, T in poses:
            yield from self._near(stamp_ns, "truth", self.make.ground_truth(stamp_ns, T))

    def _fixes(self) -> Iterator[Event]:
        for fix in self._drive.fixes():
            place = (fix.latitude, fix.longitude, fix.altitude)
            message = self.make.fix(fix.stamp_ns, INS_FRAME, place, fix.sigmas, fix.satellites > 0)
            yield from self._near(fix.stamp_ns, "fix", message)

    def _near(self, stamp_ns: int, channel: str, message) -> Iterator[Event]:
        begin, end = self.range_ns
        if begin - MARGIN_NS <= stamp_ns <= end + MARGIN_NS:
            yield Event(stamp_ns, channel, lambda: self.make.serialize(message))

    def _images(self, camera: str) -> Iterator[Event]:
        model, make = self._models[camera], self._makers[camera]
        begin, end = self.range_ns

        def image(frame: Frame) -> memoryview:
            pixels = model.image(frame.path)
            return make.serialize(make.image(frame.stamp_ns, pixels, self._options.image_format))

        for frame in thinned(self._drive.frames(camera), self._options.image_rate):
            if frame.stamp_ns > end:
                return
            if frame.stamp_ns >= begin:
                info = make.camera_info(frame.stamp_ns, model.camera)
                yield Event(frame.stamp_ns, f"{camera} info", lambda m=info: make.serialize(m))
                yield Event(frame.stamp_ns, camera, lambda f=frame: image(f), slow=True)


def thinned(frames: Iterator[Frame], rate: float) -> Iterator[Frame]:
    """At most `rate` frames a second (0: all), as evenly as the recording allows."""
    period = round(1e9 / rate) if rate else 0
    due = None
    for frame in frames:
        if due is None or frame.stamp_ns >= due - period // 4:
            yield frame
            due = frame.stamp_ns if due is None else due
            due = max(due + period, frame.stamp_ns + period // 2)


def _ranked(rank: int, stream: Iterator[Event]) -> Iterator[tuple[int, int, Event]]:
    for event in stream:
        yield event.stamp_ns, rank, event

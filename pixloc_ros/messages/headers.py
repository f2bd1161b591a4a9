"""Stamps and frame ids of messages."""

from __future__ import annotations

import struct

from pixloc_ros.core.errors import DataError

NS = 1_000_000_000


def to_ns(stamp) -> int:
    """Integer nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * NS + stamp.nanosec


def stamp_of(message) -> int:
    """Stamp (ns) of a message with a std_msgs/Header."""
    return to_ns(message.header.stamp)


def stamp_of_raw(raw: bytes | memoryview) -> int:
    """Stamp (ns) of a serialized message that begins with a header (CDR: 4 bytes, the stamp).

    DataError: the message is shorter than that.
    """
    if len(raw) < 12:
        raise DataError(f"a message of {len(raw)} bytes has no header")
    order = "<" if raw[1] & 1 else ">"
    sec, nanosec = struct.unpack_from(order + "iI", raw, 4)
    return sec * NS + nanosec


def frame_name(frame_id: str) -> str:
    """A frame id without the leading slash of ROS 1, which tf2 refuses."""
    return frame_id.lstrip("/")


def camera_frame(image, info) -> str:
    """The frame of a camera: that of its image, or of its camera info where the image names none.

    info: None while there is none. Returns "" if neither names a frame.
    """
    return frame_name(image.header.frame_id or (info.header.frame_id if info else ""))

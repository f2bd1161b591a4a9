"""tf2 in Python for the ROS 2 wheels: the names and the behaviour of the real `tf2_ros`.

Only what Python nodes commonly use: buffer, listener and the two broadcasters.
"""

from .broadcaster import StaticTransformBroadcaster, TransformBroadcaster
from .buffer import Buffer
from .exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TimeoutException,
    TransformException,
)
from .listener import TransformListener

__all__ = [
    "Buffer",
    "ConnectivityException",
    "ExtrapolationException",
    "InvalidArgumentException",
    "LookupException",
    "StaticTransformBroadcaster",
    "TimeoutException",
    "TransformBroadcaster",
    "TransformException",
    "TransformListener",
]

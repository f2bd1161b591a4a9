"""Every test here reads its messages as rosbags decodes them, and as rclpy does."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["rosbags", "rclpy"])
def read(request):
    """read(message of `made`): the same message, serialized and decoded by one of the two."""
    import made

    if request.param == "rosbags":
        return lambda message: made.TYPES.deserialize_cdr(made.cdr(message), message.__msgtype__)
    serialization = pytest.importorskip("rclpy.serialization")

    def decode(message):
        package, _, name = message.__msgtype__.split("/")
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
        return serialization.deserialize_message(made.cdr(message), kind)

    return decode

"""The transform buffer: composition, interpolation, time, errors."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

pytest.importorskip("tf2_ros")
pytest.importorskip("rclpy")
import rclpy
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

from pixloc_ros.core.geometry import transforms


@pytest.fixture
def buffer():
    return tf2_ros.Buffer(cache_time=Duration(seconds=10))


def transform(parent: str, child: str, seconds: float = 0.0, x=0.0, y=0.0, z=0.0, yaw=0.0):
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = parent, child
    message.header.stamp = Time(nanoseconds=round(seconds * 1e9)).to_msg()
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = float(x), float(y), float(z)
    q.z, q.w = math.sin(yaw / 2), math.cos(yaw / 2)
    return message


def matrix(message) -> np.ndarray:
    t, q = message.transform.translation, message.transform.rotation
    return transforms.from_quaternion(np.array([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z]))


def stamp(message) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def test_chain_and_its_inverse(buffer):
    a, b, c = (
        transform("map", "odom", 5, 1, 2, 0, 0.3),
        transform("odom", "base", 5, 4, 0, 1, -1),
        transform("map", "other", 5, 0, 7, 0, 2),
    )
    for message in (a, b, c):
        buffer.set_transform(message, "test")
    expected = np.linalg.inv(matrix(c)) @ matrix(a) @ matrix(b)
    found = buffer.lookup_transform("other", "base", at(5))
    assert np.allclose(matrix(found), expected, atol=1e-12)
    assert (found.header.frame_id, found.child_frame_id) == ("other", "base")
    back = buffer.lookup_transform("base", "other", at(5))
    assert np.allclose(matrix(back), np.linalg.inv(expected), atol=1e-12)
    assert np.allclose(
        matrix(buffer.lookup_transform("base", "map", at(5))),
        np.linalg.inv(matrix(a) @ matrix(b)),
        atol=1e-12,
    )
    assert np.allclose(matrix(buffer.lookup_transform("base", "base", at(5))), np.eye(4))


def test_interpolation(buffer):
    buffer.set_transform(transform("odom", "base", 1, x=0, yaw=0.0), "test")
    buffer.set_transform(transform("odom", "base", 2, x=4, yaw=1.0), "test")
    found = buffer.lookup_transform("odom", "base", at(1.25))
    assert np.allclose(matrix(found), matrix(transform("odom", "base", x=1, yaw=0.25)), atol=1e-12)
    assert stamp(found) == 1.25


def test_out_of_order_and_message_times(buffer):
    for seconds in (3, 1, 2):
        buffer.set_transform(transform("odom", "base", seconds, x=seconds), "test")
    found = buffer.lookup_transform("odom", "base", at(1.5).to_msg())
    assert found.transform.translation.x == pytest.approx(1.5)


def test_zero_time_is_the_newest_common_time(buffer):
    for seconds in (1, 2, 3):
        buffer.set_transform(transform("odom", "base", seconds, x=seconds), "test")
    for seconds in (1, 2.5):
        buffer.set_transform(transform("map", "odom", seconds), "test")
    buffer.set_transform_static(transform("base", "camera", z=1), "test")
    found = buffer.lookup_transform("map", "camera", Time())
    assert stamp(found) == 2.5
    assert found.transform.translation.x == pytest.approx(2.5)


def test_through_a_fixed_frame(buffer):
    """Where the base was at 1 s, seen from where it is at 3 s."""
    for seconds in (1, 3):
        buffer.set_transform(transform("odom", "base", seconds, x=seconds), "test")
    found = buffer.lookup_transform_full("base", at(3), "base", at(1), "odom")
    assert found.transform.translation.x == pytest.approx(-2)


def test_errors(buffer):
    buffer.set_transform(transform("map", "odom", 5), "test")
    buffer.set_transform(transform("map", "odom", 6), "test")
    buffer.set_transform(transform("island", "hut", 5), "test")
    with pytest.raises(tf2_ros.LookupException, match="nowhere"):
        buffer.lookup_transform("map", "nowhere", Time())
    with pytest.raises(tf2_ros.ConnectivityException, match="island"):
        buffer.lookup_transform("map", "hut", Time())
    with pytest.raises(tf2_ros.ExtrapolationException, match="past"):
        buffer.lookup_transform("map", "odom", at(4))
    with pytest.raises(tf2_ros.ExtrapolationException, match="future"):
        buffer.lookup_transform("map", "odom", at(7))
    with pytest.raises(tf2_ros.InvalidArgumentException):
        buffer.lookup_transform("", "odom", at(5))
    possible, reason = buffer.can_transform("map", "odom", at(7), return_debug_tuple=True)
    assert not possible and "future" in reason
    assert buffer.can_transform("map", "odom", at(5.5)) is True


def test_cache_forgets(buffer):
    for seconds in range(30):
        buffer.set_transform(transform("map", "odom", 1 + seconds), "test")
    assert buffer.can_transform("map", "odom", at(20))
    assert not buffer.can_transform("map", "odom", at(19))
    assert not buffer.set_transform(transform("map", "odom", 2), "test")


def test_clear_keeps_static(buffer):
    buffer.set_transform(transform("map", "odom", 5), "test")
    buffer.set_transform_static(transform("base", "camera", z=1), "test")
    buffer.clear()
    assert not buffer.can_transform("map", "odom", Time())
    assert buffer.can_transform("base", "camera", at(123))
    assert buffer.set_transform(transform("map", "odom", 1), "test")


def test_refuses_nonsense(buffer):
    nan = transform("map", "odom", 5, x=math.nan)
    unnormalised = transform("map", "odom", 5)
    unnormalised.transform.rotation.w = 3.0
    for message in (nan, unnormalised, transform("map", "map", 5), transform("", "odom", 5)):
        assert not buffer.set_transform(message, "test")
    assert not buffer.can_transform("map", "odom", Time())


@pytest.fixture
def nodes():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=77)
    made = [rclpy.create_node(name, context=context) for name in ("listener", "sender")]
    yield made
    for node in made:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_listener_hears_broadcasters(nodes):
    listening, sending = nodes
    static = tf2_ros.StaticTransformBroadcaster(sending)
    static.sendTransform(transform("base", "camera", z=1))
    static.sendTransform([transform("base", "lidar", z=2)])
    moving = tf2_ros.TransformBroadcaster(sending)
    buffer = tf2_ros.Buffer(node=listening)
    listener = tf2_ros.TransformListener(buffer, listening, spin_thread=True)
    wait = Duration(seconds=20)
    # both static frames, although the listener came after the messages
    assert buffer.can_transform("camera", "lidar", Time(), timeout=wait)
    while moving.pub_tf.get_subscription_count() == 0:
        time.sleep(0.01)
    moving.sendTransform(transform("odom", "base", 9, x=3))
    found = buffer.lookup_transform("odom", "camera", at(9), timeout=wait)
    assert (found.transform.translation.x, found.transform.translation.z) == (3, 1)
    listener.unregister()

"""Start and end of a ROS process: one executor thread, and signals that always end it cleanly."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from pixloc_ros.core.errors import PixlocError
from pixloc_ros.ros.compat import PublisherEventCallbacks

# Each call into torch gives up the interpreter lock and asks for it again: a recording once, the
# rest of a frame many times. While the executor's thread handles messages, that takes up to this
# long (s); Python's 5 ms is far too long.
SWITCH_INTERVAL = 2e-5
# For publishers: rclpy would watch each for two kinds of mismatched readers, and its executor looks
# at everything watched, in Python, at every message. Nothing here offers what a reader can refuse.
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)


def run_node(
    make_node: Callable[[], Node], close: Callable[[Node], None], arguments: list[str] | None = None
) -> int:
    """Spin a node until SIGINT or SIGTERM, however often they come; exit status 0 then.

    rclpy's own handler ends the spinning. Python's would raise KeyboardInterrupt wherever the
    program happens to be when a second Ctrl-C arrives (launch sends one of its own), so it does
    nothing. A parameter that ROS refuses ends the program with one line and status 2.
    """
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.setswitchinterval(SWITCH_INTERVAL)
    rclpy.init(args=arguments)
    try:
        node = make_node()
    except (ParameterException, PixlocError) as error:
        print(f"error: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
    except RuntimeError:  # RCLError, which has no public name
        if rclpy.ok():  # else the signal came just before the executor looked at the context
            raise
    finally:
        # Past this point Python would give the signals back to the system, which kills.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        close(node)
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0

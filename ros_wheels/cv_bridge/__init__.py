"""cv_bridge in Python for the ROS 2 wheels: the names and the behaviour of the real package."""

from .bridge import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]

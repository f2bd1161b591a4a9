"""PixLoc for ROS 2: camera localization in a known map by direct feature-metric alignment."""

__version__ = "0.1.0"

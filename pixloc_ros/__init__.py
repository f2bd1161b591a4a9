"""PixLoc for ROS 2: camera localization in a known map by direct feature-metric alignment."""

import os

__version__ = "0.1.0"

# Threads that wait for each other sleep instead of spinning: on a robot other processes want the
# cores, and a spinning thread takes them from the very thread it waits for. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

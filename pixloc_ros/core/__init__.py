"""The algorithm, on torch and numpy only: no ROS, no logging."""

"""The algorithm, on torch and numpy only: no ROS, no logging, no files other than maps and weights."""

"""Runs the tracker over recorded drives without ROS; metrics, benchmarks and reports."""

"""The rooms that speak ROS 2: the only ones that import rclpy, tf2_ros, cv_bridge or messages."""

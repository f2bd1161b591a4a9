"""What a ROS message means, whoever decoded it: rclpy (live) or rosbags (recordings). No ROS."""

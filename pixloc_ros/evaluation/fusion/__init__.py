"""robot_localization's EKF as its sources describe it, to try its settings on recorded drives."""

"""The Oxford RobotCar Dataset as it is published: folders of Bayer images, tables, SDK calibration.

Maddern et al., "1 Year, 1000 km: The Oxford RobotCar Dataset", IJRR 2017; Maddern et al.,
"Real-time Kinematic Ground Truth for the Oxford RobotCar Dataset", 2020; the dataset's public SDK.
"""

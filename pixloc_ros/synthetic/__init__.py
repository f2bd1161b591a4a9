"""The synthetic street world: exact images, depth and poses for the demo, tests and training."""

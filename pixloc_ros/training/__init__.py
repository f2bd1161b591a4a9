"""End-to-end training of features, confidences and damping through the pose solver."""

"""Pictures of frames for a person's eye, for the live node and for reports alike.

A room of its own right above the core, so that the node needs nothing of `evaluation/`.
"""

"""Image files, and what is drawn onto a frame, for the live node and for reports alike.

A room of its own right above the core, so that the node needs nothing of `evaluation/`.
"""

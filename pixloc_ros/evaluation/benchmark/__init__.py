"""Benchmarks: disturbed priors, the official way of working, SIFT + PnP, memory."""

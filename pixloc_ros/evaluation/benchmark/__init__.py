"""Figures to stand by: disturbed priors, the official way of working, SIFT + PnP, memory."""

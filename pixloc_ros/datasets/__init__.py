"""Readers and writers of recorded drives."""

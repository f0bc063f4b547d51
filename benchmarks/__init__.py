"""Timings, each as a ratio to a baseline that runs interleaved with it."""

"""Timings, always as a ratio to a rival that runs interleaved in the same process."""

"""The fault matrix: every fault that a run may meet, tried on the real code.

``python -m tests.faults`` tries all of them and writes the tables of docs/faults.md; the suite tries
a few of each.
"""

"""All cases, by the table that they are in."""

from tests.faults import checkpoints, interruptions, records, surroundings

TABLES = {
    "interruptions": interruptions.CASES,
    "damage": [*checkpoints.CASES, *records.CASES],
    "surroundings": surroundings.CASES,
}
"""Name of a table in docs/faults.md to its rows."""

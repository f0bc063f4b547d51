"""All cases, by the table that they are in."""

from tests.faults import checkpoints, records

TABLES = {
    "damage": [*checkpoints.CASES, *records.CASES],
}
"""Name of a table in docs/faults.md to its rows."""

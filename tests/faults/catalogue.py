"""All cases, by the table that they are in."""

from tests.faults import (
    bad_arguments,
    bad_configurations,
    bad_data,
    checkpoints,
    interruptions,
    records,
    strangers,
    surroundings,
)

TABLES = {
    "interruptions": interruptions.CASES,
    "damage": [*checkpoints.CASES, *records.CASES],
    "surroundings": surroundings.CASES,
    "bad_input": [
        *bad_arguments.CASES,
        *bad_configurations.CASES,
        *bad_data.CASES,
        *strangers.CASES,
    ],
}
"""Name of a table in docs/faults.md to its rows."""

"""Choice of the runs that a device executes at once."""

import collections
from collections.abc import Sequence
from typing import Any

Composition = collections.Counter[str]
"""Number of runs of a group by optimizer."""


def composition(group: Sequence[Any]) -> Composition:
    """Return the composition of a group."""
    return collections.Counter(run.optimizer for run in group)


def fits_devices(group: Sequence[Any], devices: int) -> bool:
    """Return True if a group can be divided among devices that all have the same optimizers."""
    names = [run.optimizer for run in group]
    return names != [] and names == names[: len(names) // devices] * devices


def next_group(
    fitting: Sequence[Any], size: int, devices: int = 1, known: Sequence[Composition] = ()
) -> list[Any]:
    """Return runs to execute at once, sorted by optimizer.

    Every composition is a separate program to compile. The function prefers a known composition;
    otherwise it chooses one for as many equal groups as possible. Several devices execute runs of
    one optimizer, the same number each; the last run is repeated to fill the devices.

    Args:
      fitting: Runs that fit each other, at least one.
      size: Number of runs that a device executes at once.
      devices: Number of devices.
      known: Compiled compositions.
    """
    own = [run for run in fitting if run.optimizer == fitting[0].optimizer]
    if devices > 1:
        each = min(size, -(-len(own) // devices))
        chosen = own[: each * devices]
        return [*chosen, *[chosen[-1]] * (each * devices - len(chosen))]
    alike = [run for run in fitting if run.seed == fitting[0].seed]  # share images
    fitting = alike if len(alike) >= size else fitting
    counts = composition(fitting)
    full = [c for c in known if c.total() == size and c <= counts]
    chosen = full[0] if full else _balanced(counts, size)
    return [
        run
        for name, count in chosen.items()
        for run in [c for c in fitting if c.optimizer == name][:count]
    ]


def _balanced(counts: Composition, size: int) -> Composition:
    """Return a composition of at most ``size`` runs that fits into the counts most often."""
    # Not more groups than runs of the most frequent optimizer: else every share would be 0.
    groups = min(max(1, counts.total() // size), max(counts.values()))
    chosen = collections.Counter({name: count // groups for name, count in counts.items()})
    while chosen.total() > size:
        chosen[max(chosen, key=lambda name: chosen[name])] -= 1
    return +chosen

"""Durations of runs on this machine, to decide if one more worker for a program pays."""

from collections.abc import Hashable

_UNKNOWN = 12
"""Number of waiting runs at which one more worker pays, while no duration is known."""


class Pace:
    """Longest durations of runs by program: with compilation, and after it."""

    def __init__(self):
        """Start without durations."""
        self.first: dict[Hashable, float] = {}
        self.later: dict[Hashable, float] = {}

    def note(self, program: Hashable, seconds: float, *, compiled: bool) -> None:
        """Record a finished run.

        Args:
          program: Program of the run.
          seconds: Duration of the run, in seconds.
          compiled: True if the duration includes compilation.
        """
        known = self.first if compiled else self.later
        known[program] = max(seconds, known.get(program, 0.0))

    def pays(self, program: Hashable, waiting: int, owners: int) -> bool:
        """Return True if it pays to compile a program in one more worker.

        Args:
          program: Program to compile.
          waiting: Number of its waiting runs.
          owners: Number of workers that have compiled it, all busy.

        Returns:
          True if the new worker finishes a first run before the owners finish all waiting runs.

        Example:
          >>> pace = Pace()
          >>> pace.note("ResNet-56", 200.0, compiled=True)
          >>> pace.note("ResNet-56", 145.0, compiled=False)
          >>> pace.pays("ResNet-56", waiting=1, owners=1), pace.pays("ResNet-56", waiting=2, owners=1)
          (False, True)
        """
        if program not in self.first or program not in self.later:
            return waiting >= _UNKNOWN
        return self.first[program] * owners < self.later[program] * waiting

"""How long cells take here, and whether one more worker for them pays."""

from collections.abc import Hashable

_UNKNOWN = 12
"""Waiting cells from which on one more worker pays, as long as no time is known."""


class Pace:
    """The longest times of cells, by program: with its compilation, and after it."""

    def __init__(self):
        """Know nothing."""
        self.first: dict[Hashable, float] = {}
        self.later: dict[Hashable, float] = {}

    def note(self, program: Hashable, seconds: float, *, compiled: bool) -> None:
        """Take account of a cell that has finished.

        Args:
          program: Its program.
          seconds: How long its worker had it.
          compiled: Whether the worker had to compile the program first.
        """
        known = self.first if compiled else self.later
        known[program] = max(seconds, known.get(program, 0.0))

    def pays(self, program: Hashable, waiting: int, owners: int) -> bool:
        """Whether a worker that has yet to compile a program would be done with a cell of it in time.

        Args:
          program: Which.
          waiting: How many of its cells wait.
          owners: How many workers have compiled it, each of which is at one.

        Returns:
          Whether that takes it less than the owners would need for all that wait.

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

"""What every script of this folder defines."""

import dataclasses
from collections.abc import Callable, Sequence

from adamprox.report import Claim, Figure
from adamprox.sweep import Cell, Record
from experiments.protocol import Protocol


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """protocol → cells → records → figures and claims.

    Attributes:
      name: What the command line calls it; the file's name up to the first underscore for figures.
      title: Its headline on the page.
      claim: What the paper says, in a sentence.
      cost: About what this experiment alone takes, by preset: at smoke and demo on two CPU cores with
        compilation, at reduced and paper of one core without (``--dry-run`` reckons it anew). Where
        a preset has no cost, ``all`` leaves the experiment out.
      cells: What has to be run, given the records there are: once they are there, a grid may have
        to be extended.
      figures: Drawn from the records of those cells, in their order.
      claims: Judged from the same records.
      headline: Main results as (number, description), for the top of the page.
    """

    name: str
    title: str
    claim: str
    cost: dict[str, str]
    cells: Callable[[Protocol, Sequence[Record]], Sequence[Cell]]
    figures: Callable[[Protocol, list[Record]], list[Figure]]
    claims: Callable[[Protocol, list[Record]], list[Claim]]
    headline: Callable[[Protocol, list[Record]], list[tuple[str, str]]] = lambda protocol, records: []

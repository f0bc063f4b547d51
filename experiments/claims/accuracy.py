"""Claims on the test errors of tuned methods and their differences, with margins of error."""

from collections.abc import Callable, Sequence
from typing import Any

import scipy

from adamprox.report import Claim, Verdict
from adamprox.report.claims import Gap, compact, contrast, estimate, gap, percent, points
from experiments.claims import (
    LEARNED,
    TOGETHER,
    Finding,
    NotRun,
    NotTested,
    by_margin,
    claim,
    equal,
    learned,
    lost_seeds,
    need_judged,
    need_runs,
    no_higher,
    on_edges,
)
from experiments.tuning import Tuned


def lower_error(better: Tuned, worse: Tuned, section: str, where: str = "") -> Claim:
    """Return the claim that the best test error of one method is lower than that of another."""
    statement = "{}'s test error is lower than {}'s{}."
    criterion = "lower by more than the margin of error (95 %)"
    return _compare(better, worse, section, statement, criterion, by_margin, where)


def no_lead(one: Tuned, other: Tuned, section: str) -> Claim:
    """Return the claim that the best test error of one method is not lower than that of another."""
    statement = "{} has no lead over {}{}."
    criterion = f"not lower by more than the margin of error (95 %); {TOGETHER}"
    return _compare(one, other, section, statement, criterion, no_higher)


def as_good(new: Tuned, old: Tuned, section: str) -> Claim:
    """Return the claim that the best test error of one method is not higher than that of another."""
    statement = "{}'s test error is not higher than {}'s{}."
    criterion = f"not higher by more than the margin of error (95 %); {TOGETHER}"
    return _compare(new, old, section, statement, criterion, lambda lead: no_higher(-lead))


def equal_error(first: Tuned, second: Tuned, section: str, where: str = "") -> Claim:
    """Return the claim that two methods have the same best test error."""
    statement = "{} and {} reach the same test error{}."
    criterion = f"difference within the margin of error (95 %); {TOGETHER}"
    return _compare(first, second, section, statement, criterion, equal, where)


def _names(one: Tuned, other: Tuned) -> tuple[str, str, str]:
    """Return the names of two methods without the parentheses that both share, and these."""
    (first, _, inside), (second, _, same) = (m.name.partition(" (") for m in (one, other))
    if inside and inside == same:
        return first, second, f" ({inside}"
    return one.name, other.name, ""


def _compare(
    one: Tuned,
    other: Tuned,
    section: str,
    statement: str,
    criterion: str,
    verdict: Callable[[Gap], Verdict],
    where: str = "",
) -> Claim:
    """Return the claim that ``verdict`` judges by the lead of ``one`` over ``other``.

    ``statement`` is a format string for their names and what both names share.
    """

    def measure() -> Finding:
        need_runs(one, other)
        need_judged(one.protocol, one.tried, other.tried, one.finished or other.finished)
        if not (one.finished and other.finished):
            # The one that finished may owe its lead to the seeds that survived.
            ahead, lost = (1.0, other.name) if one.finished else (-1.0, one.name)
            doubt = (
                bool(one.finished and lost_seeds(one)),
                bool(other.finished and lost_seeds(other)),
            )
            found = verdict(Gap(ahead, 0.0, False, *doubt))
            return Finding(f"{lost} diverged", found, " ".join(lost_seeds(one, other)))
        lead = gap(other.seeds, one.seeds)
        measured = f"{estimate(one.seeds)} vs {estimate(other.seeds)}"
        tuned = len(one.tried) > 1 or len(other.tried) > 1
        notes = [
            f"The second minus the first is {lead}.",
            *([_validated(one, other), *_single_rates(one, other)] if tuned else []),
            *(warning for method in (one, other) for warning in on_edges(method)),
            *lost_seeds(one, other),
            *_without_meaning(one, other),
        ]
        return Finding(measured, verdict(lead), " ".join(notes))

    return claim(section, where + statement.format(*_names(one, other)), criterion, measure)


def lead(better: Tuned, worse: Tuned) -> Gap:
    """Return the lead of one method over another; raise NotRun or NotTested without enough runs."""
    need_runs(better, worse)
    need_judged(better.protocol, better.finished, worse.finished)
    return gap(worse.seeds, better.seeds)


def fall(first: tuple[Tuned, Tuned], *others: tuple[Tuned, Tuned]) -> Gap:
    """Return how far the mean lead of other pairs is below that of the first, by `contrast`.

    Args:
      first: A method, and the one that it leads.
      others: Pairs of the same order; at least one.
    """
    for pair in (first, *others):
        lead(*pair)  # raises without enough runs
    share = 1 / len(others)
    groups = [method.seeds for pair in (first, *others) for method in pair]
    return contrast(groups, [-1.0, 1.0, *len(others) * [share, -share]])


def lead_grows(pairs: Sequence[tuple[Tuned, Tuned]], section: str) -> Claim:
    """Return the claim that AdamW's lead over Adam-ℓ2 grows from pair to pair, ordered by depth."""
    criterion = (
        "rank correlation of depth and lead above 0; the lead at the last depth exceeds that at the first "
        "by more than the margin of error (95 %)"
    )

    def measure() -> Finding:
        finished = [(b, w) for b, w in pairs if not (b.missing or w.missing)]
        if len(finished) < 2:
            few = f"{len(finished)} of {len(pairs)} depths have finished; two are needed."
            raise NotTested(few) if len(pairs) < 2 else NotRun(few)
        depths, finished = len(finished), [(b, w) for b, w in finished if b.finished and w.finished]
        need_judged(pairs[0][0].protocol, finished[1:])
        leads = [lead(*pair) for pair in finished]
        measured = ", ".join(
            f"{points(one.difference)} at {better.seeds[0]['depth']} layers"
            for one, (better, _) in zip(leads, finished, strict=True)
        )
        growth = fall(finished[-1], finished[0])
        ranks: Any = scipy.stats.kendalltau(range(len(leads)), [one.difference for one in leads])
        verdict = by_margin(growth)
        if verdict is Verdict.REPRODUCED and ranks.statistic <= 0:
            verdict = Verdict.NOT_REPRODUCED
        ends = [better.seeds[0]["depth"] for better, _ in (finished[0], finished[-1])]
        note = f"From {ends[0]} to {ends[1]} layers it grows by {growth}."
        if lost := depths - len(finished):
            verdict = Verdict.INCONCLUSIVE if verdict is Verdict.REPRODUCED else verdict
            note += f" All runs of a method diverged at {lost} of {depths} depths."
        return Finding(measured, verdict, note)

    return claim(section, "AdamW's lead over Adam-ℓ2 grows with depth.", criterion, measure)


def _without_meaning(one: Tuned, other: Tuned) -> list[str]:
    """Return notes on a comparison of networks that did not learn, or of runs without decay."""
    runs = one.finished + other.finished
    still = [] if any(map(learned, runs)) else [f"No network {LEARNED}."]
    return still + ([] if any(r.weight_decay for r in runs) else ["Neither best run has decay."])


def _validated(*methods: Tuned) -> str:
    """Return a note with the test errors of the runs of lowest validation error."""
    chosen = [method.validated for method in methods]
    errors = [percent(record["final_test_error"]) for record in chosen if record]
    if len(errors) < len(methods):
        return "Selected on the test set; there is no validation split (--validation-size)."
    return f"Selected on the validation split: {' vs '.join(errors)}."


def _single_rates(*methods: Tuned) -> list[str]:
    """Return a note on methods whose grid was not extended in α."""
    fixed = [
        f"{method.name.partition(' (')[0]} at α = {' or '.join(map(compact, method.grid.learning_rates))}"
        for method in methods
        if len(method.grid.learning_rates) == 1 or not method.method.more_rates
    ]
    return [f"Grids extended in λ only: {', '.join(fixed)}."] if fixed else []

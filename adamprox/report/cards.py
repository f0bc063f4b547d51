"""Claims and counts of verdicts as HTML, with a color, a sign and a word for each verdict."""

import html
from collections.abc import Sequence

from adamprox.report.claims import Claim, Verdict

_SHOWN = {
    Verdict.REPRODUCED: ("yes", "✓"),
    Verdict.NOT_REPRODUCED: ("no", "✗"),
    Verdict.INCONCLUSIVE: ("open", "?"),
    Verdict.NOT_TESTED: ("none", "–"),
    Verdict.NOT_RUN: ("none", "…"),
}
"""Class and sign of each verdict."""
_JUDGED = (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE)


def _counts(claims: Sequence[Claim]) -> dict[Verdict, int]:
    counts = {verdict: sum(c.verdict is verdict for c in claims) for verdict in Verdict}
    return {verdict: count for verdict, count in counts.items() if count}


def verdict_counts(claims: Sequence[Claim]) -> str:
    """Return the number of claims with each verdict as text.

    Example:
      >>> verdict_counts([Claim("§1", "It is so.", "1 %", "2 %", Verdict.REPRODUCED)])
      '1 reproduced'
    """
    rows = [f"{count} {verdict.value}" for verdict, count in _counts(claims).items()]
    return ", ".join(rows) or "none"


def tally(claims: Sequence[Claim]) -> str:
    """Return the number of claims with each verdict as a list of large numbers."""
    rows = (
        f'<li class="{_SHOWN[verdict][0]}"><b>{_SHOWN[verdict][1]} {count}</b>{verdict.value}</li>'
        for verdict, count in _counts(claims).items()
    )
    return f'<ul class="numbers" aria-label="{len(claims)} claims">{"".join(rows)}</ul>'


def signs(claims: Sequence[Claim]) -> str:
    """Return the number of claims with each verdict as a line of small signs."""
    return "".join(
        f'<span class="chip {_SHOWN[verdict][0]}" title="{count} {verdict.value}">'
        f"{_SHOWN[verdict][1]} {count}</span>"
        for verdict, count in _counts(claims).items()
    )


def cards(claims: Sequence[Claim]) -> str:
    """Return the claims with a verdict, and the others in a collapsed list."""
    judged = [claim for claim in claims if claim.verdict in _JUDGED]
    others = [claim for claim in claims if claim.verdict not in _JUDGED]
    shown = f'<div class="claims">{"".join(map(_claim, judged))}</div>' if judged else ""
    if others:
        words = ", ".join(f"{n} {verdict.value}" for verdict, n in _counts(others).items())
        rows = "".join(map(_claim, others))
        shown += (
            f'<details class="more"><summary>Claims without a verdict: {words}</summary>'
            f'<div class="claims">{rows}</div></details>'
        )
    return shown


def _claim(claim: Claim) -> str:
    kind, sign = _SHOWN[claim.verdict]
    section, statement, measured, criterion, note = map(
        html.escape, (claim.section, claim.statement, claim.measured, claim.criterion, claim.note)
    )
    notes = f'<details><summary>Notes</summary><p class="soft">{note}</p></details>' if note else ""
    return (
        f'<article class="claim {kind}"><div><span class="chip {kind}">{sign} {claim.verdict.value}'
        f'</span><span class="place">{section}</span></div>'
        f'<p class="statement">{statement}</p>'
        f'<div><p>{measured}</p><p class="soft">Criterion: {criterion}</p>{notes}</div></article>'
    )

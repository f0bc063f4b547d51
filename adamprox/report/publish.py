"""Outputs of a run directory: page, figures, verdicts and tables."""

import pathlib
from collections.abc import Mapping, Sequence

from adamprox.output import check_writable
from adamprox.report.page import Section, save_figures, write_page
from adamprox.report.tables import CLAIMS_LOCK, write_claims, write_records
from adamprox.sweep.provenance import provenance
from adamprox.sweep.record import Record


def publish(
    page: pathlib.Path,
    title: str,
    lead: str,
    sections: Mapping[str, Section],
    records: Mapping[str, Sequence[Record]],
    facts: Mapping[str, object],
) -> None:
    """Write the page, and figures, verdicts and tables beside it.

    Args:
      page: Path of the page.
      title: Headline.
      lead: Paragraph under it.
      sections: Section of the page by name of the experiment.
      records: Records by name of the experiment.
      facts: Configuration by name; ``preset`` is one of them, and ``options`` those of the command line
        that replace its values, as a text.
    """
    out, every = page.parent, _distinct(records)
    for section in sections.values():
        save_figures(section.figures, out / "figures")
    write_page(page, title, lead, list(sections.values()), _facts(list(sections), every, facts))
    # The time of the last run instead of the present time keeps redrawn files identical.
    given = {name: str(facts[name]) for name in ("preset", "options") if facts.get(name)}
    about = {**given, "page": page.name, "finished": _finished(every)[-1]}
    write_claims(out, {name: section.claims for name, section in sections.items()}, about)
    for name, rows in records.items():
        write_records(out / "tables", name, rows)


def check_output(page: pathlib.Path) -> None:
    """Refuse a path at which `publish` could not write, without creating a file there.

    Raises:
      ValueError: The message names the folder or file, and the reason.
    """
    out = page.parent
    folders = [out, *(out / name for name in ("records", "figures", "tables"))]
    files = [page, *(out / name for name in ("claims.json", "claims.csv", CLAIMS_LOCK))]
    check_writable(out, folders, files)


def make_writable(page: pathlib.Path) -> None:
    """Check the page's path with `check_output`, and make the folder of the records."""
    check_output(page)
    try:
        (page.parent / "records").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(
            f"out must be a directory that can be written to, got {page.parent} ({reason})"
        ) from None


def _distinct(records: Mapping[str, Sequence[Record]]) -> list[Record]:
    return list({record.key: record for rows in records.values() for record in rows}.values())


def _finished(records: Sequence[Record]) -> list[str]:
    return sorted(record.origin["finished"] for record in records)  # UTC sorts as text


def _facts(
    names: Sequence[str], records: Sequence[Record], facts: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Return configuration, origin of the records and versions, as (name, value)."""
    finished = _finished(records)
    commits = {record.origin["commit"] or "unknown" for record in records}
    trained = sum(record.seconds for record in records if record.kind == "training")
    return [
        ("experiments", " ".join(names)),
        *((name, _text(value)) for name, value in facts.items()),
        ("runs", str(len(records))),
        ("training", f"{trained:.0f} s, summed over runs"),
        ("runs finished", f"{finished[0]} to {finished[-1]}"),
        ("runs from commit", ", ".join(sorted(commits))),
        *((f"{name} of this command", str(value)) for name, value in provenance().items()),
    ]


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" for v in value)
    return "all" if value is None else str(value)

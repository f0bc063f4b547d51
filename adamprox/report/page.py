"""The report: one self-contained HTML page with figures, verdicts and how they came about."""

import base64
import functools
import html
import io
import os
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure as Canvas

from adamprox.files import write_atomically
from adamprox.report.claims import Claim, Verdict
from adamprox.report.plots import Figure

_VERDICT_CLASS = {
    Verdict.REPRODUCED: "holds",
    Verdict.NOT_REPRODUCED: "fails",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NOT_TESTED: "none",
    Verdict.NOT_RUN: "none",
}

_CSS = """
:root { --ink:#1d2433; --soft:#5c667a; --line:#e3e5ea; --paper:#fcfcfa; --card:#ffffff; --blue:#2a6f97; }
* { box-sizing:border-box }
body { margin:0; background:var(--paper); color:var(--ink);
  font:16px/1.6 ui-sans-serif,system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif }
main { max-width:62rem; margin:0 auto; padding:3.5rem 1.25rem 5rem }
h1 { font-size:2.1rem; line-height:1.2; letter-spacing:-.02em; margin:0 0 .6rem }
h2 { font-size:1.35rem; letter-spacing:-.01em; margin:3.2rem 0 .3rem }
.lead { color:var(--soft); font-size:1.08rem; max-width:46rem; margin:0 }
.facts { color:var(--soft); font-size:.9rem; margin:1.2rem 0 0 }
.scroll { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:10px; margin-top:1rem }
table { border-collapse:collapse; width:100%; font-size:.92rem }
th,td { text-align:left; vertical-align:top; padding:.65rem .8rem; border-bottom:1px solid var(--line) }
tr:last-child td { border-bottom:0 }
th { font-size:.75rem; text-transform:uppercase; letter-spacing:.06em; color:var(--soft) }
.chip { display:inline-block; padding:.12rem .6rem; border-radius:99px; font-size:.8rem; font-weight:600; white-space:nowrap }
.holds { background:#dff1e6; color:#1d6b42 } .fails { background:#fbe3de; color:#9c2f1d }
.open { background:#fdf1d3; color:#80590a } .none { background:#eceef2; color:#5c667a }
.note { display:block; color:var(--soft); font-size:.85rem; margin-top:.2rem }
figure { margin:1rem 0 0; background:var(--card); border:1px solid var(--line); border-radius:10px; padding:1rem 1rem .8rem }
figure img { width:100%; height:auto; display:block }
figcaption { color:var(--soft); font-size:.92rem; margin-top:.6rem }
.statement { color:var(--soft); margin:0 }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.2rem 1.2rem; font-size:.9rem; margin:1rem 0 0 }
dt { color:var(--soft) } dd { margin:0; overflow-wrap:anywhere }
code { font:.88em ui-monospace,SFMono-Regular,Menlo,monospace }
footer { color:var(--soft); font-size:.85rem; margin-top:3rem }
"""


class Section(NamedTuple):
    """One experiment on the page: its title, the claim it tests, its figures and verdicts."""

    title: str
    statement: str
    figures: Sequence[Figure]
    claims: Sequence[Claim]


def save_figures(figures: Sequence[Figure], directory: pathlib.Path) -> None:
    """Write every figure as ``<name>.png`` and ``<name>.svg``."""
    for figure in figures:
        write_atomically(directory / f"{figure.name}.png", _drawn(figure.canvas, "png"))
        write_atomically(directory / f"{figure.name}.svg", _drawn(figure.canvas, "svg"))


@functools.lru_cache(maxsize=128)
def _drawn(canvas: Canvas, kind: str) -> bytes:
    """Return the picture, drawn once for the file and the page."""
    buffer = io.BytesIO()
    if kind == "png":
        canvas.savefig(buffer, format=kind, dpi=150)
    else:  # without the time: a figure drawn again is the same file
        canvas.savefig(buffer, format=kind, metadata={"Date": None})
    return buffer.getvalue()


def write_page(
    path: pathlib.Path,
    title: str,
    lead: str,
    sections: Sequence[Section],
    facts: Sequence[tuple[str, str]],
    links: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page, whole or not at all; but for ``links`` it refers to no other file.

    Args:
      path: Where to.
      title: The headline.
      lead: One paragraph under it.
      sections: In reading order.
      facts: Configuration, versions and times, as (name, value).
      links: Other pages, as (name, relative path); each section's claims are then listed with it.
    """
    claims = [claim for section in sections for claim in section.claims]
    body = "".join(
        [
            f"<h1>{html.escape(title)}</h1><p class=lead>{html.escape(lead)}</p>",
            f"<p class=facts>{_tally(claims)}</p>",
            _links(links) if links else _claims_table(claims),
            *(_section(section, own_table=bool(links)) for section in sections),
            _facts(facts) if facts else "",
        ]
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_CSS}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    write_atomically(path, page)


def _tally(claims: Sequence[Claim]) -> str:
    counts = {verdict: sum(c.verdict is verdict for c in claims) for verdict in Verdict}
    parts = [f"{n} {verdict.value}" for verdict, n in counts.items() if n]
    return f"{len(claims)} claims: {', '.join(parts)}."


def _claims_table(claims: Sequence[Claim]) -> str:
    head = "<tr><th>Paper</th><th>Claim</th><th>Measured</th><th>Bar</th><th>Verdict</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(map(_claim_row, claims))}</table></div>'


def _claim_row(claim: Claim) -> str:
    note = f'<span class="note">{html.escape(claim.note)}</span>' if claim.note else ""
    chip = f'<span class="chip {_VERDICT_CLASS[claim.verdict]}">{claim.verdict.value}</span>'
    cells = [claim.section, claim.statement, claim.measured, claim.criterion]
    section, statement, measured, bar = map(html.escape, cells)
    return (
        f"<tr><td>{section}</td><td>{statement}</td><td>{measured}{note}</td><td>{bar}</td>"
        f"<td>{chip}</td></tr>"
    )


def _links(links: Sequence[tuple[str, str]]) -> str:
    items = (
        f'<li><a href="{html.escape(urllib.parse.quote(_bytes(path)))}">{html.escape(name)}</a></li>'
        for name, path in links
    )
    return f"<ul>{''.join(items)}</ul>"


def _bytes(path: str) -> bytes:
    """Return the bytes of a path, also where they, or its characters, are no text."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode(errors="backslashreplace")


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts)
    return f"<h2>How this was made</h2><dl>{rows}</dl>"


def _section(section: Section, own_table: bool) -> str:
    table = _claims_table(section.claims) if own_table else ""
    figures = "".join(map(_figure, section.figures))
    return (
        f"<h2>{html.escape(section.title)}</h2>"
        f'<p class="statement">{html.escape(section.statement)}</p>{table}{figures}'
    )


def _figure(figure: Figure) -> str:
    data = base64.b64encode(_drawn(figure.canvas, "svg")).decode()
    title, caption = html.escape(figure.title), html.escape(figure.caption)
    return (
        f'<figure><img alt="{title}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption><strong>{title}</strong> {caption}</figcaption></figure>"
    )

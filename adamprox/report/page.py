"""Report page: one self-contained HTML file with figures, claims and verdicts."""

import functools
import html
import importlib.resources
import io
import os
import pathlib
import re
import urllib.parse
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure as Canvas

from adamprox.files import write_atomically
from adamprox.report.cards import cards, signs, tally
from adamprox.report.claims import Claim
from adamprox.report.plots import Figure
from adamprox.report.tiles import tables


class Section(NamedTuple):
    """One experiment on the page.

    Attributes:
      title: Heading of the section.
      statement: Claim of the paper that the experiment tests, in one sentence.
      figures: Figures, shown first.
      claims: Claims with their verdicts.
      headline: Main results as (number, description), shown at the top of the page.
      link: Relative path of another page, to which the heading leads.
    """

    title: str
    statement: str
    figures: Sequence[Figure]
    claims: Sequence[Claim]
    headline: Sequence[tuple[str, str]] = ()
    link: str = ""


_DPI = 150  # of PNG files


def save_figures(figures: Sequence[Figure], directory: pathlib.Path) -> None:
    """Write every figure as ``<name>.png`` and ``<name>.svg``."""
    for figure in figures:
        write_atomically(directory / f"{figure.name}.png", _drawn(figure.canvas, "png"))
        write_atomically(directory / f"{figure.name}.svg", _drawn(figure.canvas, "svg"))


@functools.lru_cache(maxsize=128)
def _drawn(canvas: Canvas, kind: str) -> bytes:
    """Return the picture; the cache lets file and page share one drawing."""
    layout = canvas.get_layout_engine()
    if layout is not None:  # once, because savefig would draw each format twice
        canvas.set_dpi(_DPI)
        layout.execute(canvas)
        canvas.set_layout_engine(None)
    buffer = io.BytesIO()
    # Without the time, equal records give equal files.
    canvas.savefig(
        buffer, format=kind, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None
    )
    return buffer.getvalue()


def write_page(
    path: pathlib.Path,
    title: str,
    lead: str,
    sections: Sequence[Section],
    facts: Sequence[tuple[str, str]],
) -> None:
    """Write the page atomically. Except for the links of sections, it refers to no other file.

    Args:
      path: Path of the page.
      title: Title of the page.
      lead: Paragraph under the title.
      sections: Experiments in reading order.
      facts: Configuration, versions and times, as (name, value).
    """
    claims = [claim for section in sections for claim in section.claims]
    headline = [item for section in sections for item in section.headline]
    body = "".join(
        [
            f'<h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>',
            _headline(headline),
            tally(claims),
            *(_section(number, section) for number, section in enumerate(sections)),
            _facts(facts) if facts else "",
        ]
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_resource('page.css')}</style></head>"
        f"<body>{_contents(sections)}<main>{body}</main>"
        f"<script>{_resource('page.js')}</script></body></html>\n"
    )
    write_atomically(path, page)


def _resource(name: str) -> str:
    return importlib.resources.files("adamprox.report").joinpath(name).read_text(encoding="utf-8")


def _headline(items: Sequence[tuple[str, str]]) -> str:
    rows = (f"<li><b>{html.escape(k)}</b>{html.escape(v)}</li>" for k, v in items)
    return f'<ul class="numbers leads">{"".join(rows)}</ul>' if items else ""


def _contents(sections: Sequence[Section]) -> str:
    items = "".join(
        f'<li><a href="#s{number}"><span class="name">{html.escape(section.title)}</span>'
        f'<span class="counts">{signs(section.claims)}</span></a></li>'
        for number, section in enumerate(sections)
    )
    return f"<nav><details open><summary>Contents</summary><ul>{items}</ul></details></nav>"


def _section(number: int, section: Section) -> str:
    title = html.escape(section.title)
    if section.link:
        target = html.escape(urllib.parse.quote(_bytes(section.link)))
        title = f'<a href="{target}">{title}</a>'
    figures = "".join(map(_figure, section.figures))
    return (
        f'<section id="s{number}"><h2>{title}</h2>'
        f'<p class="paper">{html.escape(section.statement)}</p>{figures}'
        f"{cards(section.claims)}</section>"
    )


def _bytes(path: str) -> bytes:
    """Return the bytes of a path, including a path that is not valid text."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode(errors="backslashreplace")


def _figure(figure: Figure) -> str:
    title, caption = html.escape(figure.title), html.escape(figure.caption)
    if figure.heatmaps:
        shown = tables(figure.heatmaps)
        caption += " Point at a tile, or tap it, for its seeds, spread and learning curve."
    else:
        shown = _picture(figure, title)
    return f"<figure><h3>{title}</h3>{shown}<figcaption>{caption}</figcaption></figure>"


def _picture(figure: Figure, title: str) -> str:
    """Return the drawing as an image in a box that scrolls on narrow screens."""
    svg = _drawn(figure.canvas, "svg").decode().replace("\n", " ").replace('"', "'")
    # Two decimals of a point are enough, and halve the size.
    svg = re.sub(r" d='[^']*'", lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)
    data = urllib.parse.quote(svg, safe=" '<>=/:;,()!?.-")
    wide = f"{100 * figure.canvas.get_figwidth():.0f}px"
    return (
        f'<div class="scroll" style="--wide:{wide}"><img alt="{title}" loading="lazy" '
        f'src="data:image/svg+xml,{data}"></div>'
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts)
    return (
        "<section><details><summary>Configuration and provenance</summary>"
        f"<dl>{rows}</dl></details></section>"
    )

"""Print a scorecard and write it as Markdown: ``python -m adamprox.scale_free [--torch]``."""

import importlib.util
import logging
import os
import pathlib
import sys

from adamprox.files import write_atomically
from adamprox.output import one_line, reason_not_writable, show_any_text
from adamprox.scale_free.scorecard import COLUMNS, markdown, scorecard
from adamprox.scale_free.torch_scorecard import torch_markdown, torch_scorecard


def main(arguments: list[str] | None = None) -> int:
    """Run the scorecard; return 0, or 2 if the file cannot be written or an extra is missing."""
    show_any_text()
    try:
        from rich.table import Table  # noqa: PLC0415 — the command alone needs it

        from adamprox.command_line import Parser, console, path  # noqa: PLC0415
    except ImportError:
        print("rich is missing: pip install 'adamprox[experiments]'", file=sys.stderr)
        return 2
    parser = Parser(prog="python -m adamprox.scale_free", description=__doc__)
    parser.add_argument(
        "--torch",
        action="store_true",
        help="test the optimizers of torch, timm and pytorch_optimizer instead of Optax's",
    )
    parser.add_argument(
        "--out",
        type=path,
        help="Markdown file to write (docs/scale_free_scorecard.md or docs/torch_scorecard.md); "
        "its folder must exist",
    )
    given = parser.parse_args(arguments)
    default = "torch_scorecard.md" if given.torch else "scale_free_scorecard.md"
    out = given.out or pathlib.Path("docs", default)
    if given.torch and importlib.util.find_spec("torch") is None:
        print("torch is missing: pip install torch", file=sys.stderr)
        return 2
    problem = _problem(out)
    if problem:
        print(f"--out {one_line(out)}: {problem}", file=sys.stderr)
        return 2
    logging.getLogger("absl").setLevel(logging.ERROR)  # optax's lookahead warns of its parameters
    screen = console()
    certify, page = (torch_scorecard, torch_markdown) if given.torch else (scorecard, markdown)
    with screen.status("testing …") as status:
        rows = certify(report=lambda row: status.update(f"tested {row.entry.name}"))
    table = Table(*COLUMNS, title="Which optimizers are scale-free?", show_lines=True)
    for row in rows:
        table.add_row(*row.cells)
    screen.print(table)
    try:
        write_atomically(out, page(rows))
    except OSError as error:
        print(f"--out {out}: {error.strerror}", file=sys.stderr)
        return 2
    screen.print(f"wrote {out}")
    return 0


def _problem(out: pathlib.Path) -> str | None:
    """Return the reason why the file cannot be written, None if it can be."""
    try:
        out.lstat()
    except OSError as error:
        if not out.parent.is_dir():
            return f"there is no folder {out.parent}"
        missing = isinstance(error, FileNotFoundError)
        return reason_not_writable(out.parent) if missing else str(error.strerror).lower()
    except ValueError as error:  # a zero byte
        return str(error)
    if out.is_dir():
        return "is a folder, not a file"
    return None if os.access(out, os.W_OK) else "not writable"


if __name__ == "__main__":
    sys.exit(main())

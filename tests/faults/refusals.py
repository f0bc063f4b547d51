"""Refusals: one line, exit code 2, no file made."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from tests.faults.case import Finding, Outcome
from tests.faults.runs import ROOT

Main = Callable[[list[str]], int | None]


@contextlib.contextmanager
def inside(folder: pathlib.Path) -> Iterator[None]:
    """In ``folder``, which holds a file and knows no data sets; afterwards where it was before."""
    before, data = os.getcwd(), os.environ.get("TFDS_DATA_DIR")
    (folder / "a_file").write_text("kept")
    os.chdir(folder)
    os.environ["TFDS_DATA_DIR"] = str(folder / "no data")
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("TFDS_DATA_DIR")
        if data is not None:
            os.environ["TFDS_DATA_DIR"] = data


def refusal(main: Main, argv: Sequence[str], mentions: Sequence[str] = ()) -> Finding:
    """Call ``main`` in this process; its line must mention argument and value."""
    out, error, before = io.StringIO(), io.StringIO(), _tree()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main(list(argv))
    except SystemExit as stop:
        code = stop.code
    except BaseException as raised:
        return Finding(Outcome.LOST, f"{argv}: {raised!r}")
    return judge(argv, code, out.getvalue(), error.getvalue(), mentions, _tree() == before)


def refusal_of_a_process(module: str, argv: Sequence[str], mentions: Sequence[str] = ()) -> Finding:
    """The same of ``python -m module``."""
    before, environment = _tree(), {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, *argv]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    return judge(argv, done.returncode, done.stdout, done.stderr, mentions, _tree() == before)


def judge(argv, code, out: str, error: str, mentions: Sequence[str], untouched: bool) -> Finding:
    """Refused, or lost where any of what makes a refusal is missing."""
    plain = _plain(error)
    silent = [text for text in mentions if _plain(text) not in plain]
    good = code == 2 and not out and error.count("\n") == 1 and error.endswith("\n")
    good = good and error[:-1].isprintable() and untouched and not silent
    what = f"{argv}: exit code {code}, {error!r}, not mentioned: {silent}, untouched: {untouched}"
    return Finding(Outcome.REFUSED if good else Outcome.LOST, what)


def _plain(text: str) -> str:
    """Return a text without quotes, and with the dashes of options as underscores of fields."""
    return text.replace("-", "_").replace("\\", "").replace("'", "").replace('"', "")


def _tree() -> list[tuple[str, int]]:
    """Everything below the current directory, with the time of its last change."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in pathlib.Path().rglob("*"))

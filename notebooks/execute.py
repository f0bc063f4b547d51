"""Execute the notebooks of this folder: ``python notebooks/execute.py [NAME …]``.

A notebook is written as ``NAME.py`` (jupytext, percent format); this writes ``NAME.ipynb`` beside it, with
outputs. Cells are numbered and times left out, so that a difference of two versions shows what changed.
"""

import pathlib
import sys

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError as CellExecutionError

HERE = pathlib.Path(__file__).parent


def read(source: pathlib.Path) -> nbformat.NotebookNode:
    """Return the notebook of a ``.py`` file, without outputs."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{number:02d}"
    return notebook


def execute(source: pathlib.Path) -> nbformat.NotebookNode:
    """Return the notebook with its outputs; an error in a cell is raised."""
    client = NotebookClient(
        read(source),
        timeout=240,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # independent of how often a kernel flushes
        resources={"metadata": {"path": str(source.parent)}},
    )
    notebook = client.execute()
    notebook.metadata.pop("language_info", None)  # names the version of Python
    return notebook


def main(names: list[str]) -> None:
    """Execute and write the named notebooks, all without names."""
    for source in sorted(HERE.glob("[0-9]*.py")):
        if not names or source.stem in names:
            print(source.stem, flush=True)
            nbformat.write(execute(source), source.with_suffix(".ipynb"))


if __name__ == "__main__":
    main(sys.argv[1:])

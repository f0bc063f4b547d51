"""The notebooks run, their two forms agree, and what they show is what they compute."""

import base64
import importlib.util
import pathlib
import re

import nbclient
import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
SLOW = ("02_scale_freeness", "03_reproduction", "04_sparsity")
KILOBYTES = 400


def load_runner():
    """``notebooks/execute.py``, which is a script and no package's module."""
    spec = importlib.util.spec_from_file_location("execute_notebooks", FOLDER / "execute.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load_runner()
every = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
marked = [
    pytest.param(source, marks=[pytest.mark.slow] if source.stem in SLOW else [], id=source.stem)
    for source in SOURCES
]


def committed(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def test_there_are_notebooks():
    assert len(SOURCES) >= 3


@every
def test_the_two_forms_are_one_notebook(source):
    cells = [
        [(cell.cell_type, cell.source) for cell in notebook.cells]
        for notebook in (runner.read(source), committed(source))
    ]
    assert cells[0] == cells[1], "run: make notebooks"


@every
def test_committed_notebook_was_executed(source):
    notebook = committed(source)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    images = [
        output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})
    ]
    assert images and all(base64.b64decode(i).startswith(b"\x89PNG") for i in images)


@every
def test_notebook_is_small_opens_anywhere_and_links_to_files(source):
    path = source.with_suffix(".ipynb")
    assert path.stat().st_size < 1000 * KILOBYTES
    notebook = committed(source)
    assert notebook.metadata.kernelspec.name == "python3"
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert "colab" not in text.lower()  # no address of the project has been confirmed
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https:")]
    assert all((FOLDER / link).is_file() for link in links), links


@pytest.mark.parametrize("source", marked)
def test_notebook_runs(source):
    """Its assertions hold, and its cells show what those of the committed one do."""
    kinds = [
        [{output.output_type for output in cell.get("outputs", [])} for cell in notebook.cells]
        for notebook in (runner.execute(source), committed(source))
    ]
    assert kinds[0] == kinds[1]


def test_a_notebook_that_raises_does_not_pass(tmp_path):
    source = tmp_path / "00_wrong.py"
    source.write_text("# %%\nassert 1 == 2\n")
    with pytest.raises(runner.CellExecutionError, match="AssertionError"):
        runner.execute(source)


PROGRESS = """
import tempfile
from adamprox.sweep import Results, run_sweep
from tests.squares import Square
run_sweep([Square(2.0), Square(3.0)], Results(tempfile.mkdtemp()), workers=0);
"""


def test_a_sweep_in_a_notebook_shows_a_progress_bar():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROGRESS)])
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(cwd=str(FOLDER.parent))
    assert not any(output.get("name") == "stderr" for output in notebook.cells[0].outputs)
    (bar,) = [state for state in client.widget_state.values() if "outputs" in state]
    assert "training" in str(bar["outputs"])

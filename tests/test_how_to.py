"""The how-to pages, followed word by word in a copy of the project; their code passes the linter."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "how_to").glob("*.md"))
PAGE = (ROOT / "docs" / "how_to" / "add_a_prox.md").read_text(encoding="utf-8")


def function(page, name):
    """A function that a page writes, as a file has it."""
    session = page[page.index(f">>> def {name}") :].splitlines()
    end = next(n for n, line in enumerate(session[1:], 1) if not line.startswith("..."))
    return "\n".join(line[4:] for line in session[:end])


def insert(path, before, text):
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1, f"{path.name} must hold {before!r} once"
    path.write_text(old.replace(before, text + before), encoding="utf-8")


def follow(copy):
    """Steps 1 to 3 of the page."""
    package, tables = copy / "adamprox" / "prox", copy / "tests" / "penalties.py"
    with (package / "penalties.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{function(PAGE, 'pinball')}\n")
    insert(package / "penalties.py", "    check_weight,\n", "    check_real,\n")
    line = "from adamprox.prox.penalties import"
    insert(package / "__init__.py", f"{line} sparse_group", f"{line} pinball as pinball\n")
    insert(
        copy / "docs" / "api" / "prox.md", ".. autofunction:: huber", ".. autofunction:: pinball\n"
    )
    separable, convex = re.findall(r'^("pinball": .*,)  # (?:SEPARABLE|REGULARIZERS)$', PAGE, re.M)
    insert(tables, '}\n"""Of one entry at a time', f"    {separable}\n")
    insert(tables, '}\n"""Convex penalties', f"    {convex}\n")
    insert(tables, ')\n"""Those of them that have no meaning', ', "pinball"')


def copy_project(copy):
    """The files that the tests of the pages read."""
    for name in ("adamprox", "tests", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, copy)


def run(copy, *arguments):
    """The tests of the page, on the copy; their last lines."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    cache = "JAX_COMPILATION_CACHE_DIR"
    environment = {"PYTHONPATH": str(copy), "PATH": "", cache: os.environ[cache]}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout[-2000:]


def test_the_new_operator_passes_its_laws_and_a_wrong_sign_does_not(tmp_path):
    copy_project(tmp_path)
    follow(tmp_path)
    laws = ["tests/test_prox.py", "tests/test_prox_scalar.py", "-k", "pinball"]
    for arguments in (laws, ["--doctest-modules", "adamprox/prox/penalties.py"]):
        code, output = run(tmp_path, *arguments)
        assert code == 0 and "passed" in output, output
    source = tmp_path / "adamprox" / "prox" / "penalties.py"
    source.write_text(
        source.read_text().replace("jnp.clip(x, -ratio * t, t)", "jnp.clip(x, -t, ratio * t)")
    )
    code, output = run(tmp_path, *laws)
    assert code == 1 and "failed" in output, output


def test_the_new_optimizer_passes_the_contract(tmp_path):
    """Lion, which has neither Adam's moments nor its arguments, in the list of all optimizers."""
    copy_project(tmp_path)
    page = (ROOT / "docs" / "how_to" / "add_an_optimizer.md").read_text(encoding="utf-8")
    code = function(page, "lion_elastic_net").replace("adamprox.proximal", "proximal")
    module = tmp_path / "adamprox" / "optimizers.py"
    insert(module, "from typing import Any\n", "import functools\n")
    module.write_text(f"{module.read_text(encoding='utf-8')}\n\n{code}\n", encoding="utf-8")
    line = "from adamprox.optimizers import"
    insert(tmp_path / "adamprox" / "__init__.py", f"{line} adamw as", f"{line} lion_elastic_net\n")
    tests = tmp_path / "tests" / "test_optimizers.py"
    insert(tests, ')\n"""All optimizers with', '"lion_elastic_net",')
    laws = ["tests/test_optimizers.py", "-k", "lion_elastic_net"]
    code, output = run(tmp_path, *laws)
    assert code == 0 and int(re.findall(r"(\d+) passed", output)[0]) >= 10, output
    module.write_text(module.read_text().replace("schedule, mask)", "schedule)"))
    code, output = run(tmp_path, laws[0], "-k", "lion_elastic_net and mask")
    assert code == 1 and "1 failed" in output, output


IN_SESSIONS = "B015,B018,D100,D103,E401,E402,E702,I001"
"""Rules about docstrings, values that a session prints, and imports at its start."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_a_page_passes_the_linter(page):
    pytest.importorskip("ruff")
    lines = []
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        if ">>> " in block:
            lines += [line[4:] for line in block.splitlines() if line[:3] in (">>>", "...")]
        elif not block.startswith('"'):  # else rows of a table
            lines += block.splitlines()
    command = [sys.executable, "-m", "ruff", "check", "--ignore", IN_SESSIONS, "-"]
    code = "\n".join(lines) + "\n"
    done = subprocess.run(command, input=code, cwd=ROOT, capture_output=True, text=True)
    assert lines and done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_commands_of_a_page_show_how_many_tests_passed(page):
    """pyproject.toml has one -q; with a second one pytest prints no counts."""
    commands = re.findall(r"^.*pytest .*$", page.read_text(encoding="utf-8"), re.M)
    assert not [command for command in commands if re.search(r" -q+\b| --quiet\b", command)]

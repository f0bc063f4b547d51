"""The worked example of docs/how_to/add_a_prox.md, followed word by word in a copy of the project."""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how_to" / "add_a_prox.md").read_text(encoding="utf-8")


def operator():
    """The function that the page writes, as a file has it."""
    session = PAGE[PAGE.index(">>> def pinball") :].splitlines()
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
        file.write(f"\n\n{operator()}\n")
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


def run(copy, *arguments):
    """The tests of the page, on the copy; their last lines."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    done = subprocess.run(
        command, cwd=copy, env={"PYTHONPATH": str(copy), "PATH": ""}, capture_output=True, text=True
    )
    return done.returncode, done.stdout[-2000:]


def test_the_new_operator_passes_its_laws_and_a_wrong_sign_does_not(tmp_path):
    for name in ("adamprox", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
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

"""Countable style: openings of docstrings, sizes of functions and modules, import cycles."""

import ast
import functools
import graphlib
import pathlib
import re
import statistics
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("adamprox", "benchmarks", "experiments", "tools")

# Exceptions: names, each with its reason.
LONG_FUNCTIONS: dict[str, str] = {}
LONG_MODULES: dict[str, str] = {}

DOCSTRING_OPENINGS = r"(What|Whether|How|Who|Whose|That|Where|Which|Of|Likewise)\b"
ARGUMENT_OPENINGS = r"(Of|Likewise|What|Whether|As|Which)\b"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax trees of all modules, by path."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in paths
    }


def documented() -> Iterator[tuple[str, str]]:
    """Yield place and text of every docstring."""
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, DEFINITIONS) and (text := ast.get_docstring(node)):
                yield f"{path}:{getattr(node, 'lineno', 1)}", text


def described() -> Iterator[tuple[str, str]]:
    """Yield place and text of every described argument and attribute."""
    for place, text in documented():
        for section in re.findall(r"^(?:Args|Attributes):\n((?:  .*\n?|\n)+)", text, re.M):
            for name, description in re.findall(r"^  (\w+): (.*)", section, re.M):
                yield f"{place} {name}", description


def code_lines(node: ast.AST, source: list[str]) -> int:
    """Count the lines of a module or function without blank lines and docstrings."""
    skipped = set()
    for inner in ast.walk(node):
        if isinstance(inner, DEFINITIONS) and ast.get_docstring(inner) is not None:
            docstring = inner.body[0]
            skipped.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    first, last = (getattr(node, "lineno", 1), getattr(node, "end_lineno", len(source)))
    return sum(
        bool(source[number - 1].strip()) and number not in skipped
        for number in range(first, last + 1)
    )


@functools.cache
def function_lengths() -> dict[str, int]:
    """Return the number of code lines of every function, by path, name and line."""
    lengths = {}
    for path, tree in modules().items():
        source = (ROOT / path).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths[f"{path}:{node.name}:{node.lineno}"] = code_lines(node, source)
    return lengths


def module_length(path: str) -> int:
    """Return the number of code lines of a module."""
    return code_lines(modules()[path], (ROOT / path).read_text(encoding="utf-8").splitlines())


def share(texts: list[tuple[str, str]], opening: str) -> tuple[float, list[str]]:
    """Return the share of texts with a discouraged opening, and their places."""
    found = [f"{place}: {text.splitlines()[0]}" for place, text in texts if re.match(opening, text)]
    return len(found) / max(len(texts), 1), found


def imports(path: str) -> set[str]:
    """Return the paths of the modules that importing a module imports."""
    by_name = {_name(other): other for other in modules()}
    found: set[str] = set()
    for node in _run_time(modules()[path]):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            found.update(name if name in by_name else base for name in inner)
    return {by_name[name] for name in found if name in by_name} - {path}


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = pathlib.PurePath(path).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below, without those of ``if TYPE_CHECKING`` and of functions' bodies."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _run_time(child)


def test_docstrings_open_with_a_verb_or_a_noun():
    part, found = share(list(documented()), DOCSTRING_OPENINGS)
    assert part < 0.02, "\n".join(found)


def test_descriptions_of_arguments_are_noun_phrases():
    part, found = share(list(described()), ARGUMENT_OPENINGS)
    assert part < 0.04, "\n".join(found)


def test_modules_have_at_most_300_lines_of_code():
    long = {path: length for path in modules() if (length := module_length(path)) > 300}
    assert long.keys() <= LONG_MODULES.keys(), long


def test_modules_of_experiments_have_at_most_200_lines():
    paths = [path for path in modules() if path.startswith("experiments/")]
    counts = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in paths}
    long = {path: count for path, count in counts.items() if count > 200}
    assert not long


def test_functions_are_short():
    lengths = function_lengths()
    assert statistics.median(lengths.values()) <= 8
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 26
    long = {name: length for name, length in lengths.items() if length > 50}
    assert {name.rpartition(":")[0] for name in long} <= LONG_FUNCTIONS.keys(), long


@pytest.mark.parametrize("package", ["adamprox", "experiments"])
def test_no_import_cycle(package):
    inside = {path for path in modules() if path.startswith(f"{package}/")}
    graph = {path: imports(path) & inside for path in inside}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))

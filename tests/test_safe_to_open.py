"""Nothing in the code turns a file into a program: no pickle, no eval, no loader that runs what it reads."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(p for name in ("adamprox", "experiments") for p in (ROOT / name).rglob("*.py"))

MODULES = {
    "pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "torch",
    "yaml",
}
BUILTINS = {"eval", "exec", "compile", "__import__"}


def dangers(source: str) -> list[str]:
    """Return the calls in ``source`` that can run a file's content, with their lines."""
    return [
        f"line {node.lineno}: {what}"
        for node in ast.walk(ast.parse(source))
        if (what := _danger(node)) and isinstance(node, ast.stmt | ast.expr)
    ]


def _danger(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES]
        return f"import {found[0]}" if found else None
    if isinstance(node, ast.ImportFrom):
        found = node.module and node.module.partition(".")[0] in MODULES
        return f"from {node.module} import" if found else None
    return _dangerous_call(node) if isinstance(node, ast.Call) else None


def _dangerous_call(call: ast.Call) -> str | None:
    name = ast.unparse(call.func)
    if name in BUILTINS:
        return name
    first = call.args[0] if call.args else None
    if name.endswith("import_module") and isinstance(first, ast.Constant):
        return first.value if str(first.value).partition(".")[0] in MODULES else None
    for keyword in call.keywords:
        is_off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg == "allow_pickle" and not is_off:
            return f"{name}(allow_pickle=…)"
        if keyword.arg == "shell" and not is_off:
            return f"{name}(shell=…)"
    return None


OPTIMIZERS_OF_TORCH = ("torch.py", "torch_scorecard.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_run(path):
    source = path.read_text(encoding="utf-8")
    found = dangers(source)
    if path.name in OPTIMIZERS_OF_TORCH:  # torch without the functions that read a file
        assert "load(" not in source
        found = [
            danger for danger in found if ": import torch" not in danger and "torch." not in danger
        ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "def f():\n    from marshal import loads",
        "import torch.serialization",
        "import importlib\nimportlib.import_module('yaml')",
        "eval(text)",
        "x = [exec(line) for line in text]",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "subprocess.run(text, shell=True)",
        "__import__(name)",
    ],
)
def test_it_would_be_found(source):
    assert dangers(source)


def test_what_is_harmless_is_not_found():
    assert dangers("re.compile(x)\nnp.load(path, allow_pickle=False)\njson.loads(text)") == []

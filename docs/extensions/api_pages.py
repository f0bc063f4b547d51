"""``{modules} PACKAGE`` on a page of the API reference: every module of a package, and nothing twice.

What a package exports is described on its page by hand, under the name by which it is imported. The rest of its
modules is listed by the line ``{modules} PACKAGE``, so a new module cannot be forgotten.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

_LINE = re.compile(r"^\{modules\} (\S+)$", re.MULTILINE)
_BLOCK = "## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   {options}\n```\n"


def public_modules(package: str) -> Iterator[ModuleType]:
    """The modules directly in a package that are not private, nor commands, nor packages.

    Example:
      >>> "adamprox.models.resnet" in [module.__name__ for module in public_modules("adamprox.models")]
      True
    """
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(info.name)


def defined(module: ModuleType) -> dict[str, object]:
    """Public functions and classes that a module defines itself, in the order of the source."""
    found = {
        name: value
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and not name.startswith("_")
        and value.__module__ == module.__name__
    }
    return dict(sorted(found.items(), key=lambda item: inspect.getsourcelines(item[1])[1]))


def exported(package: str) -> dict[str, object]:
    """Functions and classes that a package takes from its own modules, by the name it gives them."""
    return {
        name: value
        for name, value in vars(importlib.import_module(package)).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and not name.startswith("_")
        and value.__module__.startswith(f"{package}.")
    }


def blocks(package: str) -> str:
    """Directives for what the modules of ``package`` define and it does not export."""
    shown = exported(package)
    text = []
    for module in public_modules(package):
        everything = defined(module)
        rest = [name for name, value in everything.items() if value not in shown.values()]
        if everything and not rest:
            continue
        options = [f":members: {', '.join(rest)}" if rest else ":no-members:"]
        if module.__name__.rpartition(".")[2] in shown:
            options.append(":no-index:")  # adamprox.adagrad is a module, but it means the function
        text.append(_BLOCK.format(name=module.__name__, options="\n   ".join(options)))
    return "\n".join(text)


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""

    def read(app, name, source: list[str]) -> None:
        del app, name
        source[0] = _LINE.sub(lambda match: blocks(match.group(1)), source[0])

    app.connect("source-read", read)
    return {"parallel_read_safe": True}

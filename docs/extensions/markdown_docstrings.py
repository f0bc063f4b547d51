"""Sphinx reads docstrings as reStructuredText; ours are Markdown with Google's sections.

What differs is translated before napoleon sees it: an indented block is code, ``|`` and a trailing ``_`` are
themselves.
"""

import re

_CODE = re.compile(r"(``.*?``|`[^`]*`)")
_SECTION = re.compile(r"(Args|Attributes|Example|Raises|Returns|Yields):\s*$")


def translate(lines: list[str]) -> list[str]:
    r"""A docstring's lines, as reStructuredText.

    Example:
      >>> translate(["With |x| the step is", "", "    x_t ← |x|"])
      ['With \\|x\\| the step is', '', '::', '', '    x_t ← |x|']
    """
    result: list[str] = []
    paragraph, code = "", False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        after_blank = number > 0 and not lines[number - 1].strip()
        if line.lstrip().startswith(">>>"):
            code = True
        elif not line.strip():
            code = code and _indent_after(lines, number) >= 4
        elif not code and indent >= 4 and after_blank and not _SECTION.match(paragraph):
            result += ["::", ""]
            code = True
        elif after_blank and indent < 4:
            code = False
        result.append(line if code else _escape(line))
        if line.strip() and indent == 0:
            paragraph = line
    return result


def _indent_after(lines: list[str], number: int) -> int:
    rest = [line for line in lines[number:] if line.strip() and ">>>" not in line]
    return len(rest[0]) - len(rest[0].lstrip()) if rest else 0


def _escape(line: str) -> str:
    parts = _CODE.split(line)
    for i in range(0, len(parts), 2):  # what is not between backticks
        parts[i] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", parts[i].replace("|", r"\|"))
    return "".join(parts)


def _skip(app, what, name, obj, skip, options) -> bool | None:
    """Fields of named tuples are described under Attributes; "Alias for field number 0" says nothing."""
    del app, what, skip, options
    return True if type(obj).__name__ in ("_tuplegetter", "member_descriptor") else None


def _process(app, what, name, obj, options, lines: list[str]) -> None:
    del app, what, name, obj, options
    lines[:] = translate(lines)


def setup(app) -> dict[str, bool]:
    """Called by Sphinx; napoleon's handler has priority 500."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}

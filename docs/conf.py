"""Settings of the documentation site: ``make docs`` writes it to build/docs."""

import pathlib
import shutil
import sys

import adamprox

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "adamprox"
author = "the adamprox authors"
project_copyright = author
version = release = adamprox.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "myst_nb",
    "api_pages",
    "markdown_docstrings",
    "mathml",
]
exclude_patterns = ["extensions", "figures"]
suppress_warnings = [
    "config.cache",
    "ref.python",  # a class has two names, where it is exported and where it is defined
]

# Pages are Markdown, notebooks are shown with the outputs that they were committed with.
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"

# Docstrings say types in words, with shapes and units; the annotations would only repeat them.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "py:obj"
add_module_names = False
maximum_signature_line_length = 80
copybutton_prompt_text = ">>> |\\.\\.\\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "adamprox"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"


def copy_notebooks(app) -> None:
    """Put the notebooks where Sphinx looks: it reads no file outside its folder."""
    del app
    there = HERE / "notebooks"
    there.mkdir(exist_ok=True)
    for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
        shutil.copyfile(notebook, there / notebook.name)


def link_to_copies(app, page: str, text: list[str]) -> None:
    """Links between docs/ and notebooks/ are right in the repository; on the site notebooks lie in docs/."""
    del app
    text[0] = text[0].replace("../notebooks/", "notebooks/")
    if page.startswith("notebooks/"):
        text[0] = text[0].replace("](../docs/", "](../")


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", copy_notebooks, priority=1)
    app.connect("source-read", link_to_copies)

"""The site builds without a warning, every public name is in the API reference, and scale.md is true."""

import importlib.util
import pathlib
import pkgutil
import re
import subprocess
import sys
import zlib

import pytest

import adamprox

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load(path):
    """A module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api_pages = load(DOCS / "extensions" / "api_pages.py")
PACKAGES = ["adamprox"] + [
    info.name
    for info in pkgutil.iter_modules(adamprox.__path__, "adamprox.")
    if info.ispkg and not info.name.rpartition(".")[2].startswith("_")
]


def described():
    """What the pages of the API reference describe by hand, and what packages they list."""
    names, packages = set(), set()
    for page in (DOCS / "api").glob("*.md"):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match.group(1)
            elif match := re.match(r"\.\. auto(?:function|class):: (\S+)", line):
                names.add(f"{module}.{match.group(1)}")
            elif match := re.match(r"\{modules\} (\S+)", line):
                packages.add(match.group(1))
    return names, packages


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_api_reference(package):
    """An exported one by hand, under the shortest name; the others with their module."""
    names, packages = described()
    assert package in packages, f"add the line {{modules}} {package} to a page of docs/api"
    top = {id(value) for value in api_pages.exported("adamprox").values()}
    for name, value in api_pages.exported(package).items():
        shortest = f"adamprox.{name}" if id(value) in top else f"{package}.{name}"
        assert shortest in names, f"describe {shortest} on a page of docs/api"
    listed = api_pages.blocks(package)
    shown = api_pages.exported(package).values()
    for module in api_pages.public_modules(package):
        for name, value in api_pages.defined(module).items():
            assert value in shown or re.search(rf"\b{name}\b", listed), f"{module.__name__}.{name}"


def test_nothing_is_described_that_is_not_there():
    for name in described()[0]:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as ``make docs`` builds it, without a network."""
    out = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q"]
    done = subprocess.run([*command, DOCS, out], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return out


def test_site_builds_without_warnings(site):
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        html = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert "<img" in html


def test_site_knows_the_optimizers_by_their_public_names(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = zlib.decompress(inventory).decode().splitlines()
    found = {entry.split()[0] for entry in entries}
    assert described()[0] <= found


def test_docstrings_arrive_as_they_were_written(site):
    text = (site / "api" / "prox.html").read_text(encoding="utf-8")
    assert "sign(xᵢ) · max(|xᵢ| − t, 0)" in re.sub(r"<[^>]+>", "", text)
    assert "R₀(x_S), x_rest" in re.sub(r"<[^>]+>", "", text) or "prox_{tR₀}(x_S)" in text

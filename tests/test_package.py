"""Cost of importing the package, and its promises about itself."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import adamprox

ROOT = pathlib.Path(__file__).parents[1]


def fresh(code):
    """Standard output of ``code`` in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_is_light():
    code = "import sys, jax, optax; before = set(sys.modules); import adamprox; print(*set(sys.modules) - before)"
    added = {name.split(".")[0] for name in fresh(code).split()}
    heavy = {
        "flax",
        "tensorflow_datasets",
        "matplotlib",
        "pyarrow",
        "rich",
        "sklearn",
        "orbax",
    }
    assert not added & heavy


def test_optimizer_modules_know_nothing_of_training():
    package = ROOT / "adamprox"
    names = ("transforms", "optimizers", "histograms", "adagrad", "metric", "migration")
    names += ("chains", "decays", "dual_averaging", "finite", "fista", "moments")
    rooms = [package / f"{name}.py" for name in names]
    rooms += [*(package / "prox").glob("*.py"), *(package / "scale_free").glob("*.py")]
    for room in rooms:
        text = room.read_text()
        for forbidden in (
            "flax",
            "adamprox.training",
            "adamprox.models",
            "adamprox.data",
            "adamprox.report",
        ):
            assert f"import {forbidden}" not in text and f"from {forbidden}" not in text


def test_training_does_not_import_plotting():
    loaded = fresh("import sys, adamprox.training; print('matplotlib' in sys.modules)")
    assert loaded == "False"


def test_heavy_parts_load_when_asked_for():
    assert fresh("import adamprox; print(adamprox.models.ResNet(8).depth)") == "8"


def test_fixed_names_are_there():
    names = (
        "adam_l2 adamw adamprox adamprox_l2 adamprox_l1 proximal decay_weights add_l2_gradient "
        "scale_by_adam scale_freeness update_histogram prox"
    )
    assert all(hasattr(adamprox, name) for name in names.split())


def test_the_oldest_versions_are_those_that_are_promised():
    """``make test-lowest`` installs what pyproject.toml says is enough."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    promised = [*project["dependencies"], *extras["experiments"], *extras["notebooks"]]
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    tested = {re.sub("==", ">=", line) for line in lines if not line.startswith("#")}
    assert tested == set(promised)


def test_the_paper_is_the_preferred_citation():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (title,) = re.findall(r"^preferred-citation:\n  type: article\n  title: (.*)$", text, re.M)
    assert title == "Understanding AdamW through Proximal Methods and Scale-Freeness"


def imported(path):
    """Modules and names that a Python file imports, directly or through a helper in tests/."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    helpers = [
        ROOT / "tests" / f"{name.split('.')[1]}.py" for name in names if name[:6] == "tests."
    ]
    return names.union(*(imported(helper) for helper in helpers if helper.is_file()))


def test_the_wheel_is_tested_by_all_tests_of_the_library():
    """Those that import nothing but the library, its dependencies, pytest and hypothesis."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = re.search(r"^LIBRARY := (.*?[^\\])$", makefile, re.M | re.S)
    assert listed
    free = {
        "chex",
        "hypothesis",
        "jax",
        "numpy",
        "optax",
        "pytest",
        "tests",
        *sys.stdlib_module_names,
    }
    others = r"adamprox\.(data|models|report|sweep|training)\b"
    found = {
        path.stem.removeprefix("test_")
        for path in (ROOT / "tests").glob("test_*.py")
        if (names := imported(path)) and any(re.match(r"adamprox\b", name) for name in names)
        and all(name.split(".")[0] in {*free, "adamprox"} for name in names)
        and not any(re.match(others, name) for name in names)
    }  # fmt: skip
    assert set(listed[1].replace("\\", "").split()) == found - {
        "package",  # reads the source tree
        "optax_suites",  # Optax's own tests need scikit-learn
    }


def test_the_citation_names_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {adamprox.__version__}\n" in citation
    assert f"## {adamprox.__version__} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_cleaning_keeps_records():
    command = ["make", "--dry-run", "clean"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    removed = done.stdout.split()
    assert "build" in removed and not {"runs", "results"} & set(removed)


HOSTS = {
    "arxiv.org", "docs.ray.io", "openreview.net", "optax.readthedocs.io", "pre-commit.com",
    "semver.org",
}  # fmt: skip
"""Hosts of addresses that exist; the repository and the site have no confirmed address yet."""


def test_links_go_to_confirmed_addresses():
    pages = [
        ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff")
    ]
    pages += [ROOT / "pyproject.toml", *(ROOT / "docs").glob("*.py")]
    pages += [*(ROOT / "docs").rglob("*.md"), *(ROOT / "notebooks").glob("*.*")]
    for page in pages:
        hosts = re.findall(r"https?://([\w.-]+)", page.read_text(encoding="utf-8"))
        assert set(hosts) <= HOSTS, page

"""What importing costs, and what the package promises of itself."""

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
    names += ("chains", "decays", "dual_averaging", "finite")
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

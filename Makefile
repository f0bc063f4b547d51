# `make demo` runs the experiments, `make check` all checks. Needs Python >= 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo report check test test-slow test-lowest test-wheel dist lint format benchmark notebooks docs clean

# Parts of the suite that need the library's own dependencies, pytest and hypothesis alone.
LIBRARY := adagrad chains composition decays dual_averaging finite fista histograms \
  interruption migration optimizers problems prox prox_identities prox_nonconvex \
  prox_ordered prox_projections prox_quantization prox_range prox_scalar prox_sparsity \
  prox_spectral quantization scale_free scale_free_torch scale_free_varying transforms

demo: $(INSTALLED)
	$(BIN)/python -m experiments all --preset demo --out runs/demo

# Every figure and table of README, docs and results/, from the committed records.
report: $(INSTALLED)
	$(BIN)/python -m tools.reproduction

# Runs notebooks/*.py and writes the .ipynb beside each, with outputs.
notebooks: $(INSTALLED)
	$(BIN)/python notebooks/execute.py

# The site, in build/docs/index.html; a warning is an error.
docs: $(INSTALLED)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --jobs auto docs build/docs

benchmark: $(INSTALLED)
	$(BIN)/python -m benchmarks.optimizer_step
	$(BIN)/python -m benchmarks.convolution
	$(BIN)/python -m benchmarks.training_step

# Everything that must pass before a commit.
check: lint test

test: $(INSTALLED)
	$(BIN)/python -m pytest

# Tests that take minutes each, compiled as for users; `make test` skips them.
test-slow: $(INSTALLED)
	XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(BIN)/python -m pytest -m 'slow and not gpu'

# The suite with the oldest versions that pyproject.toml allows; their warnings are ignored.
test-lowest: .venv-lowest/installed
	XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0 .venv-lowest/bin/python -m pytest -o filterwarnings=ignore \
	  --ignore tests/test_documentation.py --ignore tests/test_notebooks.py \
	  --ignore docs/extensions/mathml.py

# A wheel and a source archive, in dist/.
dist:
	rm -rf dist
	$(PYTHON) -m venv build/venv
	build/venv/bin/python -m pip install --quiet build
	build/venv/bin/python -m build

# The library's tests with the wheel, in an empty environment and without the package's sources,
# compiled as for users (see tests/conftest.py).
test-wheel: dist
	rm -rf build/wheel
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --constraint constraints.txt \
	  dist/*.whl hypothesis pytest pytest-xdist
	cp -R README.md constraints.txt docs pyproject.toml tests build/wheel
	cd build/wheel && XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0 venv/bin/python -m pytest README.md docs/migration.md \
	  $(LIBRARY:%=tests/test_%.py)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[experiments,dev]'
	@touch $@

.venv-lowest/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt \
	  --editable '.[experiments]' hypothesis pytest pytest-xdist
	@touch $@

# Keeps runs/, whose records took hours.
clean:
	rm -rf $(VENV) .venv-lowest build dist docs/notebooks .pytest_cache .ruff_cache .hypothesis

"""PyTorch optimizers under the scale-freeness test: a double without torch, and torch where installed."""

import contextlib
import pathlib
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamprox
from adamprox.scale_free import Verdict
from adamprox.scale_free.__main__ import main
from adamprox.scale_free.torch import TorchOptimizer, optimizer

ROOT = pathlib.Path(__file__).parents[1]
EXACT, TOLERANCE, FIRST, NO, NOT_TESTED = Verdict


class Parameter:
    """The part of torch.nn.Parameter that the adapter uses."""

    def __init__(self, data):
        self.data, self.grad = data, None

    def detach(self):
        return SimpleNamespace(numpy=lambda: self.data)


class Double(TorchOptimizer):
    """The adapter around plain NumPy: step(parameter, gradient, state of this run)."""

    def __init__(self, step):
        stance = SimpleNamespace(set_stance=lambda name: contextlib.nullcontext())
        nn = SimpleNamespace(Parameter=Parameter)
        fake = SimpleNamespace(
            manual_seed=lambda seed: None, nn=nn, tensor=np.array, compiler=stance
        )

        def make(parameters):
            states = [{} for _ in parameters]

            def advance():
                for p, state in zip(parameters, states, strict=True):
                    p.data = (p.data - np.float32(0.01) * step(p.grad, state)).astype(p.data.dtype)

            return SimpleNamespace(step=advance)

        super().__init__(make, fake)

    def _coarsest_unit(self, params, gradients):
        return 0.0


def momentum_sign(gradient, state):
    state["m"] = 0.9 * state.get("m", 0.0) + gradient
    return np.sign(state["m"])


@pytest.mark.parametrize(
    ("step", "verdicts"),
    [
        (lambda g, state: g, (NO, NO, NO)),
        (lambda g, state: np.sign(g), (EXACT, EXACT, EXACT)),
        (momentum_sign, (EXACT, EXACT, FIRST)),
        (lambda g, state: g / (abs(g) + np.float32(1e-8)), (TOLERANCE, TOLERANCE, TOLERANCE)),
    ],
)
def test_known_answers_without_torch(step, verdicts):
    found = adamprox.scale_freeness(Double(step))
    assert (found.verdict, found.global_rescaling, found.time_varying.verdict) == verdicts
    assert found.misuse == ()


def test_an_error_of_the_optimizer_is_the_reason():
    def fail(gradient, state):
        raise RuntimeError("a matrix is needed")

    found = adamprox.scale_freeness(Double(fail))
    assert found.verdict is NOT_TESTED and "a matrix is needed" in found.reason
    half = {"w": jnp.ones(3, jnp.bfloat16)}
    found = adamprox.scale_freeness(Double(lambda g, state: g), params=half)
    assert "must be float32 or float64 for torch, got bfloat16" in found.reason


def test_without_torch_one_line_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"^torch is missing: pip install torch$"):
        optimizer(lambda params: None)
    pytest.importorskip("rich")  # which the command needs
    assert main(["--torch", "--out", str(tmp_path / "card.md")]) == 2
    assert capsys.readouterr().err == "torch is missing: pip install torch\n"


def test_committed_scorecard_of_torch_has_a_hundred_verdicts():
    page = (ROOT / "docs" / "torch_scorecard.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    tested = [row for row in rows if row[2] != "not tested"]
    assert len(tested) >= 100 and len({row[0] for row in rows}) == len(rows)
    assert f"{len(tested)} of {len(rows)} could be tested" in page
    for library in ("torch", "timm", "pytorch_optimizer"):
        assert any(row[0].startswith(f"`{library}.") for row in tested)


def adam_of_torch(**arguments):
    torch = pytest.importorskip("torch")
    return lambda params: torch.optim.Adam(params, lr=0.01, **arguments)


def test_iterates_are_those_of_optax():
    tx = optimizer(adam_of_torch())
    x = y = {"w": jnp.array([1.0, -2.0])}
    ours, gradients = optax.adam(0.01), np.float32([[1, 2], [0.5, -1], [3, 1]])
    state = ours.init(x)
    steps = tx.iterates([np.asarray(y["w"])], [[g] for g in gradients])
    for (theirs,), g in zip(steps, gradients, strict=True):
        updates, state = ours.update({"w": jnp.asarray(g)}, state, x)
        x = jax.tree.map(jnp.add, x, updates)
        assert np.allclose(theirs, x["w"], atol=1e-6)


def test_known_answers_of_torch():
    balanced = adamprox.scale_freeness(optimizer(adam_of_torch(betas=(0.9, 0.9), eps=0.0)))
    assert (balanced.verdict, balanced.time_varying.verdict) == (EXACT, FIRST)
    torch = pytest.importorskip("torch")
    sgd = adamprox.scale_freeness(optimizer(lambda params: torch.optim.SGD(params, lr=0.01)))
    assert (sgd.verdict, sgd.time_varying.verdict) == (NO, NO)


def test_rounding_inside_of_a_step_of_torch_is_no_scale():
    """Muon multiplies matrices in bfloat16."""
    torch = pytest.importorskip("torch")
    muon = optimizer(lambda params: torch.optim.Muon(params, lr=0.01, weight_decay=0.0))
    found = adamprox.scale_freeness(muon, params={"w": jnp.ones((4, 3))})
    assert found.global_rescaling is not NO and found.rounding > 1e-3


def test_rows_of_the_committed_scorecard_of_torch():
    torch = pytest.importorskip("torch")
    from adamprox.scale_free.torch_scorecard import torch_entries, torch_markdown, torch_scorecard

    page = (ROOT / "docs" / "torch_scorecard.md").read_text(encoding="utf-8")
    if f"torch {torch.__version__.partition('+')[0]}" not in page:
        pytest.skip("the committed scorecard is that of another torch")
    chosen = [e for e in torch_entries() if e.name in ("torch.SGD", "torch.LBFGS", "torch.Adagrad")]
    lines = torch_markdown(torch_scorecard(chosen)).splitlines()[-3:]
    assert set(lines) <= set(page.splitlines())


def defects():
    page = (ROOT / "docs" / "torch_optimizers.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)


@pytest.mark.parametrize("source", defects(), ids=range(len(defects())))
def test_the_page_on_torch_says_what_happens(source):
    """Every block prints what its comments after ``# prints`` say."""
    for name in ("torch", "timm", "pytorch_optimizer"):
        if name in source:
            pytest.importorskip(name)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"# prints (.*)$", source, re.M)
    code = [line for line in source.splitlines() if line and not line.startswith("# prints")]
    assert len(code) <= 10

"""Users' optimizers: their names, their trial, and the runs that `compare` and filters choose."""

import functools
import importlib
import re
import sys

import jax.numpy as jnp
import pytest

from adamprox.report.claims import Verdict
from adamprox.report.plots import COLORS, LABELS
from adamprox.sweep import Record, Results, run_key, run_sweep
from adamprox.training import TrainingRun
from adamprox.training.checkpoints import Checkpoints, digest
from adamprox.training.imported import imported, optimizer_name
from adamprox.training.loop import epochs
from experiments.__main__ import main
from experiments.comparison import AGAINST, compared
from experiments.presets import PRESETS
from experiments.protocol import Records
from experiments.registry import find
from experiments.runner import run
from tests.squares import QUIET

SOURCE = """
import adamprox, jax, optax

def make_tx(learning_rate, weight_decay):
    return adamprox.adamw(learning_rate, weight_decay=weight_decay)

def branches(learning_rate, weight_decay):
    return optax.sgd(learning_rate) if weight_decay > 0 else optax.sgd(0.1)

def deeper(learning_rate, weight_decay):
    add_axis = optax.GradientTransformation(
        lambda params: optax.EmptyState(),
        lambda u, s, p=None: (jax.tree.map(lambda x: x[..., None], u), s))
    return optax.chain(optax.sgd(learning_rate), add_axis)

def widens(learning_rate, weight_decay):
    return optax.GradientTransformation(
        lambda params: jax.numpy.int32(0), lambda u, s, p=None: (u, jax.numpy.float32(1)))

def huge(learning_rate, weight_decay):
    return optax.sgd(learning_rate * 1e30)

def broadcasts(learning_rate, weight_decay):
    return optax.stateless(lambda u, params=None: jax.tree.map(lambda x: x.mean(), u))

def positional(lr, wd):
    return optax.sgd(lr)

def takes_any(**given):
    return make_tx(**given)

def careful(learning_rate, weight_decay):
    return optax.apply_if_finite(make_tx(learning_rate, weight_decay), 5)

def noisy(learning_rate, weight_decay):
    return optax.chain(optax.add_noise(0.1, 0.55, 0), optax.sgd(learning_rate))

def leaves(learning_rate, weight_decay):
    raise SystemExit(7)

constant = 3
"""
TINY = {"network": "mlp", "depth": 2, "train_size": 64, "epochs": 2}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The path of a module that can be imported as ``mine``."""
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("mine", None)
    imported.cache_clear()


def test_an_edited_optimizer_has_another_name_and_key(module):
    first = optimizer_name("mine:make_tx")
    assert first == optimizer_name("mine:make_tx") and first.startswith("mine:make_tx#")
    imported(first)
    module.write_text(SOURCE + "\n# edited\n")
    second = optimizer_name("mine:make_tx")
    one, other = (TrainingRun.of(**TINY, optimizer=name) for name in (first, second))
    assert run_key(one) != run_key(other)
    imported.cache_clear()
    with pytest.raises(ValueError, match=r"has changed, it is mine:make_tx#"):
        imported(first)
    assert LABELS[first] == "make_tx" and COLORS[first].startswith("#")


def test_a_function_that_another_module_defines_counts_too(module):
    (module.parent / "wrapper.py").write_text("from mine import make_tx\n")
    first = optimizer_name("wrapper:make_tx")
    module.write_text(SOURCE + "\n# edited\n")
    assert optimizer_name("wrapper:make_tx") != first
    sys.modules.pop("wrapper")


def test_the_name_is_the_same_in_another_folder(tmp_path, monkeypatch):
    """The paths of the two files sort one way and then the other."""
    names = set()
    for folders in (("a", "b"), ("d", "c")):
        texts = {"wrapper": "from mine import make_tx\n", "mine": SOURCE}
        for folder, (name, text) in zip(folders, texts.items(), strict=True):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / f"{name}.py").write_text(text)
            monkeypatch.syspath_prepend(tmp_path / folder)
        names.add(optimizer_name("wrapper:make_tx"))
        for name in texts:
            del sys.modules[name]
    assert len(names) == 1


def test_an_imported_optimizer_trains_as_its_recipe(module, tmp_path):
    """Also in a worker process."""
    run = TrainingRun.of(**TINY, optimizer=optimizer_name("mine:make_tx"))
    (found,) = run_sweep([run], Results(tmp_path / "out"), workers=1, console=QUIET)
    expected = run.with_options(optimizer="adamw").run()
    assert jnp.allclose(jnp.array(found["train_loss"]), jnp.array(expected["train_loss"]))
    assert TrainingRun.from_columns(found) == run


def test_counters_that_depend_on_the_gradient_belong_to_a_run(module):
    """`optax.apply_if_finite` counts the steps of each run whose gradient was not finite."""
    run = TrainingRun.of(**TINY, optimizer=optimizer_name("mine:careful"))
    run.check()
    other = run.with_options(learning_rate=3e-3)
    together = dict(TrainingRun.run_together([run, other]))
    for each in (run, other):
        expected = each.with_options(optimizer="adamw").run()["train_loss"]
        assert together[each]["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_an_edited_optimizer_trains_the_new_code(module):
    losses = []
    for source in (SOURCE, SOURCE.replace("adamprox.adamw(learning_rate", "adamprox.adamw(0.0")):
        module.write_text(source)
        run = TrainingRun.of(**TINY, optimizer=optimizer_name("mine:make_tx"))
        losses.append(run.run()["train_loss"])
    assert losses[0] != losses[1]
    module.write_text("def broken(:")
    for _ in range(2):  # the old function must not get the name of the broken file
        with pytest.raises(ValueError, match=r"SyntaxError"):
            optimizer_name("mine:make_tx")
    module.write_text("# coding: latin-1\n# \xe9\n" + SOURCE, encoding="latin-1")
    assert optimizer_name("mine:make_tx").startswith("mine:make_tx#")


def test_an_interrupted_run_with_a_random_optimizer_continues(module, tmp_path):
    """Its state has a typed key of JAX."""
    run = TrainingRun.of(**TINY, optimizer=optimizer_name("mine:noisy"))
    run.check()

    def trained(name):
        kept = Checkpoints(tmp_path / name, "noisy", every=0)
        method, seeds = [run.hyperparameters], [run.seed]
        return epochs(run.program, method, run.schedule, seeds=seeds, init_seed=0, checkpoints=kept)

    *_, whole = trained("whole")
    next(trained("parts"))
    *_, last = trained("parts")
    assert (tmp_path / "parts" / "2").exists()
    assert digest(last.state) == digest(whole.state)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine:branches", "as traced arrays.* fails: TracerBoolConversionError"),
        ("mine:deeper", "fails: ValueError: Incompatible shapes"),
        ("mine:widens", "fails: a step changes shapes or dtypes"),
        ("mine:broadcasts", "fails: its updates have other shapes than the parameters"),
        ("mine:leaves", "fails: SystemExit: 7"),
        ("mine:positional", "keywords learning_rate and weight_decay alone, got 'mine:positional'"),
        ("optax:sgd", "got 'optax:sgd' .*unexpected keyword argument 'weight_decay'"),
        ("os.path:join", "keywords learning_rate and weight_decay alone, got 'os.path:join'"),
        ("ends:make_tx", r"can be imported, got 'ends:make_tx' \(SystemExit: 3\)"),
        ("adamw", "must be different optimizers, got adamw twice"),
        ("mine:constant", "must be a function, got 'mine:constant'"),
        ("mine:nothing", "can be imported, got 'mine:nothing'"),
        ("nowhere:make_tx", "can be imported, got 'nowhere:make_tx'"),
        ("mine:", "MODULE:FUNCTION, got 'mine:'"),
        ("adamm", "MODULE:FUNCTION or one of .*, got 'adamm'; did you mean adamw"),
    ],
)
def test_what_is_no_optimizer_is_refused_in_one_line(module, name, message, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "ends.py").write_text("raise SystemExit(3)")
    argv = ["compare", "--optimizer", name, "--preset", "smoke", "--network", "DenseNet"]
    assert main([*argv, "--out", str(out), "--workers", "0"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not out.exists()
    assert re.search(message, error), error


def synthetic(protocol, study, error):
    """Records of all runs of a study, with an error for each."""
    return Records.by_key(
        Record(
            {
                **run.config(),
                "key": run_key(run),
                "kind": run.kind,
                "final_test_error": error(run),
                "test_examples": 1285,
                "update_histogram": [[1] * 28],
                "epoch": [1],
                "train_loss": [1.0],
                "test_error": [error(run)],
            }
        )
        for run in study.runs
    )


@pytest.mark.parametrize(("lead", "verdict"), [(0.2, "reproduced"), (-0.2, "not reproduced")])
def test_a_comparison_judges_the_difference_with_its_margin(module, lead, verdict):
    demo = PRESETS["demo"]
    experiment = compared("mine:make_tx", ["adamw", "adam_l2"], [])
    study = experiment.study(demo, Records())
    assert len({run.optimizer for run in study.runs}) == 3
    records = synthetic(demo, study, lambda run: 0.5 - lead * ("mine" in run.optimizer))
    judged = experiment.study(demo, records)
    claims = judged.claims()
    assert [claim.verdict for claim in claims] == 2 * [Verdict(verdict)]
    assert "The second minus the first is " in claims[0].note
    assert next(what for _, what in judged.headline()).startswith("lead of make_tx over AdamW")
    grids = [
        {r.method.optimizer: 1 for r in study.runs if r.weight_decay == w} for w in (0.0, 0.03)
    ]
    assert all(len(grid) == 3 for grid in grids)
    assert {figure.name for figure in judged.figures()} == {
        f"compare_mine@make_tx_resnet_20_{part}" for part in ("heatmaps", "curves", "histograms")
    }


@pytest.mark.parametrize(
    ("new", "against", "names"),
    [
        ("adamprox", ["adamw"], None),
        ("mine:make_tx", ["adamprox"], "make_tx"),
        ("adamprox", ["adamw", "mine:make_tx"], "make_tx"),
        ("mine:make_tx", ["mine:takes_any"], "make_tx and takes_any"),
    ],
)
def test_a_caption_names_the_optimizers_whose_updates_include_the_decay(
    module, new, against, names
):
    demo, experiment = PRESETS["demo"], compared(new, against, [])
    records = synthetic(demo, experiment.study(demo, Records()), lambda run: 0.5)
    heatmaps, *_ = experiment.study(demo, records).figures()
    found = re.findall(r"update histograms of (.*) include weight decay", heatmaps.caption)
    assert found == ([names] if names else [])
    assert names or "include" not in heatmaps.caption


def test_hyperparameters_are_passed_by_keyword(module):
    (module.parent / "turned.py").write_text(
        "import mine\ndef make_tx(*, weight_decay, learning_rate, b1=0.9):\n"
        "    return mine.make_tx(learning_rate, weight_decay)\n"
    )
    run = TrainingRun.of(**TINY, optimizer="adamw")
    expected = run.run()["train_loss"]
    for name in ("turned:make_tx", "mine:takes_any"):
        found = run.with_options(optimizer=optimizer_name(name)).run()
        assert jnp.allclose(jnp.array(found["train_loss"]), jnp.array(expected))
    sys.modules.pop("turned")


def test_comparisons_have_names_of_their_own(module):
    (module.parent / "other.py").write_text("from mine import make_tx\n")
    mine, other = "mine:make_tx", "other:make_tx"
    each = [
        compared(mine, ["adamw", "adam_l2"], []),
        compared(other, ["adamw", "adam_l2"], []),
        compared(mine, ["adamw"], []),
        compared(mine, ["adamw", "adam_l2"], ["ResNet-20"]),
        compared(mine, [other], []),
        compared(mine, [other, "adamw", "adam_l2", "adamprox", "adamprox_l1", "adamprox_l2"], []),
    ]
    names = [experiment.name for experiment in each]
    assert names[:5] == [
        "compare_mine@make_tx",
        "compare_other@make_tx",
        "compare_mine@make_tx,vs,adamw",
        "compare_mine@make_tx,on,ResNet-20",
        "compare_mine@make_tx,vs,other@make_tx",
    ]
    assert len(names[5]) < 100 and len(set(names)) == 6
    demo = PRESETS["demo"]
    (claim,) = each[4].study(demo, Records()).claims()
    assert "mine:make_tx's test error is lower than other:make_tx's" in claim.statement
    records = synthetic(demo, each[4].study(demo, Records()), lambda run: 0.5)
    curves = each[4].study(demo, records).figures()[1].canvas
    legend = [text.get_text().partition(",")[0] for text in curves.axes[0].get_legend().texts]
    assert legend == [mine, other]
    with pytest.raises(ValueError, match="must be different optimizers, got mine:make_tx twice"):
        compared(mine, ["adamw", mine], [])
    sys.modules.pop("other")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a_b:c", AGAINST, []), ("a:b_c", AGAINST, [])),
        (("a:b_vs_adamw", AGAINST, []), ("a:b", ["adamw"], [])),
        (("a:b", ["c:d", "e_f:g"], []), ("a:b", ["c:d_e", "f:g"], [])),
        (("a:b_on_R", AGAINST, []), ("a:b", AGAINST, ["R"])),
        (("a:b_vs", ["c:d"], []), ("a:b", ["vs_c:d"], [])),
        (("a.b:c", AGAINST, []), ("a:b.c", AGAINST, [])),
        (("a:b", AGAINST, ["R 1"]), ("a:b", AGAINST, ["R_1"])),
    ],
)
def test_no_two_comparisons_share_a_page(one, other, monkeypatch):
    monkeypatch.setattr("experiments.comparison.optimizer_name", lambda reference: reference)
    assert compared(*one).name != compared(*other).name


def test_a_comparison_without_a_finished_run_says_so(module, tmp_path, capsys):
    (module.parent / "other.py").write_text("from mine import huge\n")
    argv = ["compare", "--optimizer", "mine:huge", "--against", "other:huge", "--preset", "smoke"]
    assert main([*argv, "--network", "DenseNet", "--workers", "0", "--out", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "all diverged: every run of mine:huge and other:huge, DenseNet" in printed
    sys.modules.pop("other")


def test_filters_choose_runs_and_keep_the_other_records(tmp_path, capsys):
    argv = ["fig05", "--preset", "smoke", "--workers", "0", "--out", str(tmp_path)]
    some = ["--optimizer", "adamw", "--grid-point", "1e-3,0"]
    assert main([*argv, *some, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("adamw; α 1e-3; λ 0;") == 2
    assert main([*argv, *some]) == 0
    assert "claims: 2 not run" in capsys.readouterr().err
    records = list(Results(tmp_path / "records").each(TrainingRun.kind))
    assert {(r.optimizer, r.learning_rate, r.weight_decay) for r in records} == {("adamw", 1e-3, 0)}
    for wrong, message in (
        (["--optimizer", "lion"], "optimizer must be one of fig05 (adamprox, adamw), got 'lion'"),
        (["--grid-point", "1e-3,1"], "grid-point must be one of fig05 (0.001,0 0.001,0.003)"),
        (["--grid-point", "1"], "--grid-point must be α,λ as in 1e-3,0, got '1'"),
        (["--network", "ResNet20"], "at this preset, got 'ResNet20'; did you mean ResNet-20?"),
    ):
        assert main([*argv, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_page_of_some_runs_leaves_out_experiments_without_records(tmp_path):
    """Figure 1 has one record, which a selection by optimizer does not execute."""
    smoke = PRESETS["smoke"]
    both = [experiment for name in ("fig01", "fig06") for experiment in find(name, smoke)]
    condition = lambda run: getattr(run, "optimizer", "") == "adamw"  # noqa: E731
    runner = functools.partial(run_sweep, workers=0)
    found = run(both, smoke, tmp_path, runner=runner, console=QUIET, only=condition)
    assert found.page.is_file() and {claim.section for claim in found.claims} == {"§5, Fig. 6"}


def test_the_default_network_is_the_first_of_the_preset():
    study = compared("optax:lion", ["adamw"], []).study(PRESETS["reduced"], Records())
    assert {run.network.depth for run in study.runs} == {20}
    with pytest.raises(
        ValueError, match=r"network must be one of ResNet-20 at this preset, got 'R'"
    ):
        compared("optax:lion", ["adamw"], ["R"]).study(PRESETS["demo"], Records())


def test_a_module_without_source_is_refused():
    assert importlib.import_module("math")
    with pytest.raises(ValueError, match="optimizer must"):
        optimizer_name("math:sqrt")

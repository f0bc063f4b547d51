"""Runs at once: as each alone, whatever their optimizers, seeds and fates; resumed bit for bit."""

import collections
import contextlib
import dataclasses
import json
import re
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adamprox.sweep import OutOfTimeError, Results, run_key, run_sweep
from adamprox.sweep.device import _Files, _Groups, run_on_device
from adamprox.sweep.grouping import composition, next_group
from adamprox.sweep.local import run_local
from adamprox.training import TrainingRun, throughput
from adamprox.training.batching import sequential, vectorized
from adamprox.training.compiled_network import classic_random
from adamprox.training.loop import epochs, train
from adamprox.training.program import compile_program
from adamprox.training.recipes import ELEMENTWISE, RECIPES
from adamprox.training.specs import ImageSpec, MLPSpec, Program, ResNetSpec, Schedule
from adamprox.training.step import Hyperparameters
from tests.squares import QUIET

IMAGES = ImageSpec("digits", train_size=64, batch_size=32)
MLP = MLPSpec(depth=3)
# A vectorized convolution takes minutes to compile on a CPU. Sequential groups are in the sweeps below.
SLOW = pytest.mark.slow
NETWORKS = [
    pytest.param(MLP, id="mlp"),
    pytest.param(ResNetSpec(depth=8), id="resnet", marks=SLOW),
    pytest.param(ResNetSpec(depth=8, batch_norm=True), id="resnet with BatchNorm", marks=SLOW),
]


def together(program, hps, seeds, way, monkeypatch, count=2, **options):
    monkeypatch.setattr("adamprox.training.program.batching", lambda runs: way)
    *_, last = epochs(program, hps, Schedule(count, **options), seeds=seeds, init_seed=0)
    monkeypatch.undo()
    return [last.run(k) for k in range(len(hps))]


def check_equal(ours, theirs, rel):
    assert len(ours.history) == len(theirs.history)
    for mine, its in zip(ours.history, theirs.history, strict=True):
        assert mine.diverged_step == its.diverged_step
        for name in ("train_loss", "test_loss"):
            assert getattr(mine, name) == pytest.approx(getattr(its, name), rel=rel, nan_ok=True)
        assert sum(mine.update_histogram) == sum(its.update_histogram)
        if mine.epoch == 1:  # later, rounding has driven the runs apart
            moved = np.abs(np.subtract(mine.update_histogram, its.update_histogram)).sum()
            assert moved <= 0.004 * sum(its.update_histogram)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("way", [vectorized, pytest.param(sequential, marks=SLOW)])
@pytest.mark.parametrize("one_order", [True, pytest.param(False, marks=SLOW)])
def test_runs_at_once_are_as_each_alone(network, way, one_order, monkeypatch):
    """With three optimizers, three losses, augmentation, one that diverges, and a smaller last batch."""
    optimizers = ("adamw", "adamw", "adam_l2", "adamprox")
    images = dataclasses.replace(IMAGES, train_size=70, augment=True)
    program = Program(images, network, optimizers, one_order)
    hps = [Hyperparameters(a, 1e-3, m) for a, m in ((1e-3, 1), (1e30, 1), (3e-3, 10), (2e-3, 1))]
    seeds = [3] * 4 if one_order else [0, 1, 0, 2]
    ours = together(program, hps, seeds, way, monkeypatch)
    for k, optimizer in enumerate(optimizers):
        single = program._replace(optimizers=(optimizer,), one_order=True)
        alone = train(single, hps[k], Schedule(2), seed=seeds[k], init_seed=0)
        check_equal(ours[k], alone, rel=1e-4)
        first = alone.history[0], ours[k].history[0]
        if not first[0].diverged_step:
            assert first[0].train_loss == pytest.approx(first[1].train_loss, rel=1e-5)
            distance = jax.tree.map(
                lambda a, b: np.abs(a - b).max(), alone.variables, ours[k].variables
            )
            assert max(jax.tree.leaves(distance)) < 2e-2
    assert ours[1].history[-1].diverged_step > 0


SOME = ("sgd", "adamprox_group")


@pytest.mark.parametrize(
    "names", [SOME, pytest.param(tuple(RECIPES), marks=SLOW)], ids=["some", "all"]
)
def test_every_recipe_can_be_in_a_group(names, monkeypatch):
    hps = [Hyperparameters(1e-3, 1e-3, 1.0)] * len(names)
    program = Program(IMAGES, MLP, names)
    ours = together(program, hps, [0] * len(names), vectorized, monkeypatch)
    for k, name in enumerate(names):
        alone = train(
            program._replace(optimizers=(name,)), hps[k], Schedule(2), seed=0, init_seed=0
        )
        check_equal(ours[k], alone, rel=1e-4)


def _equations(jaxpr, inside=False):
    """Every equation of a traced program, and whether it is inside of a loop."""
    for equation in jaxpr.eqns:
        yield equation, inside
        loops = inside or equation.primitive.name in ("while", "scan")
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                item = getattr(item, "jaxpr", item)
                if hasattr(item, "eqns"):
                    yield from _equations(item, loops)


@pytest.mark.parametrize("depth", [8, pytest.param(56, marks=SLOW)])
def test_the_loop_over_steps_has_no_scatter_and_no_condition_on_a_run(depth):
    """A scatter's atomics collide in 28 bins; a condition on a run becomes a choice of everything."""
    program = Program(
        dataclasses.replace(IMAGES, augment=True),
        ResNetSpec(depth=depth),
        ("adamw", "adamw", "adam_l2"),
    )
    compiled = compile_program(program, way=vectorized)
    hps = Hyperparameters(*jnp.ones((3, 3)))
    state = jax.eval_shape(compiled.start, compiled.network.init(0), hps)
    arguments = state, hps, jnp.zeros(3, jnp.int32), 1, compiled.network.pool
    found = collections.Counter(
        (e.primitive.name, inside)
        for e, inside in _equations(jax.make_jaxpr(compiled.epoch)(*arguments).jaxpr)
    )
    assert found["while", False] >= 1 and found["gather", True] >= 1
    scatters = [name for name, inside in found if "scatter" in name and inside]
    assert scatters == [] and any("scatter" in name for name, _ in found)
    counters = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim == 0]
    assert len(counters) > 1 and {leaf.dtype for leaf in counters} == {jnp.dtype("int32")}


def _epoch_on_a_gpu(runs, **options):
    """StableHLO of the epoch of some runs, lowered for an NVIDIA GPU."""
    program = Program(IMAGES, ResNetSpec(depth=8), ("adamw",) * runs)
    compiled = compile_program(program, way=vectorized, **options)
    hps = Hyperparameters(*jnp.ones((3, runs)))
    state = jax.eval_shape(compiled.start, compiled.network.init(0), hps)
    arguments = state, hps, jnp.zeros(runs, jnp.int32), 1, compiled.network.pool
    return compiled.epoch.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()


def test_convolutions_of_runs_at_once_are_what_a_gpu_has_kernels_for():
    """Kernel gradients in groups of the batch, no stride, and no kernel of the size of an image."""
    runs, layers = 3, 7
    found = re.findall(r"stablehlo\.convolution.*", _epoch_on_a_gpu(runs))
    gradients = [f for f in found if "dim_numbers = [f, 0, 1, b]" in f]
    forward = [f for f in found if f not in gradients]
    assert len(gradients) == layers and len(forward) == 2 * layers - 1
    in_groups = [f"batch_group_count = {runs} " in f for f in gradients]
    assert sum(in_groups) == layers - 1  # the first layer has the same images for all
    kernels = {re.search(r", tensor<(\d+x\d+)x", f)[1] for f in forward}  # pyright: ignore
    assert kernels == {"3x3", "2x2"}
    assert all("stride = [1, 1]" in f and "lhs_dilate = [1, 1]" in f for f in found)


def test_parameters_as_vectors_are_updated_as_the_pytree():
    """One run diverges, and the state has its old structure."""
    names = ("adam_l2", "adamprox_l1", "adamw", "proxgen", "scale_free_adam_l2", "sgd", "sgd")
    assert {*names} < ELEMENTWISE
    program = Program(dataclasses.replace(IMAGES, augment=True), MLP, names)
    runs = len(names)
    alphas = jnp.full(runs, 1e-3).at[-1].set(1e30)
    hps = Hyperparameters(alphas, jnp.full(runs, 1e-3), jnp.ones(runs))
    results = []
    for vectors in (False, True):
        compiled = compile_program(program, way=sequential, vectors=vectors)
        state = compiled.start(compiled.network.init(0), hps)
        results.append(
            classic_random(
                compiled.epoch, state, hps, jnp.zeros(runs, jnp.int32), 1, compiled.network.pool
            )
        )
    (tree, sums, first), (vector, *others) = results
    np.testing.assert_array_equal(tree.diverged_step, vector.diverged_step)
    assert np.flatnonzero(tree.diverged_step).tolist() == [runs - 1]
    shapes = [
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) for state in (tree, vector)
    ]
    assert shapes[0] == shapes[1]
    leaves = (jax.tree.leaves(state.variables) for state in (vector, tree))
    for ours, theirs in zip(*leaves, strict=True):
        # Adam divides by √v: where a gradient is nearly 0, rounding decides up to the length of a step.
        np.testing.assert_allclose(ours[:-1], theirs[:-1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(others[0].loss[:-1], sums.loss[:-1], rtol=1e-5)
    moved = np.abs(others[1].histograms - first.histograms)[:-1].sum()
    assert moved <= 0.004 * first.histograms.sum()
    np.testing.assert_allclose(others[1].angles[:-1], first.angles[:-1], rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_elementwise_optimizers_are_those_that_may_see_a_vector(x64, name):
    """Three steps of a recipe on a pytree and on its vector; `ELEMENTWISE` lists those that agree."""
    rng = np.random.default_rng(0)
    x = {"k": jnp.asarray(rng.normal(size=(3, 3, 2, 4))), "b": jnp.asarray(rng.normal(size=4))}
    direction, regularizer = RECIPES[name](0.1, 0.05)
    tx = optax.chain(direction, regularizer)

    def end(x, as_leaves):
        state = tx.init(x)
        for k in range(3):
            gradient = jax.tree.map(lambda leaf, k=k: 3 * jnp.sin((k + 2) * leaf), x)
            updates, state = tx.update(gradient, state, x)
            x = optax.apply_updates(x, updates)
        return as_leaves(x)

    def ravel(tree):
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    agree = np.allclose(end(x, ravel), end(jnp.asarray(ravel(x)), np.ravel), rtol=1e-12)
    assert agree or name not in ELEMENTWISE
    if name in ("adamprox_group", "adamprox_l2"):
        assert agree == (name == "adamprox_l2")  # whose norm is that of all parameters


def test_optimizers_that_see_several_coordinates_keep_the_pytree(monkeypatch):
    """For these, one vector is another optimizer: norms of layers, or a norm in another order."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr("adamprox.training.program._compiler_options", dict)
    for names, vectors in (("adamw", "adam_l2"), True), (("adamw", "adamprox_group"), False):
        program = Program(IMAGES, MLP, names)
        assert compile_program(program) is compile_program(program, vectors=vectors)


GRID = [
    TrainingRun.of(
        network="mlp",
        depth=3,
        train_size=64,
        batch_size=32,
        epochs=2,
        optimizer=o,
        learning_rate=1e-3 * (k + 1),
    )
    for o in ("adamw", "adam_l2", "adamprox")
    for k in range(10)
]


@pytest.fixture
def by_eights(monkeypatch):
    monkeypatch.setattr(TrainingRun, "at_once", lambda self, folder: 8)


def test_thirty_runs_of_three_optimizers_compile_once_a_group_size(
    tmp_path, by_eights, monkeypatch
):
    programs = []

    def noted(program, *rest, **options):
        programs.append(program)
        return epochs(program, *rest, **options)

    monkeypatch.setattr("adamprox.training.run.epochs", noted)
    records = run_sweep(GRID, Results(tmp_path), workers=0, console=QUIET)
    assert [r["key"] for r in records] == [run_key(c) for c in GRID]
    sizes = collections.Counter(len(p.optimizers) for p in programs)
    assert sizes == {8: 3, 6: 1} and len(set(programs)) == len(sizes)
    assert [compile_program(p).epoch._cache_size() for p in set(programs)] == [1, 1]
    at_once = collections.Counter(json.loads(r["provenance"])["runs_at_once"] for r in records)
    assert at_once == {8: 24, 6: 6}
    alone = GRID[13].run()
    assert records[13]["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4)
    assert not list((tmp_path / "unfinished").iterdir())


def test_the_number_of_runs_at_once_can_be_given(tmp_path, by_eights, monkeypatch):
    """On an accelerator it is the number of workers, which is one process there."""
    monkeypatch.setattr("adamprox.sweep.local.jax.default_backend", lambda: "gpu")
    records = list(run_local(GRID[:6], Results(tmp_path), workers=3))
    assert {json.loads(r["provenance"])["runs_at_once"] for r in records} == {3}
    others = list(run_local(GRID[6:9], Results(tmp_path), workers=0))
    assert {json.loads(r["provenance"])["runs_at_once"] for r in others} == {3}  # all that are left


def members(**counts):
    cells = [
        c
        for name, count in counts.items()
        for c in [c for c in GRID if c.optimizer == name][:count]
    ]
    return cells


@pytest.mark.parametrize(
    ("counts", "size", "chosen"),
    [
        (
            {"adamw": 10, "adam_l2": 10, "adamprox": 10},
            8,
            {"adamw": 2, "adam_l2": 3, "adamprox": 3},
        ),
        ({"adamw": 10, "adam_l2": 2}, 4, {"adamw": 3, "adam_l2": 0}),
        ({"adamw": 2, "adam_l2": 1}, 8, {"adamw": 2, "adam_l2": 1}),
        ({"adamw": 9}, 4, {"adamw": 4}),
        ({"adamw": 2, "adam_l2": 2, "adamprox": 2}, 1, {"adamw": 1}),
    ],
)
def test_groups_can_be_repeated(counts, size, chosen):
    group = next_group(members(**counts), size)
    assert sum(composition(group).values()) == sum(chosen.values())
    names = [cell.optimizer for cell in group]
    assert sorted(set(names), key=names.index) == [n for n, _ in collections.Counter(names).items()]
    known = [composition(group)]
    again = (
        next_group([c for c in members(**counts) if c not in group], size, known=known)
        if sum(counts.values()) > len(group)
        else []
    )
    repeats = all(known[0][o] * 2 <= counts[o] for o in counts) and len(group) == size
    assert not repeats or composition(again) == known[0]


def columns(records):
    return [{k: v for k, v in r.items() if k not in ("seconds", "provenance")} for r in records]


def test_a_group_that_is_out_of_time_goes_on_bit_for_bit(tmp_path, by_eights, monkeypatch):
    """Also one with a run that has diverged, whose record is written while the others go on."""
    cells = [
        *GRID[:3],
        GRID[0].with_options(loss_multiplier=9e29),
    ]
    cells = [c.with_options(epochs=4) for c in cells]
    whole = run_sweep(cells, Results(tmp_path / "whole"), workers=0, console=QUIET)
    results = Results(tmp_path / "stopped")
    clock = iter(range(1000))
    monkeypatch.setattr("adamprox.training.loop.time.monotonic", lambda: next(clock) / 2)
    with pytest.raises(OutOfTimeError):
        run_sweep(cells, results, workers=0, console=QUIET, deadline=2.0)
    monkeypatch.undo()
    done = results.read_all(cells)
    assert [r["key"] for r in done] == [run_key(cells[3])] and done[0]["diverged_step"]
    assert len(list((results.unfinished).glob("group-*/*/state"))) == 1
    monkeypatch.setattr(TrainingRun, "at_once", lambda self, folder: 4)
    epochs_run = []
    monkeypatch.setattr("adamprox.training.run.epochs", lambda *a, **k: _noted(epochs_run, *a, **k))
    again = run_sweep(cells, results, workers=0, console=QUIET)
    assert columns(again) == columns(whole) and 1 < len(epochs_run) < 4 + 1
    assert not list(results.unfinished.iterdir())


def _noted(found, *args, **options):
    for training in epochs(*args, **options):
        found.append(training.epoch)
        yield training


def test_a_group_with_other_optimizers_on_each_device_is_not_continued(tmp_path, monkeypatch):
    """A sweep on one device leaves it, and the next sweep has two."""
    mixed, results = members(adamw=2, adam_l2=2), Results(tmp_path)
    _Files(results, mixed).begin()
    groups = _Groups(results, at_once=4)
    assert groups.next(mixed) == mixed
    groups.devices = 2
    assert [c.optimizer for c in groups.next(mixed)] == ["adamw"] * 2
    monkeypatch.setattr(jax, "local_devices", lambda: [None, None])
    with pytest.raises(
        ValueError, match=r"same optimizers on each of 2 devices, got adamw, adamw, "
    ):
        next(TrainingRun.run_together(mixed))


def test_runs_that_another_sweep_executes_do_not_hold_up_the_free_ones(tmp_path, monkeypatch):
    cells, results, waits = GRID[:6], Results(tmp_path), []
    with contextlib.ExitStack() as others:
        assert all(others.enter_context(results.claim(cell)) for cell in cells[:4])

        def sleep(seconds):  # the free runs are done; the other sweep now gives up
            waits.append([cell in cells[4:] for cell in cells if results.read(cell)])
            others.close()

        monkeypatch.setattr("adamprox.sweep.device.time.sleep", sleep)
        in_two_minutes = time.monotonic() + 120
        found = list(run_on_device(cells, results, deadline=in_two_minutes, at_once=4))
    assert waits == [[True, True]]
    assert {r["key"] for r in found} == {run_key(c) for c in cells}


def test_a_list_of_cells_that_is_no_list_is_passed_over(tmp_path, by_eights):
    results = Results(tmp_path)
    results.unfinished.mkdir(parents=True)
    for number, text in enumerate(
        ("", "[]", "{}", '[{"depth": 21}]', "[1]", "[" * 10**5, '[{"x": 1}]')
    ):
        (results.unfinished / f"group-{number}.json").write_text(text)
    (results.unfinished / "group-x.json").mkdir()
    records = run_sweep(GRID[:2], results, workers=0, console=QUIET)
    assert len(records) == 2


@pytest.mark.parametrize(
    "text", ["RESOURCE_EXHAUSTED: no space", "CUDA_ERROR_OUT_OF_MEMORY: out of memory"]
)
def test_out_of_memory_halves_the_group(tmp_path, by_eights, monkeypatch, caplog, text):
    sizes = []

    def full(program, hps, *rest, **options):
        sizes.append(len(hps))
        if len(hps) > 2:
            raise jax.errors.JaxRuntimeError(text)
        return epochs(program, hps, *rest, **options)

    monkeypatch.setattr("adamprox.training.run.epochs", full)
    records = run_sweep(GRID[:6], Results(tmp_path), workers=0, console=QUIET)
    assert len(records) == 6 and sizes == [6, 3, 1, 1, 1, 1, 1, 1]
    assert "not enough memory for 6 runs at once; they start again, 3 at once" in caplog.text


def test_the_number_of_runs_is_measured_once_a_device_and_never_slower_than_one(
    tmp_path, monkeypatch
):
    rates = iter([100.0, 180.0, 150.0, 50.0, 40.0])
    asked = []

    def timed(program, repeats):
        asked.append(len(program.optimizers))
        return throughput.Measurement(asked[-1], next(rates), 0.0)

    monkeypatch.setattr(throughput, "timed", timed)
    program = GRID[0].program
    assert throughput.runs_at_once(program, tmp_path) == 1 and not asked  # a CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert throughput.runs_at_once(program, tmp_path) == 4 and asked == [1, 4, 8]
    assert throughput.runs_at_once(program, tmp_path) == 4 and asked == [1, 4, 8]
    (known,) = json.loads((tmp_path / "throughput.json").read_text()).values()
    assert known == {"1": 100.0, "4": 180.0, "8": 150.0}
    deep = program._replace(network=ResNetSpec(depth=110))
    assert throughput.runs_at_once(deep, tmp_path) == 1 and asked == [1, 4, 8, 1, 4]
    deeper = program._replace(network=ResNetSpec(depth=200))
    assert throughput.runs_at_once(deeper, tmp_path) == 1 and len(asked) == 5  # measured at 20
    assert throughput.rates_of(deeper, tmp_path) == {1: 5.0, 4: 4.0}
    name = throughput._name(program)
    for damaged in (
        '{"0": 1}',
        "5",
        '{"4": 2}',
        '{"1": 1, "1000000": 2}',
        '{"1": Infinity}',
        '{"1": "2"}',
    ):
        (tmp_path / "throughput.json").write_text(f'{{"{name}": {damaged}}}')
        assert throughput.rates_of(program, tmp_path) == {}
    for damaged in ("", "[]"):
        (tmp_path / "throughput.json").write_text(damaged)
        assert throughput.rates_of(program, tmp_path) == {}


def test_a_device_without_memory_for_one_run_says_so(monkeypatch):
    def timed(program, repeats):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no space")

    monkeypatch.setattr(throughput, "timed", timed)
    with pytest.raises(jax.errors.JaxRuntimeError, match="no space"):
        list(throughput.measure(GRID[0].program))


def test_compilation_is_no_part_of_the_time_of_an_epoch(monkeypatch):
    """The first epoch, and the first with an evaluation, take 100 s; the others take 1 s."""
    clock, slow = [0.0], {1: 100.0, 2: 100.0}
    monkeypatch.setattr(
        "adamprox.training.loop.time", types.SimpleNamespace(monotonic=lambda: clock[0])
    )
    seen, training = [], epochs(
        GRID[0].program, [Hyperparameters(1e-3, 1e-3, 1.0)], Schedule(50, evaluate_every=2),
        seeds=[0], init_seed=0, deadline=210.0,
    )  # fmt: skip
    real = jax.device_get

    def device_get(tree):
        clock[0] += slow.get(len(seen) + 1, 1.0)
        return real(tree)

    monkeypatch.setattr("adamprox.training.loop.jax.device_get", device_get)
    with pytest.raises(OutOfTimeError):
        for now in training:
            seen.append(now.epoch)
    assert len(seen) == 12 and clock[0] == 210


def test_throughput_is_measured_for_real():
    program = GRID[0].program._replace(images=ImageSpec("digits", train_size=64, batch_size=32))
    found = list(throughput.measure(program, counts=(1, 2), repeats=1))
    assert [m.runs for m in found] == [1, 2] and all(m.images_per_second > 0 for m in found)

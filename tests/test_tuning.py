"""Grids that extend, best runs that are repeated, estimates over seeds."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from adamprox.report.claims import estimate, gap
from adamprox.sweep import Record, run_key
from experiments.grid import Grid, extend, neighbor
from experiments.presets import PRESETS, protocol
from experiments.protocol import Network, Records
from experiments.registry import find, runs_of
from experiments.selection import selection
from experiments.tuning import Method, late

PROTOCOL = dataclasses.replace(
    PRESETS["smoke"],
    learning_rates=(1e-4, 5e-4, 1e-3),
    weight_decays=(0.0, 1e-4, 5e-4),
    extensions=3,
    seeds=3,
)


def test_the_published_grids_go_on_as_they_are():
    alphas, decays = (5e-5, 1e-4, 5e-4, 1e-3, 5e-3), (0.0, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3)
    assert (neighbor(alphas, up=True), neighbor(alphas, up=False)) == (1e-2, 1e-5)
    assert (neighbor(decays, up=True), neighbor(decays, up=False)) == (5e-3, 5e-6)
    assert neighbor((1e-3, 1e-2), up=True) == 0.1 and neighbor((0.0, 3.0), up=True) == 30.0


def test_only_edges_extend():
    grid = Grid((1e-4, 1e-3, 1e-2), (0.0, 1e-3, 1e-2))
    assert extend(grid, 1e-3, 1e-3) == grid == extend(grid, 1e-3, 0.0)
    assert extend(grid, 1e-2, 1e-2) == Grid((1e-4, 1e-3, 1e-2, 0.1), (0.0, 1e-3, 1e-2, 0.1))
    assert extend(grid, 1e-4, 1e-3).learning_rates[0] == 1e-5
    assert extend(Grid((1e-3,), (0.0,)), 1e-3, 0.0) == Grid((1e-3,), (0.0,))


def tuned(method, records=(), protocol=PROTOCOL):
    return method.tuned_on(protocol, Records.by_key(map(Record, records)))


def complete(method, error, protocol=PROTOCOL):
    """A method on its records, run until it asks for no more; the records, and how often it asked."""
    records, rounds = [], 0
    while True:
        known = {r["key"] for r in records}
        done = tuned(method, records, protocol)
        new = [c for c in done.runs if run_key(c) not in known]
        if not new:
            return done, records, rounds
        rounds += 1
        records += [{**c.config(), "key": run_key(c), "final_test_error": error(c)} for c in new]


def bowl(best_alpha, best_decay):
    return lambda cell: (
        0.1
        + 0.01 * abs(math.log(cell.learning_rate / best_alpha))
        + 0.01 * abs(math.log((cell.weight_decay or 1e-9) / best_decay))
        + 1e-4 * cell.seed
    )


def test_a_best_run_inside_is_repeated_at_once():
    done, records, rounds = complete(Method("adamw"), bowl(5e-4, 1e-4))
    assert rounds == 2 and len(records) == 9 + 2
    assert [record.seed for record in done.seeds] == [0, 1, 2] and not done.missing


def test_a_best_run_on_an_edge_extends_the_grid_until_it_is_inside():
    done, _, rounds = complete(Method("adamw"), bowl(5e-4, 5e-3))
    assert done.grid.weight_decays == (0.0, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2)
    assert done.best and done.best.weight_decay == 5e-3 and rounds == 5


def test_extending_ends():
    """Even if the error falls for ever."""
    done, _, _ = complete(Method("adamw"), lambda cell: 1 / (1 + cell.weight_decay))
    assert len(done.grid.weight_decays) == 3 + PROTOCOL.extensions


@pytest.mark.parametrize("more", [True, False])
def test_rates_go_on_only_where_they_may_and_decays_always(more):
    done, _, _ = complete(Method("adamw", more_rates=more), bowl(5e-3, 5e-3))
    assert max(done.grid.weight_decays) > 5e-4
    assert (done.grid.learning_rates == PROTOCOL.learning_rates) is not more


def test_methods_do_not_take_each_others_runs():
    scaled = Method("adamw", multiplier=10.0, options={"batch_norm": True})
    _, records, _ = complete(Method("adamw"), bowl(5e-4, 1e-4))
    other = tuned(scaled, records)
    assert other.tried == [] and other.seeds == [] and other.missing == 9


def test_a_grid_that_diverged_everywhere_has_no_best():
    done, _, rounds = complete(Method("adamw"), lambda cell: None)
    assert rounds == 1 and done.best is None


def test_a_missing_point_leaves_the_method_untuned():
    _, records, _ = complete(Method("adamw"), bowl(5e-4, 1e-4))
    less = tuned(Method("adamw"), records[1:])
    assert (less.untuned, less.missing) == (1, 1) and len(less.runs) == 9


def runs(*errors):
    return [Record({"final_test_error": e, "test_examples": 1000}) for e in errors]


def test_estimates_are_students():
    """Against SciPy's own interval; a diverged seed does not count."""
    errors = [0.30, 0.33, 0.31, 0.36]
    actual = estimate([*runs(*errors), *runs(None)])
    low, high = stats.t.interval(0.95, 3, np.mean(errors), stats.sem(errors))
    assert actual and actual.runs == 4
    assert (actual.mean - actual.half_width, actual.mean + actual.half_width) == pytest.approx(
        (low, high)
    )
    assert estimate(runs(None)) is None


def test_a_gap_between_seeds_is_judged_by_their_spread():
    near = gap(runs(0.30, 0.32, 0.34), runs(0.29, 0.31, 0.33))
    far = gap(runs(0.40, 0.401, 0.402), runs(0.30, 0.301, 0.302))
    assert near.difference == pytest.approx(0.01) and near.margin > 0.03
    assert far.difference == pytest.approx(0.1) and far.margin < 0.01
    single = gap(runs(0.5), runs(0.4))
    assert single.margin == pytest.approx(2 * math.sqrt(0.49 / 1000))
    assert str(single).endswith("points (1 seed)")
    # A diverged run neither counts nor stands in for the seed that finished.
    assert gap(runs(None, 0.5), runs(None, 0.4))[:3] == single[:3]


@pytest.mark.filterwarnings("error")
def test_a_gap_is_welchs_and_equal_errors_have_the_margin_of_the_test_set():
    one, other = [0.30, 0.32, 0.35], [0.29, 0.28, 0.33, 0.31]
    interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    found = gap(runs(*one), runs(*other))
    assert found.difference == pytest.approx((interval.low + interval.high) / 2, abs=1e-12)
    assert found.margin == pytest.approx((interval.high - interval.low) / 2, abs=1e-12)
    equal, single = gap(runs(0.3, 0.3), runs(0.2, 0.2)), gap(runs(0.3), runs(0.2))
    assert equal == (pytest.approx(0.1), single.margin, False, False, False)


def test_grids_of_the_deep_figures(monkeypatch):
    """They reach as far as the multiplier, and go with the network that they were chosen for."""
    small = {"adam_l2": Grid((1e-3,), (0.0, 0.1)), "adamw": Grid((5e-4,), (0.0, 1e-3))}
    lines = dataclasses.replace(PRESETS["demo"], deep=Network(grids=small))
    assert lines.deep_grid("adam_l2", 10.0) == Grid((1e-3,), (0.0, 0.1, 1.0))
    assert lines.deep_grid("adamw", 10.0) == small["adamw"]
    assert lines.deep_grid("proxgen") == lines.grid("proxgen")
    monkeypatch.setitem(PRESETS, "lines", lines)
    for changed in ({"depth": 8}, {"weight_decays": (0.0, 1e-3)}):
        other = protocol("lines", **changed)
        assert other.deep_grid("adamw") == other.grid("adamw")
    assert protocol("lines", epochs=2).deep_grid("adamw") == small["adamw"]


def test_a_slow_network_has_smaller_grids(monkeypatch):
    """They are extended as others are; grids that are given take their place."""
    line = Grid((5e-4, 1e-3), (0.0, 1e-4, 5e-4))
    network = Network(grids={"adamw": line}, seeds=2)
    slow = dataclasses.replace(PROTOCOL, networks={"ResNet-110": network, "ResNet-56": Network()})
    method = Method.on(network, "adamw")
    assert len(tuned(method, (), slow).runs) == 6
    done, _, _ = complete(method, bowl(1e-3, 5e-4), slow)
    assert done.grid == Grid((5e-4, 1e-3, 5e-3), (0.0, 1e-4, 5e-4, 1e-3))
    assert [record.seed for record in done.seeds] == [0, 1]
    whole = Grid(slow.learning_rates, slow.weight_decays)
    for name, optimizer in (("ResNet-110", "adam_l2"), ("ResNet-56", "adamw")):
        assert tuned(Method.on(slow.networks[name], optimizer), (), slow).grid == whole
    monkeypatch.setitem(PRESETS, "slow", slow)
    assert protocol("slow", epochs=1).networks["ResNet-110"].grids
    assert not protocol("slow", weight_decays=(0.0, 1e-3)).networks["ResNet-110"].grids
    whole_again = protocol("slow", depth=110).networks["ResNet-110"]
    assert not whole_again.grids and not whole_again.seeds


def test_a_selection_by_optimizer_includes_the_extension_of_a_grid():
    """A best run on an edge adds a λ that the first grid lacks; a selection by points leaves it out."""
    demo = PRESETS["demo"]
    inside, beyond, other = (
        demo.run("adamw", 1e-3, 0.0),
        demo.run("adamw", 1e-3, 0.3),
        demo.run("adam_l2", 1e-3, 0.0),
    )
    by_optimizer = selection("fig03", [inside, other], ["adamw"])
    assert [by_optimizer(run) for run in (inside, beyond, other)] == [True, True, False]
    by_point = selection("fig03", [inside, other], points=[(1e-3, 0.0)])
    assert [by_point(run) for run in (inside, beyond, other)] == [True, False, True]


def test_a_selection_by_network_includes_every_run_on_it():
    """Runs with BatchNorm and grids of the network's own count; other depths and families do not."""
    reduced = PRESETS["reduced"]
    networks = {name: reduced.networks[name].options for name in ("ResNet-44", "DenseNet")}
    every = runs_of(find("fig02", reduced), reduced).values()
    chosen = list(filter(selection("fig02", every, networks=networks), every))
    assert {(run.network.family, run.network.depth) for run in chosen} == {
        ("resnet", 44),
        ("densenet", 40),
    }
    assert len(chosen) == 14 + 14
    with pytest.raises(ValueError, match="network must be one that fig01 trains, got 'ResNet-44'"):
        selection("fig01", [], networks=networks)


def test_late_errors_are_means_over_epochs_however_often_a_run_is_tested():
    """20 epochs; tested every epoch, or every fifth: epochs 11 to 20, or 15 and 20."""
    every = [float(epoch) for epoch in range(1, 21)]
    fifth = [error if error % 5 == 0 else None for error in every]
    means = [
        late(Record({"test_error": errors, "final_test_error": 20.0})).error
        for errors in (every, fifth)
    ]
    assert means == [15.5, 17.5]
    diverged = Record({"test_error": every, "final_test_error": None})
    assert late(diverged).error is None

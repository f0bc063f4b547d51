"""Verdicts and figures of Theorem 3, SGD, sparsity and distributed training; the cells behind them."""

import dataclasses
import math

import numpy as np
import pytest

from adamprox.problems import descent_calls, quadratic
from adamprox.report.claims import Verdict
from adamprox.report.page import save_figures
from adamprox.sweep import run_key
from adamprox.training.sharded_run import ShardedRun
from experiments.paper.theorem3 import RestartsRun
from experiments.presets import protocol
from tests.studies import claims, figures, runs

DEMO = protocol("demo")


def synthetic(name, columns, wanted=DEMO, known=()):
    """Records of the demo's cells whose results are a function of the cell."""
    return [
        {
            **cell.config(), "key": run_key(cell), "kind": cell.kind, "test_examples": 1285,
            "diverged_step": 0, "train_error": [0.9, 0.1], **columns(cell),
        }
        for cell in runs(name, wanted, known)
    ]  # fmt: skip


def verdicts(name, records):
    return [claim.verdict for claim in claims(name, DEMO, records)]


def test_theorem3_holds_and_can_fail(tmp_path):
    """A small problem, in full; then with counts that grow with κ, and distances above the bound."""
    cell = RestartsRun(condition_numbers=(1.0, 1e3, 1e8), dimension=2, rounds=8, goal=5)
    record = {**cell.config(), **cell.run(), "key": run_key(RestartsRun())}
    assert verdicts("theorem3", [record]) == [Verdict.REPRODUCED, Verdict.REPRODUCED]
    assert record["rotated_calls"][0] and record["rotated_calls"][-1] is None
    save_figures(figures("theorem3", DEMO, [record]), tmp_path)
    slower = {**record, "restarts_calls": [100, 200, None]}
    distances = [[1.0, 0.6, *[0.0] * 7]] * 3
    above = {**record, "restarts_distances": distances}
    assert verdicts("theorem3", [slower]) == [Verdict.NOT_REPRODUCED, Verdict.REPRODUCED]
    assert verdicts("theorem3", [above]) == [Verdict.REPRODUCED, Verdict.NOT_REPRODUCED]


@pytest.mark.parametrize("kappa", [10.0, 300.0])
def test_gradient_descent_is_counted_as_it_runs(kappa):
    """Against a loop over the same step sizes."""
    minimizer, goal = np.array([0.3, -1.0, 0.7]), 1e-3
    curvatures = np.asarray(quadratic(kappa, minimizer).curvatures, float)
    fewest = math.inf
    for factor in [1.0, *np.geomspace(0.5, 1.0, 200)]:
        x, calls = np.zeros(3), 0
        while np.abs(x - minimizer).max() > goal and calls < fewest:
            x, calls = x - factor * 2 / (1 + kappa) * curvatures * (x - minimizer), calls + 1
        fewest = min(fewest, calls)
    assert descent_calls(kappa, minimizer, goal) == pytest.approx(fewest, abs=1)


def test_sgd_verdicts():
    def outcome(sgd_error, adamw_error=0.02, diverged=0):
        def columns(cell):
            sgd = cell.optimizer == "sgd"
            return {
                "diverged_step": diverged if sgd else 0,
                "train_error": [0.9, sgd_error(cell) if sgd else adamw_error],
            }

        return synthetic("sgd_divergence", columns)

    assert verdicts("sgd_divergence", outcome(lambda c: 0.9)) == [Verdict.REPRODUCED]
    assert verdicts("sgd_divergence", outcome(lambda c: 0.0, diverged=2)) == [Verdict.REPRODUCED]
    assert verdicts("sgd_divergence", outcome(lambda c: 0.9, 0.9)) == [Verdict.INCONCLUSIVE]
    trains = outcome(lambda c: 0.12 if c.learning_rate == 1e-4 else 0.9)
    (claim,) = claims("sgd_divergence", DEMO, trains)
    assert claim.verdict is Verdict.NOT_REPRODUCED
    assert "1 trained (training error 12.0 % at 1e-4)" in claim.measured
    assert verdicts("sgd_divergence", trains[1:]) == [Verdict.NOT_RUN]
    for records in (trains, outcome(lambda c: 0.9, diverged=3), []):
        assert figures("sgd_divergence", DEMO, records)


@pytest.mark.parametrize(
    ("preset", "network"), [("smoke", "MLP-3"), ("demo", "ResNet-56"), ("paper", "ResNet-110")]
)
def test_the_claim_on_sgd_names_the_network_that_is_trained(preset, network):
    (claim,) = claims("sgd_divergence", protocol(preset), [])
    (figure,) = figures("sgd_divergence", protocol(preset), [])
    assert f"does not train {network} without BatchNorm at any of " in claim.statement
    assert figure.caption.startswith(f"{network} without BatchNorm, λ = 1e-4.")


def test_sparsity_verdicts():
    def outcome(share, error=0.05):
        def columns(cell):
            zero = share if cell.weight_decay and cell.optimizer != "adamw" else 0.0
            final = error if cell.weight_decay else 0.05
            return {"final_test_error": final, "zero_share": zero, "zero_channel_share": zero}

        return synthetic("l1_sparsity", columns)

    holds, fails = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED
    assert verdicts("l1_sparsity", outcome(0.6)) == [holds] * 5
    assert verdicts("l1_sparsity", outcome(0.3)) == [fails, fails, holds, holds, holds]
    assert verdicts("l1_sparsity", outcome(0.9, error=0.12)) == [*[fails] * 4, holds]
    touched = [{**r, "zero_share": 0.01} if r["optimizer"] == "adamw" else r for r in outcome(0.6)]
    assert verdicts("l1_sparsity", touched)[-1] is fails
    assert figures("l1_sparsity", DEMO, touched)
    lost = [r for r in outcome(0.6) if (r["network"], r["optimizer"]) != ("mlp", "adamw")]
    assert verdicts("l1_sparsity", lost) == [*[holds] * 4, Verdict.NOT_RUN]


@pytest.mark.parametrize(
    ("share", "lost", "spread", "verdict"),
    [
        (0.55, 0.0, 1e-3, Verdict.REPRODUCED),
        (0.4, 0.0, 1e-3, Verdict.NOT_REPRODUCED),  # fewer zeros with other seeds
        (0.55, 0.02, 1e-3, Verdict.NOT_REPRODUCED),  # a higher error
        (0.55, 0.02, 0.1, Verdict.INCONCLUSIVE),  # it may be, or not
    ],
)
def test_sparsity_is_judged_by_every_seed(share, lost, spread, verdict):
    """The first seed finds 60 % of zeros, at an error that is within the noise of the test set."""
    repeated = dataclasses.replace(DEMO, seeds=3)

    def columns(cell):
        loss = lost * (1.0 if cell.seed else 0.7) if cell.weight_decay else 0.0
        zero = (share if cell.seed else 0.6) if cell.weight_decay else 0.0
        error = 0.05 + loss + spread * cell.seed
        return {"final_test_error": error, "zero_share": zero, "zero_channel_share": zero}

    path = synthetic("l1_sparsity", columns, repeated)
    waiting = claims("l1_sparsity", repeated, path)
    assert [claim.verdict for claim in waiting[:4]] == [Verdict.NOT_RUN] * 4
    records = synthetic("l1_sparsity", columns, repeated, path)
    assert len(records) == len(path) + 4 * 2 * 2
    claim = claims("l1_sparsity", repeated, records)[0]
    assert claim.verdict is verdict
    assert claim.measured.startswith(f"{100 * share:.1f} % to 60.0 %")
    assert "(3 seeds)" in claim.measured


def sparse_claim(columns, seeds=3):
    """The first claim, on records that are complete."""
    wanted = dataclasses.replace(DEMO, seeds=seeds)
    path = synthetic("l1_sparsity", columns, wanted)
    records = synthetic("l1_sparsity", columns, wanted, path)
    return claims("l1_sparsity", wanted, records)[0]


@pytest.mark.parametrize("lost", [False, True])
def test_a_seed_that_diverged_without_decay_leaves_the_loss_of_accuracy_open(lost):
    """The mean at λ = 0 is of the seeds that survived, and too low."""

    def columns(cell):
        zero, loss = (0.7, 0.025 * (cell.seed > 0)) if cell.weight_decay else (0.0, 0.0)
        diverged = lost and cell.seed == 1 and not cell.weight_decay
        error = None if diverged else 0.05 + loss + 1e-4 * cell.seed
        return {"final_test_error": error, "zero_share": zero, "zero_channel_share": zero}

    claim = sparse_claim(columns, seeds=5)
    assert claim.verdict is (Verdict.INCONCLUSIVE if lost else Verdict.NOT_REPRODUCED)
    assert ("1 of 5 seeds diverged at λ = 0." in claim.note) is lost


def test_a_seed_that_diverged_is_not_sparse():
    def columns(cell):
        lost = cell.seed == 2 and cell.weight_decay > 0
        zero = 0.7 if cell.weight_decay else 0.0
        return {
            "final_test_error": None if lost else 0.05 + 1e-3 * cell.seed,
            "zero_share": zero,
            "zero_channel_share": zero,
        }

    claim = sparse_claim(columns)
    assert claim.verdict is Verdict.NOT_REPRODUCED and "1 of 3 seeds diverged" in claim.note


def test_of_cells_that_are_sparse_enough_the_best_is_held_up():
    """At λ = 4.5e-4 nearly everything is zero, at an error that one seed does not tell apart."""

    def columns(cell):
        zero = {0.0: 0.0, 2e-4: 0.6, 4.5e-4: 0.95}.get(cell.weight_decay, 0.3)
        lost = 0.01 * (cell.weight_decay == 4.5e-4) * (1 + cell.seed)
        error = 0.05 + lost + 1e-3 * cell.seed + 1e-4 * (zero == 0.3)
        return {"final_test_error": error, "zero_share": zero, "zero_channel_share": zero}

    claim = sparse_claim(columns)
    assert (
        claim.verdict is Verdict.REPRODUCED
        and "60.0 % of the parameters at λ = 2e-4" in claim.measured
    )


def test_zeros_of_a_network_that_learned_nothing_are_not_free():
    columns = {"final_test_error": 0.9, "zero_share": 1.0, "zero_channel_share": 1.0}
    assert sparse_claim(lambda cell: columns).verdict is Verdict.NOT_TESTED


def test_too_few_zeros_are_not_looked_for_again():
    columns = {"final_test_error": 0.05, "zero_share": 0.2, "zero_channel_share": 0.2}
    path = synthetic("l1_sparsity", lambda cell: columns)
    wanted = dataclasses.replace(DEMO, seeds=3)
    assert len(runs("l1_sparsity", wanted, path)) == len(path)


def test_records_from_before_shares_were_counted_do_not_count():
    columns = {"final_test_error": 0.05}
    records = synthetic("l1_sparsity", lambda cell: columns)
    assert verdicts("l1_sparsity", records) == [Verdict.NOT_TESTED] * 5


def test_distributed_verdicts(tmp_path):
    def outcome(losses, lead=0.1, grouped=0.2):
        def columns(cell):
            if cell.kind == "sharded":
                return {"train_losses": losses}
            error = 0.1 + (lead if cell.optimizer == "adam_l2" else 0.0)
            return {
                "final_test_error": grouped if cell.config()["statistics_groups"] == 8 else error
            }

        return synthetic("distributed", columns)

    same, other = [[2.0, 1.0], [2.0, 1.00001]], [[2.0, 1.0], [2.0, 1.001]]
    assert verdicts("distributed", outcome(same)) == [Verdict.REPRODUCED] * 3
    assert verdicts("distributed", outcome(other, lead=-0.05, grouped=0.1)) == [
        Verdict.NOT_REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE,
    ]  # fmt: skip
    save_figures(figures("distributed", DEMO, outcome(same)), tmp_path)


def test_diverged_runs_are_drawn_and_not_judged():
    diverged = {"final_test_error": None, "diverged_step": 3, "zero_share": 0.0}
    for name in ("l1_sparsity", "distributed"):
        records = [r for r in synthetic(name, lambda cell: diverged) if r["kind"] == "training"]
        assert figures(name, DEMO, records)
        found = verdicts(name, records)
        if name == "distributed":  # its first claim is on real shards, which are not among these
            assert found.pop(0) is Verdict.NOT_RUN
        assert set(found) == {Verdict.NOT_TESTED}


def test_nothing_is_claimed_at_smoke():
    smoke = protocol("smoke")
    for name in ("sgd_divergence", "l1_sparsity", "distributed"):
        found = claims(name, smoke, [])
        assert {claim.verdict for claim in found} <= {Verdict.NOT_TESTED, Verdict.NOT_RUN}


@pytest.mark.slow
def test_a_residual_network_on_real_shards():
    one, eight = np.asarray(ShardedRun().run()["train_losses"])
    np.testing.assert_allclose(eight, one, rtol=1e-4)

"""Differences of runs with one seed, on one thread and on all."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import jax
import numpy as np

from adamprox.sweep.local import use_one_thread
from adamprox.training import TrainingRun
from adamprox.training.loop import train
from tests.faults.runs import ROOT

CELL = TrainingRun.of(train_size=256, depth=20, batch_size=64, epochs=4, evaluate_every=4)
RUNS = 5


def result(threads: str) -> dict:
    """The final loss, error and parameters of `CELL`; for a process in which JAX has not begun."""
    if threads == "one":
        use_one_thread()
    trained = train(CELL.program, CELL.hyperparameters, CELL.schedule, seed=0, init_seed=0)
    columns = CELL.columns(trained)
    leaves = [np.ravel(leaf) for leaf in jax.tree.leaves(trained.variables["params"])]
    return {
        "digest": columns["parameters_digest"],
        "train_loss": columns["train_loss"][-1],
        "test_error": columns["final_test_error"],
        "parameters": np.concatenate(leaves).tolist(),
    }


def in_a_process(threads: str) -> dict:
    """`result` in a process of its own, on ``one`` thread or on as many as XLA takes, ``all``."""
    command = [sys.executable, "-m", "tests.faults.determinism", threads]
    environment = {k: v for k, v in os.environ.items() if k != "NPROC"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)


def spread_table() -> str:
    """Runs on one thread and on all, each in a process of its own, as a Markdown table."""
    head = "| threads | runs | distinct final parameters | train loss | range of train losses | test error | "
    head += "largest difference of a parameter |"
    rows = [head, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for threads in ("one", "all"):
        rows.append(_row(threads, [in_a_process(threads) for _ in range(RUNS)]))
    return "\n".join(rows)


def _row(threads: str, results: Sequence[dict]) -> str:
    digests = {result["digest"] for result in results}
    losses, errors = (
        np.array([result[name] for result in results]) for name in ("train_loss", "test_error")
    )
    parameters = np.array([result["parameters"] for result in results])
    apart = np.max(np.ptp(parameters, axis=0))
    count = f"all ({len(os.sched_getaffinity(0))})" if threads == "all" else threads
    return (
        f"| {count} | {len(results)} | {len(digests)} | {losses.mean():.4f} | {np.ptp(losses):.1e} | "
        f"{100 * errors.min():.2f} to {100 * errors.max():.2f} % | {apart:.1e} |"
    )


if __name__ == "__main__":
    print(json.dumps(result(sys.argv[1])))

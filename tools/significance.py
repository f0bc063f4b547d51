"""Markdown tables of what a difference means: p-values, the noise of seeds, number formats."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t, ttest_ind, ttest_rel

from adamprox.report.claims import Gap, best, contrast, estimate, gap, noise, select, welch
from adamprox.report.plots import LABELS
from adamprox.sweep import Record, run_key
from adamprox.training import TrainingRun
from experiments.alternatives.factorial import EFFECTS
from experiments.tuning import Tuned, complete


def statistics_table(rows: Mapping[str, Sequence[Tuned]]) -> str:
    """Return a Markdown table of p-values of Fig. 3's leads, unpaired and paired, and Holm's of both.

    Args:
      rows: Adam-ℓ2, AdamW and others by the name of the network. Networks with missing runs, or with
        fewer than two pairs of seeds that finished, are left out.
    """
    found = {
        name: np.array([
            (one.error, other.error)
            for one, other in zip(l2.seeds, adamw.seeds, strict=True)
            if None not in (one.error, other.error)
        ]).T
        for name, (l2, adamw, *_) in rows.items()
        if complete((l2, adamw))
    }  # fmt: skip
    found = {name: errors for name, errors in found.items() if errors.size > 2}
    tests: list[Any] = [
        (ttest_ind(*errors, equal_var=False), ttest_rel(*errors)) for errors in found.values()
    ]
    unpaired, paired = ([test[k].pvalue for test in tests] for k in range(2))
    lines = [
        "| network | seeds | p, Welch | by Holm | p, paired | by Holm | correlation over seeds |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    columns = zip(unpaired, holm(unpaired), paired, holm(paired), strict=True)
    for (name, errors), p_values in zip(found.items(), columns, strict=True):
        correlation = f"{np.corrcoef(errors)[0, 1]:.2f}".replace("-", "−")
        values = " | ".join(f"{p:.2g}" for p in p_values)
        lines.append(f"| {name} | {errors.shape[1]} | {values} | {correlation} |")
    return "\n".join(lines)


def effects_table(rows: Mapping[str, Sequence[Tuned]]) -> str:
    """Return a Markdown table of the factorial's effects with p-values, and Holm's over all of them.

    Args:
      rows: Methods (neither, mixing, scaling, both) by the name of the network. Networks with missing
        runs, or with a method of one seed, are left out.
    """
    found = [
        (name, factor, contrast([method.seeds for method in row], signs), _p_value(row, signs))
        for name, row in rows.items()
        if complete(row) and min(len(method.finished) for method in row) > 1
        for factor, signs in EFFECTS.items()
    ]
    lines = [
        "| network | effect | points | p, Welch | by Holm |",
        "| --- | --- | --: | --: | --: |",
    ]
    corrected = holm([p for *_, p in found])
    for (name, factor, effect, p), by_holm in zip(found, corrected, strict=True):
        lines.append(f"| {name} | {factor} | {in_points(effect)} | {p:.2g} | {by_holm:.2g} |")
    return "\n".join(lines)


def _p_value(row: Sequence[Tuned], weights: Sequence[float]) -> float:
    """Return the p-value of a weighted sum of mean errors, by Welch's test."""
    errors = [[r["final_test_error"] for r in method.finished] for method in row]
    terms = list(zip(weights, errors, strict=True))
    variance, freedom = welch(terms)
    difference = sum(weight * np.mean(own) for weight, own in terms)
    if not variance:
        return float(difference == 0)
    return float(2 * t.sf(abs(difference) / np.sqrt(variance), freedom))


def seed_noise_table(reduced: Sequence[Record]) -> str:
    """Return a Markdown table of how far runs lie apart that differ in the seed alone.

    Args:
      reduced: Runs at the preset ``reduced``. Configurations count that have three seeds or more.
    """
    rows = [
        "| ResNet | configurations | standard deviation over seeds, points | of the test set, points | pairs beyond the margin, % |",
        "| --- | --: | --: | --: | --: |",
    ]
    configurations: dict[str, list[Record]] = {}
    for run in plain(reduced):
        if run.error is not None:
            alike = run_key(TrainingRun.from_columns({**run, "seed": 0}))
            configurations.setdefault(alike, []).append(run)
    several = [own for own in configurations.values() if len(own) > 2]
    for depth in sorted({own[0]["depth"] for own in several}):
        groups = [own for own in several if own[0]["depth"] == depth]
        pairs = [pair for own in groups for pair in itertools.combinations(own, 2)]
        beyond = [
            abs(a["final_test_error"] - b["final_test_error"]) > noise(a, b) for a, b in pairs
        ]
        spread = np.mean(
            [np.var([run["final_test_error"] for run in own], ddof=1) for own in groups]
        )
        binomial = np.mean([noise(*pair) ** 2 / 8 for pair in pairs])
        values = (100 * np.sqrt(spread), 100 * np.sqrt(binomial))
        shown = " | ".join(f"{value:.1f}" for value in values)
        rows.append(f"| {depth} | {len(groups)} | {shown} | {100 * np.mean(beyond):.0f} |")
    return "\n".join(rows)


def activations_table(reduced: Sequence[Record]) -> str:
    """Return a Markdown table of test errors with float32 and with bfloat16 activations.

    Args:
      reduced: Runs at the preset ``reduced``.
    """
    rows = [
        "| ResNet | optimizer | float32, % | bfloat16, % | bfloat16 minus float32, points | seeds |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    half = select(plain(reduced), compute_dtype="bfloat16")
    for depth, optimizer in sorted({(r["depth"], r["optimizer"]) for r in half}):
        own = select(half, depth=depth, optimizer=optimizer)
        at = {name: own[0][name] for name in ("learning_rate", "weight_decay")}
        like = {"depth": depth, "optimizer": optimizer, "compute_dtype": "float32", **at}
        seeds = {run["seed"] for run in own}
        whole = [run for run in select(plain(reduced), **like) if run["seed"] in seeds]
        if best(whole) is None or best(own) is None:
            continue
        means = (found.in_percent for runs in (whole, own) if (found := estimate(runs)))
        difference = in_points(gap(own, whole))
        row = (str(depth), LABELS[optimizer], *means, difference, str(len(seeds)))
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def in_points(effect: Gap) -> str:
    """Return a difference for a column whose unit is percentage points."""
    return str(effect).replace(" points", "")


def plain(reduced: Sequence[Record]) -> list[Record]:
    """Return the runs of ResNets without BatchNorm or any change of the protocol."""
    network = {"network": "resnet", "batch_norm": False, "skip_init": False, "init_scale": 1}
    return select(reduced, **network, augment=False, init_seed=0, loss_multiplier=1, epochs=30)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method for the number of comparisons.

    Example:
      >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
      [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected

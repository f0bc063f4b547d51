"""Markdown tables of test errors, leads and their statistics, from records."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import numpy as np

from adamprox.report.claims import best, compact, contrast, estimate, gap, select
from adamprox.sweep import Record
from experiments.alternatives.factorial import EFFECTS
from experiments.alternatives.stale_second_moment import UNCHANGED, Changed
from experiments.claims import by_margin, spread
from experiments.claims.accuracy import fall, lead
from experiments.claims.second_moment import best_decays
from experiments.tuning import Tuned, complete
from tools.significance import in_points, plain
from tools.tables import grid_point


def headline_table(pairs: Iterable[tuple[Tuned, Tuned]]) -> str:
    """Return a Markdown table of Adam-ℓ2 against AdamW on ResNets without BatchNorm.

    Args:
      pairs: Adam-ℓ2 and AdamW on each network. Pairs with missing runs are left out.
    """
    rows = [
        "| ResNet | images, epochs | Adam-ℓ2, % | AdamW, % | AdamW's lead, points | Adam-ℓ2 train, % | AdamW train, % | seeds | verdict |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --- |",
    ]
    for l2, adamw in filter(complete, pairs):
        first, own = adamw.seeds[0], lead(adamw, l2)
        side, images = first["image_size"] or 32, first["train_size"] or 50_000
        seeds = min(len(method.finished) for method in (l2, adamw))
        row = (
            str(first["depth"]),
            f"{images:,} of {side}×{side}, {first['epochs']}",
            *(_mean(method.seeds) for method in (l2, adamw)),
            ("+" if own.difference >= 0 else "") + in_points(own._replace(one_seed=False)),
            *(f"{100 * _training_error(method.finished):.0f}" for method in (l2, adamw)),
            str(seeds) + (" (± of the test set)" if own.one_seed else ""),
            by_margin(own).value,
        )
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def progress_table(pairs: Iterable[tuple[Tuned, Tuned]]) -> str:
    """Return a Markdown table of test errors through training, the means over seeds.

    Args:
      pairs: Adam-ℓ2 and AdamW on each network. Pairs with missing runs, or one seed, are left out.
    """
    lines = [
        "| ResNet | epoch | Adam-ℓ2, % | AdamW, % | AdamW's lead, points |",
        "| --- | --: | --: | --: | --: |",
    ]
    for pair in filter(complete, pairs):
        runs = [method.seeds for method in pair]
        if min(len(method.finished) for method in pair) < 2:
            continue
        epochs, depth = runs[0][0]["epochs"], runs[0][0]["depth"]
        for tenths in range(1, 11):
            at = epochs * tenths // 10 - 1
            then = [[_tested(run, at) for run in own] for own in runs]
            if any(run["test_error"][at] is None for m in pair for run in m.finished):
                continue
            means = (f"{100 * found.mean:.1f}" if (found := estimate(own)) else "—" for own in then)
            own = in_points(gap(*then))
            lines.append(f"| {' | '.join([str(depth), str(at + 1), *means, own])} |")
    return "\n".join(lines)


def _mean(runs: Sequence[Record]) -> str:
    """Return the mean test error over seeds for a column in percent."""
    found = estimate(runs)
    return found.in_percent if found else "—"


def _tested(run: Record, at: int) -> Record:
    """Return the record with the test error at an index of its epochs in place of the final one."""
    return run if run.error is None else Record({**run, "final_test_error": run["test_error"][at]})


def _training_error(runs: Sequence[Record]) -> float:
    """Return the error on the batches of the last epoch, before each update; the mean over seeds."""
    return fmean(run["train_error"][-1] for run in runs)


def _both(errors: Iterable[float | None]) -> str:
    """Return the errors of Adam-ℓ2 and AdamW in percent."""
    return ", ".join("—" if error is None else f"{100 * error:.0f}" for error in errors)


def factorial_table(rows: Mapping[str, Sequence[Tuned]]) -> str:
    """Return a Markdown table of the factorial experiment, with both effects where it is complete.

    Args:
      rows: Methods (neither, mixing, scaling, both) by the name of the network.
    """
    lines = [
        "| network | neither: AdamW | mixing: scale-free Adam-ℓ2 | scaling: ProxGen | both: Adam-ℓ2 | effect of scaling, points | effect of mixing, points | AdamW's lead over Adam-ℓ2, points |",
        "| --- | --- | --- | --- | --- | --: | --: | --: |",
    ]
    for name, row in rows.items():
        effects = ["—"] * 3
        if not any(method.missing or len(method.finished) < 2 for method in row):
            seeds = [method.seeds for method in row]
            weights = (*EFFECTS.values(), (-1.0, 0.0, 0.0, 1.0))
            effects = [in_points(contrast(seeds, w)) for w in weights]
        means = [str(estimate(method.seeds) or "—") for method in row]
        lines.append(f"| {' | '.join([name, *means, *effects])} |")
    return "\n".join(lines)


def changes_table(networks: Iterable[Changed]) -> str:
    """Return a Markdown table of AdamW's lead without a change and under changes of both optimizers.

    Args:
      networks: Networks under the changes; one may occur twice. Changes with missing
        runs, or of which all diverged, are left out.
    """
    lines = [
        "| network | change | Adam-ℓ2, % | AdamW, % | AdamW's lead, points | falls by, points | training errors, % | at λ = 0, % | Adam-ℓ2's best λ | seeds |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --- | --: |",
    ]
    for its in networks:
        finished = {change: row for change, row in its.rows.items() if complete(row)}
        if UNCHANGED not in finished:
            continue
        for change, (l2, adamw) in finished.items():
            unchanged_l2, unchanged = finished[UNCHANGED]
            by = fall((unchanged, unchanged_l2), (adamw, l2))
            row = (
                f"ResNet-{l2.seeds[0]['depth']}",
                change,
                *(_mean(method.seeds) for method in (l2, adamw)),
                in_points(lead(adamw, l2)),
                "" if change == UNCHANGED else in_points(by),
                _both([_training_error(method.finished) for method in (l2, adamw)]),
                _both([_without_decay(method) for method in (l2, adamw)]),
                ", ".join(map(compact, best_decays(l2.tried))),
                str(min(len(method.finished) for method in (l2, adamw))),
            )
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(dict.fromkeys(lines))  # a network may come twice


def _without_decay(method: Tuned) -> float | None:
    """Return the test error of the first seed at λ = 0 and the best α."""
    assert method.best
    found = [r for r in method.tried if r.weight_decay == 0]
    return next((r.error for r in found if r.learning_rate == method.best.learning_rate), None)


def spread_table(rows: Mapping[str, Sequence[Tuned]]) -> str:
    """Return a Markdown table of the spread of AdamW's updates against that of Adam-ℓ2's.

    Args:
      rows: Adam-ℓ2, AdamW and others by the name of the network. Networks with missing runs are
        left out.
    """
    lines = [
        "| network | grid points with the smaller spread for AdamW | without those where 10 % stand still | spread at the best grid points: AdamW, Adam-ℓ2 |",
        "| --- | --: | --: | --: |",
    ]
    for name, (l2, adamw, *_) in rows.items():
        if not complete((l2, adamw)):
            continue
        ratio, moving = spread.at_equal_points(adamw, l2)
        means = (f"{fmean(map(spread.mean_spread, m.finished)):.1f}" for m in (adamw, l2))
        plain_adam = l2.best is not None and l2.best.weight_decay == 0
        row = (
            name,
            *(f"{np.sum(own < 1)} of {len(own)}" for own in (ratio, ratio[moving])),
            "not tested" if plain_adam else ", ".join(means),
        )
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def staleness_table(pairs: Iterable[tuple[Tuned, Tuned]], networks: Iterable[Changed]) -> str:
    """Return a Markdown table of the median size of updates, of Adam-ℓ2 and AdamW, through training.

    A size is log2(|update|/α), the median over coordinates and seeds, linear within a bin. Both ends of
    the histograms are clipped.

    Args:
      pairs: Adam-ℓ2 and AdamW on each network. Pairs with missing runs are left out.
      networks: Networks under changes of both. Changes with missing runs are left out.
    """
    shares = (1 / 6, 1 / 3, 2 / 3, 1)
    lines = [
        "| ResNet | images | change | α | a sixth of the epochs | a third | two thirds | the end |",
        "| --- | --- | --- | --- | --: | --: | --: | --: |",
    ]
    rows = [(UNCHANGED, pair) for pair in pairs]
    rows += [(change, pair) for its in networks for change, pair in its.rows.items()]
    for change, pair in rows:
        if not complete(pair):
            continue
        first = pair[1].seeds[0]
        at = [max(1, round(share * first["epochs"])) - 1 for share in shares]
        sizes = [[_median_size(method.finished, epoch) for method in pair] for epoch in at]
        rates = dict.fromkeys(compact(method.seeds[0].learning_rate) for method in pair)
        side = first["image_size"] or 32
        cells = (", ".join(f"{size:.0f}".replace("-", "−") for size in both) for both in sizes)
        row = (str(first["depth"]), f"{side}×{side}", change, ", ".join(rates), *cells)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(dict.fromkeys(lines))


def _median_size(runs: Sequence[Record], epoch: int) -> float:
    shares = np.sum([run["update_histogram"][epoch] for run in runs], 0, dtype=float)
    below = np.concatenate([[0.0], np.cumsum(shares / shares.sum())])
    return float(np.interp(0.5, below, np.arange(len(below)))) - len(shares)


def rotation_table(reduced: Sequence[Record]) -> str:
    """Return a Markdown table of angular updates, at the best grid point of the runs that have them.

    Angles are means over the second half of the epochs, and over seeds.

    Args:
      reduced: Runs at the preset ``reduced``; those without recorded angles do not count.
    """
    lines = [
        "| ResNet | optimizer | (α, λ) | 10th percentile, mrad | median | 90th percentile | test error, % | seeds |",
        "| --- | --- | --- | --: | --: | --: | --: | --: |",
    ]
    turning = [run for run in plain(reduced) if (run.get("angular_update") or [[None]])[0][0]]
    for depth, optimizer in sorted({(run["depth"], run["optimizer"]) for run in turning}):
        own = select(turning, depth=depth, optimizer=optimizer)
        winner = best(own)
        if winner is None:
            continue
        at = {name: winner[name] for name in ("learning_rate", "weight_decay")}
        seeds = select(own, **at)
        late = [run["angular_update"][len(run["angular_update"]) // 2 :] for run in seeds]
        angles = (f"{float(f'{1e3 * angle:.2g}'):g}" for angle in np.mean(np.concatenate(late), 0))
        error = _mean(seeds)
        row = (str(depth), f"`{optimizer}`", grid_point(winner), *angles, error, str(len(seeds)))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)

"""Markdown tables of the documentation, from claims and records."""

import collections
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, contrast, estimate, gap, percent, select
from adamprox.report.plots import LABELS
from adamprox.sweep import Record, Run, run_key
from adamprox.sweep.provenance import origin
from adamprox.training import TrainingRun
from adamprox.training.cost import estimate as estimate_cost
from adamprox.training.cost import in_words, reckoned
from experiments.claims import by_margin
from experiments.protocol import Records, Study
from experiments.registry import EXPERIMENTS
from experiments.tuning import Tuned

SPOKEN = (Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE)


def claims_table(claims: Sequence[Claim]) -> str:
    """Return a Markdown table of verdicts, followed by the number of claims that are not run."""
    judged = [claim for claim in claims if claim.verdict is not Verdict.NOT_RUN]
    rows = ["| paper | claim | measured | verdict |", "| --- | --- | --- | --- |"]
    for claim in judged:
        cells = claim.section, claim.statement, f"{claim.measured}. {claim.note}".strip()
        rows.append(f"| {' | '.join(map(_escaped, cells))} | **{claim.verdict.value}** |")
    waiting = len(claims) - len(judged)
    line = ["", f"{waiting} claims wait for runs that have not been made."] if waiting else []
    return "\n".join([*rows, *line])


def summary_table(claims: Sequence[tuple[str, Claim]]) -> str:
    """Return a Markdown table of verdicts by experiment."""
    verdicts: dict[str, collections.Counter] = {}
    for name, claim in claims:
        if claim.verdict in SPOKEN:
            verdicts.setdefault(name, collections.Counter())[claim.verdict] += 1
    rows = [
        f"| | claim | {' | '.join(v.value for v in SPOKEN)} |",
        "| --- | --- | --: | --: | --: |",
    ]
    for name, counts in verdicts.items():
        title, _, _ = EXPERIMENTS[name].title.partition(" · ")
        spoken = " | ".join(f"{counts[v] or ''}" for v in SPOKEN)
        rows.append(f"| {title} | {_escaped(EXPERIMENTS[name].claim)} | {spoken} |")
    waiting = sum(claim.verdict is Verdict.NOT_RUN for _, claim in claims)
    return "\n".join([*rows, "", f"{waiting} more claims wait for runs that have not been made."])


def waiting_table(studies: Mapping[str, Study], records: Records) -> str:
    """Return a Markdown table of missing runs, by experiment and network.

    Only experiments with claims that are not run count.

    Args:
      studies: Experiments by name, of which some have claims that are not run.
      records: All finished runs.
    """
    rows = ["| experiment | network | runs | time of one core |", "| --- | --- | --: | --: |"]
    left: dict[str, Run] = {}
    for name, study in studies.items():
        if all(claim.verdict is not Verdict.NOT_RUN for claim in study.claims()):
            continue
        mine: dict[str, dict[str, Run]] = {}
        for run in study.runs:
            if (key := run_key(run)) not in records and key not in left:
                mine.setdefault(_network(run), {})[key] = run
        for network, runs in mine.items():
            cost = in_words(estimate_cost([*runs.values()], [*records.values()]))
            rows.append(f"| `{name}` | {network} | {len(runs)} | {cost} |")
            left.update(runs)
    total = in_words(estimate_cost([*left.values()], [*records.values()]))
    return "\n".join([*rows, f"| all | | {len(left)} | {total} |"])


def _network(run: Run) -> str:
    if not isinstance(run, TrainingRun):
        return "on several devices"
    options = run.config()
    norm = "with" if options["batch_norm"] else "without"
    return f"{options['network']}-{options['depth']} {norm} BatchNorm"


def trained_table(records: Sequence[Record]) -> str:
    """Return a Markdown table of all runs, by network and optimizer.

    The best run is chosen among runs of seed 0, initialization 0 and loss multiplier 1.
    """
    rows = ["| network | optimizer | runs | diverged | best (α, λ) | time |", "| --- " * 6 + "|"]
    kinds: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["depth"], r["batch_norm"], r["optimizer"])):
        norm = "with" if record["batch_norm"] else "without"
        network = f"{record['network']}-{record['depth']} {norm} BatchNorm"
        network += ", SkipInit" if record["skip_init"] else ""
        network += f", {record['train_size']:,} images of {record['dataset']}"
        network += ", flipped and shifted" if record["augment"] else ""
        network += f", {record['epochs']} epochs"
        kinds.setdefault((network, record["optimizer"]), []).append(record)
    for (network, optimizer), own in kinds.items():
        diverged = sum(bool(record["diverged_step"]) for record in own)
        seconds = in_words(sum(record["seconds"] for record in own))
        grid = [r for r in own if (r["seed"], r["init_seed"], r["loss_multiplier"]) == (0, 0, 1)]
        row = network, f"`{optimizer}`", str(len(own)), str(diverged), _lowest(grid), seconds
        rows.append(f"| {' | '.join(row)} |")
    origins = [origin(record) for record in records]
    machines = sorted({f"{o['cpu']}, jax {o['jax']}" for o in origins})
    total = in_words(sum(record["seconds"] for record in records))
    dirty = sum(o["commit"].endswith("-dirty") for o in origins)
    summary = (
        f"{len(records)} runs, {total} of one core in all, on {'; '.join(machines)}. {dirty} come from "
        "a checkout with uncommitted changes; their records say `-dirty`."
    )
    return "\n".join([*rows, "", summary])


def headline_table(paper: Sequence[Record], reduced: Sequence[Record]) -> str:
    """Return a Markdown table of Adam-ℓ2 against AdamW on ResNets without BatchNorm.

    Each optimizer is shown at its best grid point, with the seeds that both have there.

    Args:
      paper: Runs at the size of the paper.
      reduced: Runs at the preset ``reduced``; runs with augmentation do not count.
    """
    rows = [
        "| ResNet | images, epochs | Adam-ℓ2, % | AdamW, % | AdamW's lead, points | seeds | AdamW's error is lower |",
        "| --- | --- | --: | --: | --: | --: | --- |",
    ]
    sources = (paper, select(reduced, augment=False, compute_dtype="float32"))
    for records in sources:
        plain = select(records, network="resnet", batch_norm=False, skip_init=False)
        plain = select(plain, init_seed=0, loss_multiplier=1)
        by_depth = {}  # of several lengths, the longest with both optimizers
        for depth, epochs in sorted({(r["depth"], r["epochs"]) for r in plain}):
            own = select(plain, depth=depth, epochs=epochs)
            pair = [_best_runs(select(own, optimizer=name)) for name in ("adam_l2", "adamw")]
            if all(pair):
                by_depth[depth] = _headline_row(*pair)
        rows += by_depth.values()
    return "\n".join(rows)


def _best_runs(runs: Sequence[Record]) -> list[Record]:
    """Return the runs of every seed at the grid point with the lowest error of seed 0."""
    winner = best(select(runs, seed=0))
    if winner is None:
        return []
    return select(runs, **{name: winner[name] for name in ("learning_rate", "weight_decay")})


def _headline_row(l2: Sequence[Record], adamw: Sequence[Record]) -> str:
    seeds = {run["seed"] for run in l2} & {run["seed"] for run in adamw}
    l2, adamw = ([run for run in runs if run["seed"] in seeds] for runs in (l2, adamw))
    first, lead = adamw[0], gap(l2, adamw)
    side, images = first["image_size"] or 32, first["train_size"] or 50_000
    verdict = by_margin(lead.difference, lead.margin).value
    row = (
        str(first["depth"]),
        f"{images:,} of {side}×{side}, {first['epochs']}",
        *(str(estimate(runs)).partition(" %")[0] for runs in (l2, adamw)),
        f"{100 * lead.difference:+.1f} ± {100 * lead.margin:.1f}".replace("-", "−"),
        str(len(seeds)) + (" (± of the test set)" if len(seeds) < 2 else ""),
        verdict,
    )
    return f"| {' | '.join(row)} |"


def factorial_table(rows: Mapping[str, Sequence[Tuned]]) -> str:
    """Return a Markdown table of the factorial experiment, with both effects where it is complete.

    Args:
      rows: Methods (neither, mixing, scaling, both) by the name of the network.
    """
    lines = [
        "| network | neither: AdamW | mixing: scale-free Adam-ℓ2 | scaling: ProxGen | both: Adam-ℓ2 | effect of scaling, points | effect of mixing, points |",
        "| --- | --- | --- | --- | --- | --: | --: |",
    ]
    for name, row in rows.items():
        effects = ["—", "—"]
        if not any(method.missing for method in row):
            errors = [[run["final_test_error"] for run in method.finished] for method in row]
            weights = (-0.5, -0.5, 0.5, 0.5), (-0.5, 0.5, -0.5, 0.5)
            effects = [str(contrast(errors, w)).removesuffix(" points") for w in weights]
        means = [str(estimate(method.seeds) or "—") for method in row]
        lines.append(f"| {' | '.join([name, *means, *effects])} |")
    return "\n".join(lines)


def statistics_table(reduced: Sequence[Record]) -> str:
    """Return a Markdown table of p-values of Fig. 3's leads: unpaired, corrected by Holm, and paired.

    Args:
      reduced: Runs at the preset ``reduced``.
    """
    found = {}
    for depth in (20, 56, 110):
        own = select(_plain(reduced), depth=depth, compute_dtype="float32")
        l2, adamw = (
            {
                run["seed"]: run["final_test_error"]
                for run in _best_runs(select(own, optimizer=name))
            }
            for name in ("adam_l2", "adamw")
        )
        seeds = sorted(l2.keys() & adamw.keys())
        found[depth] = np.array([[l2[seed], adamw[seed]] for seed in seeds]).T
    tests: list[Any] = [stats.ttest_ind(*errors, equal_var=False) for errors in found.values()]
    welch = [test.pvalue for test in tests]
    rows = [
        "| ResNet | seeds | p, Welch | p, Holm | p, paired | correlation over seeds |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for (depth, errors), single, corrected in zip(found.items(), welch, holm(welch), strict=True):
        paired: Any = stats.ttest_rel(*errors)
        correlation = f"{np.corrcoef(errors)[0, 1]:.2f}".replace("-", "−")
        values = " | ".join(f"{p:.2g}" for p in (single, corrected, paired.pvalue))
        rows.append(f"| {depth} | {errors.shape[1]} | {values} | {correlation} |")
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
    half = select(_plain(reduced), compute_dtype="bfloat16")
    for depth, optimizer in sorted({(r["depth"], r["optimizer"]) for r in half}):
        own = select(half, depth=depth, optimizer=optimizer)
        at = {name: own[0][name] for name in ("learning_rate", "weight_decay")}
        like = {"depth": depth, "optimizer": optimizer, "compute_dtype": "float32", **at}
        seeds = {run["seed"] for run in own}
        whole = [run for run in select(_plain(reduced), **like) if run["seed"] in seeds]
        means = (str(estimate(runs)).partition(" %")[0] for runs in (whole, own))
        difference = str(gap(own, whole)).removesuffix(" points")
        row = (str(depth), LABELS[optimizer], *means, difference, str(len(seeds)))
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def _plain(reduced: Sequence[Record]) -> list[Record]:
    """Return the runs of ResNets without BatchNorm or any change of the protocol."""
    plain = select(reduced, network="resnet", batch_norm=False, skip_init=False, augment=False)
    return select(plain, init_seed=0, loss_multiplier=1, epochs=30)


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


def runs_table(records: Sequence[Record]) -> str:
    """Return a Markdown table of single runs, ordered by depth and epochs."""
    rows = [
        "| network | optimizer | (α, λ) | seed | epochs | activations | test error | training error | time | device |",
        "| --- | --- | --- | --: | --: | --- | --: | --: | --: | --- |",
    ]
    order = ("depth", "epochs", "optimizer", "seed")
    for record in sorted(records, key=lambda r: [r[name] for name in order]):
        row = (
            f"{record['network']}-{record['depth']}",
            f"`{record['optimizer']}`",
            _at(record),
            str(record["seed"]),
            str(record["epochs"]),
            record["compute_dtype"],
            *map(_percent, (record["final_test_error"], record["train_set_error"][-1])),
            in_words(record["seconds"]),
            origin(record)["device"],
        )
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def cost_table(records: Sequence[Record]) -> str:
    """Return a Markdown table of estimated and measured times of runs."""
    rows = [
        "| network | runs | estimated, s a run | measured, s a run (quartiles) |",
        "| --- | --: | --: | --: |",
    ]
    kinds: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["network"], r["depth"])):
        if not record["diverged_step"]:
            network = f"{record['network']}-{record['depth']}, {record['train_size']:,} images"
            network += f", {record['epochs']} epochs"
            kinds.setdefault(network, []).append(record)
    for network, own in kinds.items():
        run = TrainingRun.from_columns(own[0])
        low, middle, high = np.quantile([record["seconds"] for record in own], (0.25, 0.5, 0.75))
        took = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        rows.append(f"| {network} | {len(own)} | {reckoned(run):.3g} | {took} |")
    return "\n".join(rows)


def _percent(fraction: float | None) -> str:
    return "—" if fraction is None else percent(fraction)


def _lowest(records: Sequence[Record]) -> str:
    winner = best(records)
    if winner is None:
        return ""
    return f"{percent(winner['final_test_error'])} at {_at(winner)}"


def _at(record: Record) -> str:
    return f"({compact(record['learning_rate'])}, {compact(record['weight_decay'])})"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def filled(page: str, parts: dict[str, str]) -> str:
    """Return ``page`` with the text between ``<!-- NAME -->`` and ``<!-- end -->`` replaced."""
    for name, text in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        page = pattern.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    return page

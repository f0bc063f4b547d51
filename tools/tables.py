"""Markdown tables of the documentation, from claims and records."""

import collections
import re
from collections.abc import Mapping, Sequence

import numpy as np

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, percent
from adamprox.report.cost import cost_in_seconds, in_words
from adamprox.sweep import Record, Run, run_key
from adamprox.training import TrainingRun
from experiments.protocol import Records, Study
from experiments.registry import EXPERIMENTS

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
            cost = in_words(cost_in_seconds([*runs.values()], [*records.values()]))
            rows.append(f"| `{name}` | {network} | {len(runs)} | {cost} |")
            left.update(runs)
    total = in_words(cost_in_seconds([*left.values()], [*records.values()]))
    return "\n".join([*rows, f"| all | | {len(left)} | {total} |"])


def _network(run: Run) -> str:
    return run.network.title if isinstance(run, TrainingRun) else run.kind


def trained_table(records: Sequence[Record]) -> str:
    """Return a Markdown table of all runs, by network and optimizer.

    The best run is chosen among runs of seed 0, initialization 0 and loss multiplier 1.
    """
    rows = ["| network | optimizer | runs | diverged | best (α, λ) | time |", "| --- " * 6 + "|"]
    kinds: dict[tuple[str, str], list[Record]] = {}
    order = ("depth", "batch_norm", "optimizer", "compute_dtype", "statistics_groups")
    for record in sorted(records, key=lambda r: [r[column] for column in order]):
        network = TrainingRun.from_columns(record).network.title
        network += f", {record['train_size']:,} images of {record['dataset']}"
        network += ", flipped and shifted" if record["augment"] else ""
        network += f", {record['epochs']} epochs" + _variant(record)
        kinds.setdefault((network, record["optimizer"]), []).append(record)
    for (network, optimizer), own in kinds.items():
        diverged = sum(bool(record["diverged_step"]) for record in own)
        seconds = in_words(sum(record["seconds"] for record in own))
        grid = [r for r in own if (r["seed"], r["init_seed"], r["loss_multiplier"]) == (0, 0, 1)]
        row = network, f"`{optimizer}`", str(len(own)), str(diverged), _lowest(grid), seconds
        rows.append(f"| {' | '.join(row)} |")
    origins = [record.origin for record in records]
    machines = sorted({f"{o['cpu']}, jax {o['jax']}" for o in origins})
    total = in_words(sum(record["seconds"] for record in records))
    dirty = sum(o["commit"].endswith("-dirty") for o in origins)
    summary = (
        f"{len(records):,} runs, {total} of one core in all, on {'; '.join(machines)}. {dirty} come from "
        "a checkout with uncommitted changes; their records say `-dirty`."
    )
    return "\n".join([*rows, "", summary])


def _variant(record: Record) -> str:
    """Return what makes a run slower or its statistics other than its network's, as text."""
    dtype, groups = record["compute_dtype"], record["statistics_groups"]
    text = f", {dtype}" if dtype != "float32" else ""
    return text + (f", statistics of {groups} devices" if groups > 1 else "")


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
            grid_point(record),
            str(record["seed"]),
            str(record["epochs"]),
            record["compute_dtype"],
            *map(_percent, (record["final_test_error"], record["train_set_error"][-1])),
            in_words(record["seconds"]),
            record.origin["device"],
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
    order = ("network", "depth", "compute_dtype", "statistics_groups")
    for record in sorted(records, key=lambda r: [r[column] for column in order]):
        if not record["diverged_step"]:
            network = f"{record['network']}-{record['depth']}, {record['train_size']:,} images"
            network += f", {record['epochs']} epochs" + _variant(record)
            kinds.setdefault(network, []).append(record)
    for network, own in kinds.items():
        run = TrainingRun.from_columns(own[0])
        low, middle, high = np.quantile([record["seconds"] for record in own], (0.25, 0.5, 0.75))
        took = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        estimated = f"{cost_in_seconds([run], []):.3g}"
        rows.append(f"| {network} | {len(own)} | {estimated} | {took} |")
    return "\n".join(rows)


def _percent(fraction: float | None) -> str:
    return "—" if fraction is None else percent(fraction)


def _lowest(records: Sequence[Record]) -> str:
    winner = best(records)
    if winner is None:
        return ""
    return f"{percent(winner['final_test_error'])} at {grid_point(winner)}"


def grid_point(record: Record) -> str:
    """Return (α, λ) of a run."""
    return f"({compact(record['learning_rate'])}, {compact(record['weight_decay'])})"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def filled(page: str, parts: dict[str, str]) -> str:
    """Return ``page`` with the text between ``<!-- NAME -->`` and ``<!-- end -->`` replaced."""
    for name, text in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        page = pattern.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    return page

"""Markdown tables of the documentation, from claims and records."""

import collections
import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from adamprox.report import Claim, Verdict
from adamprox.report.claims import best, compact, percent
from adamprox.sweep import Record
from adamprox.sweep.provenance import origin
from adamprox.training import TrainingCell
from experiments.catalogue import CATALOGUE
from experiments.cost import in_words, reckoned

SPOKEN = (Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED)


def claims_table(claims: Sequence[Claim]) -> str:
    """A Markdown table of verdicts; what is not run comes in one line below it."""
    judged = [claim for claim in claims if claim.verdict is not Verdict.NOT_RUN]
    rows = ["| paper | claim | measured | verdict |", "| --- | --- | --- | --- |"]
    for claim in judged:
        cells = claim.section, claim.statement, f"{claim.measured}. {claim.note}".strip()
        rows.append(f"| {' | '.join(map(_escaped, cells))} | **{claim.verdict.value}** |")
    waiting = len(claims) - len(judged)
    line = ["", f"{waiting} claims wait for cells that have not been run."] if waiting else []
    return "\n".join([*rows, *line])


def summary_table(claims: Sequence[tuple[str, Claim]]) -> str:
    """A Markdown table of how the claims, each after its experiment's name, have fared."""
    verdicts: dict[str, collections.Counter] = {}
    for name, claim in claims:
        if claim.verdict in SPOKEN:
            verdicts.setdefault(name, collections.Counter())[claim.verdict] += 1
    rows = [
        f"| | claim | {' | '.join(v.value for v in SPOKEN)} |",
        "| --- | --- | --: | --: | --: |",
    ]
    for name, counts in verdicts.items():
        title, _, _ = CATALOGUE[name].title.partition(" · ")
        spoken = " | ".join(f"{counts[v] or ''}" for v in SPOKEN)
        rows.append(f"| {title} | {_escaped(CATALOGUE[name].claim)} | {spoken} |")
    waiting = sum(claim.verdict is Verdict.NOT_RUN for _, claim in claims)
    return "\n".join([*rows, "", f"{waiting} more claims wait for cells that have not been run."])


def cells_table(records: Sequence[Record]) -> str:
    """A Markdown table of how much was trained, by network and optimizer.

    The best is among cells as they are in a grid: of the first seed, initialization and loss.
    """
    rows = ["| network | optimizer | cells | diverged | best (α, λ) | time |", "| --- " * 6 + "|"]
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
        f"{len(records)} cells, {total} of one core in all, on {'; '.join(machines)}. {dirty} come from "
        "a checkout with changes that were not committed; their records say `-dirty`."
    )
    return "\n".join([*rows, "", summary])


def runs_table(records: Sequence[Record]) -> str:
    """A Markdown table of single runs, longer ones last; times are of the device named."""
    rows = [
        "| network | optimizer | (α, λ) | epochs | test error | training error | time | device |",
        "| --- | --- | --- | --: | --: | --: | --: | --- |",
    ]
    for record in sorted(records, key=lambda r: (r["depth"], r["epochs"], r["optimizer"])):
        row = (
            f"{record['network']}-{record['depth']}",
            f"`{record['optimizer']}`",
            _at(record),
            str(record["epochs"]),
            *map(_percent, (record["final_test_error"], record["train_set_error"][-1])),
            in_words(record["seconds"]),
            origin(record)["device"],
        )
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def cost_table(records: Sequence[Record]) -> str:
    """A Markdown table of what cells were reckoned to take and took; it needs their images."""
    rows = [
        "| network | cells | reckoned, s a cell | measured, s a cell (quartiles) |",
        "| --- | --: | --: | --: |",
    ]
    options = [field.name for field in dataclasses.fields(TrainingCell)]
    kinds: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["network"], r["depth"])):
        if not record["diverged_step"]:
            network = f"{record['network']}-{record['depth']}, {record['train_size']:,} images"
            network += f", {record['epochs']} epochs"
            kinds.setdefault(network, []).append(record)
    for network, own in kinds.items():
        cell = TrainingCell(**{name: own[0][name] for name in options if name in own[0]})
        low, middle, high = np.quantile([record["seconds"] for record in own], (0.25, 0.5, 0.75))
        took = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        rows.append(f"| {network} | {len(own)} | {reckoned(cell):.3g} | {took} |")
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
    """``page`` with the text between ``<!-- NAME -->`` and ``<!-- end -->`` replaced."""
    for name, text in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        page = pattern.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    return page

"""§5: without BatchNorm, training does not depend on how many devices share a batch.

Claim (§5): AdamW trains well without BatchNorm, whose statistics get noisy where devices that share a
batch keep them to themselves; so it suits distributed training.
Command: python -m experiments distributed --preset demo
Cost: 30 s at smoke, 60 s at demo on two CPU cores; ``all`` leaves it out at demo.
Expect: flat lines without BatchNorm, AdamW's below Adam-ℓ2's; with BatchNorm a line that bends as each
device sees fewer images. The flat lines are runs on one device: that sharding changes nothing but
rounding is measured on forced devices, and per-device statistics are computed on one device.
"""

import dataclasses

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import estimate, gap, percent, untested
from adamprox.report.plots import COLORS, canvas
from adamprox.sweep import Cell, cell_key
from adamprox.sweep.grid import Grid
from adamprox.training import TrainingCell
from experiments import comparison, verdicts
from experiments.arm import Arm
from experiments.experiment import Experiment
from experiments.protocol import Protocol
from experiments.sharded_cell import ShardedCell

DEVICES = (1, 2, 4, 8)
SECTION = "§5"
PLAIN = {"batch_norm": False}


def arms(protocol: Protocol) -> tuple[Arm, Arm]:
    """AdamW and Adam-ℓ2 without BatchNorm; the demo tunes λ alone, of a small network."""
    if protocol.preset != "demo":
        return Arm("adamw", options=PLAIN), Arm("adam_l2", options=PLAIN)
    adamw, l2 = (Grid((1e-3,), protocol.weight_decays_of(name)) for name in ("adamw", "adam_l2"))
    options = {**PLAIN, "depth": 8}
    return Arm("adamw", options=options, grid=adamw), Arm("adam_l2", options=options, grid=l2)


def with_statistics(protocol: Protocol, devices: int) -> list[TrainingCell]:
    """AdamW with BatchNorm on so many devices, a cell a seed, at the published best: large α, λ = 0."""
    options = {**arms(protocol)[0].options, "batch_norm": True, "statistics_groups": devices}
    cell = protocol.cell("adamw", protocol.learning_rates[-1], 0.0, **options)
    return [dataclasses.replace(cell, seed=cell.seed + k) for k in range(protocol.seeds)]


def sharded(protocol: Protocol) -> ShardedCell:
    """Real sharding: of a tiny network at smoke, of a ResNet from the demo on."""
    small = {"devices": (1, 2), "network": "mlp", "depth": 2}
    return ShardedCell(**small) if protocol.preset == "smoke" else ShardedCell()


def cells(protocol: Protocol, records=()) -> list[Cell]:
    """Two grids, BatchNorm on 1 to 8 devices, one run on real shards."""
    grids = comparison.cells(arms(protocol), protocol, records)
    counts = (1, DEVICES[-1]) if protocol.preset == "smoke" else DEVICES  # each is compiled
    statistics = [cell for n in counts for cell in with_statistics(protocol, n)]
    return [*grids, *statistics, sharded(protocol)]


def runs_with_statistics(protocol: Protocol, records, devices: int):
    """The records of `with_statistics`."""
    keys = {cell_key(cell) for cell in with_statistics(protocol, devices)}
    return [r for r in records if r["key"] in keys]


def plot(protocol: Protocol, records) -> list[Figure]:
    """Final test error against the number of devices."""
    figure, axes = canvas(1, 1, 7.5, 3.6)
    ax = axes[0, 0]
    for arm in arms(protocol):
        if found := estimate(arm.runs(protocol, records)):
            error = 100 * found.mean
            label, color = f"{comparison.name(arm)} without BatchNorm", COLORS[arm.optimizer]
            ax.plot(DEVICES, [error] * len(DEVICES), "o-", color=color, label=label)
    found = [estimate(runs_with_statistics(protocol, records, n)) for n in DEVICES]
    means = [100 * e.mean if e else np.nan for e in found]
    widths = [100 * (e.half_width or 0) if e else 0 for e in found]
    label = "AdamW with BatchNorm,\nstatistics of each device"
    ax.errorbar(DEVICES, means, widths, fmt="s--", color="#7a5195", capsize=3, label=label)
    ax.set_xscale("log", base=2)
    batch = TrainingCell.of(**protocol.training).images.batch_size
    ticks = [f"{n}\n({batch // n} each)" for n in DEVICES]
    ax.set_xticks(DEVICES, ticks)
    ax.set(xlabel="devices (images of a batch)", ylabel="test error, %")
    ax.set_ylim(0, None)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    caption = (
        f"A batch of {batch} images over more and more devices. Without BatchNorm an image does not "
        "know what else is in its batch, so the lines are flat; with it, each device normalizes by "
        "the few images it has."
    )
    return [Figure("distributed", "One batch, many devices.", caption, figure)]


def independent(protocol: Protocol, records) -> Claim:
    """The losses of real shards against those of one device."""
    statement = "Without BatchNorm the losses do not depend on the number of devices."
    bar = "training losses of every epoch equal to 1e-4, relative"
    record = next((r for r in records if r["kind"] == "sharded"), None)
    if not record:
        return verdicts.not_run(SECTION, statement, "The cell on real shards has no record.")
    if reason := untested(protocol.preset):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    losses = np.asarray(record["train_losses"])
    worst = float(np.abs(losses / losses[0] - 1).max())
    measured = f"{worst:.1e} on {' and '.join(map(str, record['devices']))} devices"
    verdict = Verdict.REPRODUCED if worst <= 1e-4 else Verdict.NOT_REPRODUCED
    return Claim(SECTION, statement, measured, bar, verdict, "CPU devices of one process.")


def dependent(protocol: Protocol, records) -> Claim:
    """BatchNorm's error on the most devices against that on one."""
    most = DEVICES[-1]
    statement = f"With BatchNorm the test error on {most} devices is not that on one."
    bar = "a difference beyond the noise (95 %); none is not evidence of none"
    runs = [runs_with_statistics(protocol, records, n) for n in (1, most)]
    if not all(runs):
        return verdicts.not_run(SECTION, statement, "Cells with BatchNorm have no record.")
    finished = [[r for r in rs if r["final_test_error"] is not None] for rs in runs]
    if reason := untested(protocol.preset, *finished):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    one, many = finished
    lead = gap(many, one)
    measured = f"{estimate(one)} on one, {estimate(many)} on {most}"
    verdict = Verdict.REPRODUCED if abs(lead.difference) > lead.margin else Verdict.INCONCLUSIVE
    note = f"Differences below {percent(lead.margin)} are noise."
    return Claim(SECTION, statement, measured, bar, verdict, note)


EXPERIMENT = Experiment(
    name="distributed",
    title="Section 5 · Distributed training",
    claim="Without BatchNorm the number of devices does not matter, and AdamW trains well without.",
    cost={"smoke": "30 s", "reduced": "1 h", "paper": "3 months"},
    cells=cells,
    figures=plot,
    claims=lambda protocol, records: [
        independent(protocol, records),
        verdicts.lower_error(protocol, *arms(protocol), records, SECTION, "Without BatchNorm, "),
        dependent(protocol, records),
    ],
)

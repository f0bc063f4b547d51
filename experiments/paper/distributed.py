"""§5: without BatchNorm, training does not depend on the number of devices that share a batch.

Claim (§5): AdamW trains well without BatchNorm, which suits many devices. BatchNorm's statistics are noisy if
every device computes them from its own part of the batch.
Command: python -m experiments distributed --preset demo
Expect: flat lines without BatchNorm, AdamW's below Adam-ℓ2's; with BatchNorm a test error that changes as
each device sees fewer images. The flat lines are runs on one device: a separate run on forced CPU devices
measures that sharding changes only rounding. One device computes the statistics of all devices.
"""

import dataclasses

import numpy as np

from adamprox.report import Claim, Figure, Verdict
from adamprox.report.claims import estimate, gap
from adamprox.report.plots import COLORS, canvas
from adamprox.training.sharded_run import ShardedRun
from experiments.claims import ONE_SEED, Finding, accuracy, claim, met, need_judged, need_records
from experiments.protocol import Experiment, Options, Protocol, Records, Study
from experiments.tuning import Method, wanted, with_seeds

SECTION = "§5"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of the network, numbers of devices, and options of the sharded run."""

    options: Options = dataclasses.field(default_factory=dict)
    devices: tuple[int, ...] = (1, 2, 4, 8)
    sharded: Options = dataclasses.field(default_factory=dict)


class Distributed(Study):
    """Two grids without BatchNorm, AdamW with BatchNorm on 1 to 8 devices, and a sharded run."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both methods, and find the other runs."""
        settings = protocol.settings_of("distributed", Settings)
        options = {"batch_norm": False, **settings.options}
        self.protocol, self.records, self.devices = protocol, records, settings.devices
        self.methods = [
            Method(name, options=options).tuned_on(protocol, records)
            for name in ("adamw", "adam_l2")
        ]
        self.sharded = ShardedRun(**settings.sharded)
        # The authors' best hyperparameters with BatchNorm are a large α and λ = 0.
        alpha = protocol.learning_rates[-1]
        self.batch_norm = {
            count: with_seeds(
                protocol.run(
                    "adamw",
                    alpha,
                    0.0,
                    **options | {"batch_norm": True, "statistics_groups": count},
                ),
                protocol.seeds,
            )
            for count in self.devices
        }
        statistics = [run for runs in self.batch_norm.values() for run in runs]
        self.runs = [*wanted(self.methods), *statistics, self.sharded]

    def figures(self) -> list[Figure]:
        """Draw test error against the number of devices."""
        figure, axes = canvas(1, 1, 7.5, 3.6)
        ax = axes[0, 0]
        for method in self.methods:
            if found := estimate(method.seeds):
                label = f"{method.name} without BatchNorm"
                errors = [100 * found.mean] * len(self.devices)
                ax.plot(self.devices, errors, "o-", color=COLORS[method.optimizer], label=label)
        found = [estimate(self.records.of(runs)) for runs in self.batch_norm.values()]
        means = [100 * e.mean if e else np.nan for e in found]
        widths = [100 * (e.half_width or 0) if e else 0 for e in found]
        label = "AdamW with BatchNorm,\nstatistics of each device"
        ax.errorbar(self.devices, means, widths, fmt="s--", color="#7a5195", capsize=3, label=label)
        ax.set_xscale("log", base=2)
        batch = self.batch_norm[self.devices[0]][0].images.batch_size
        ax.set_xticks(self.devices, [f"{n}\n({batch // n} each)" for n in self.devices])
        ax.set(xlabel="devices (images of a batch)", ylabel="test error, %")
        ax.set_ylim(0, None)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        caption = (
            f"A batch of {batch} images is divided over the devices. Without BatchNorm the prediction for an "
            "image does not depend on its batch, and one run gives the whole line. With BatchNorm each "
            "device normalizes by the images that it has."
        )
        return [Figure("distributed", "Test error against the number of devices.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge sharding, AdamW's error, and the effect of per-device statistics."""
        independent = claim(
            SECTION,
            "Without BatchNorm the losses do not depend on the number of devices.",
            "relative difference of the training losses at most 1e-4 in every epoch",
            self._independent,
        )
        most = self.devices[-1]
        dependent = claim(
            SECTION,
            f"With BatchNorm the test error on {most} devices differs from that on one.",
            "difference larger than the margin of error (95 %); within it: inconclusive",
            self._dependent,
        )
        adamw, l2 = self.methods
        lower = accuracy.lower_error(adamw, l2, SECTION, "Without BatchNorm: ")
        return [independent, lower, dependent]

    def _independent(self) -> Finding:
        (record,) = need_records(self.records, [self.sharded])
        need_judged(self.protocol)
        losses = np.asarray(record["train_losses"])
        worst = float(np.abs(losses / losses[0] - 1).max())
        measured = f"{worst:.1e} on {' and '.join(map(str, record['devices']))} devices"
        verdict = met(worst <= 1e-4)
        return Finding(measured, verdict, f"CPU devices of one process. {ONE_SEED}")

    def _dependent(self) -> Finding:
        most = self.devices[-1]
        runs = [self.batch_norm[count] for count in (1, most)]
        need_records(self.records, [run for its in runs for run in its])
        one, many = (self.records.of(its) for its in runs)
        need_judged(self.protocol, estimate(one), estimate(many))
        lead = gap(many, one)
        verdict = Verdict.REPRODUCED if lead.differs else Verdict.INCONCLUSIVE
        note = f"The second minus the first is {lead}."
        measured = f"{estimate(one)} on one, {estimate(many)} on {most}"
        return Finding(measured, verdict, note)


EXPERIMENT = Experiment(
    name="distributed",
    title="Section 5 · Distributed training",
    claim="Without BatchNorm the losses do not depend on the number of devices, and AdamW trains well.",
    study=Distributed,
)

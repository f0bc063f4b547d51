"""Figs. 2 and 3: Adam-ℓ2 against AdamW on deep networks, with and without BatchNorm.

Claims (§4.1): with BatchNorm both reach the same test error (Fig. 2). Without it AdamW's is
lower, its lead grows with depth, and its updates spread less (Fig. 3).
Commands: python -m experiments fig02 --preset reduced; python -m experiments fig03 --preset demo
Expect: at demo, different histograms, and equal errors within the margin of the small test set.
"""

from adamprox.report import Claim, Figure
from adamprox.report.plots import LABELS
from experiments import figures
from experiments.claims import accuracy, spread
from experiments.protocol import Experiment, Protocol, Records, Study
from experiments.tuning import Method, complete, wanted


class WithBatchNorm(Study):
    """Adam-ℓ2 and AdamW on every network, with BatchNorm."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune both on every network."""
        self.rows = [
            [
                Method(
                    optimizer,
                    options={**network.options, "batch_norm": True},
                    grid=network.batch_norm_grids.get(optimizer),
                    label=f"{LABELS[optimizer]} ({name} with BatchNorm)",
                ).tuned_on(protocol, records)
                for optimizer in ("adam_l2", "adamw")
            ]
            for name, network in protocol.networks.items()
        ]
        self.runs = wanted(method for row in self.rows for method in row)

    def figures(self) -> list[Figure]:
        """Draw one row of heatmaps per network."""
        caption = (
            "Final test error in percent; a ring marks the best run of each grid. The paper predicts the "
            "same lowest error for both optimizers of a row."
        )
        return figures.heatmaps(self.rows, "fig02_heatmaps", "With BatchNorm.", caption)

    def claims(self) -> list[Claim]:
        """Judge the best errors on every network."""
        return [accuracy.equal_error(l2, adamw, "§4.1, Fig. 2") for l2, adamw in self.rows]


class WithoutBatchNorm(Study):
    """Adam-ℓ2, AdamW and AdamProx on every network, without BatchNorm."""

    def __init__(self, protocol: Protocol, records: Records):
        """Tune all three on every network."""
        self.protocol = protocol
        self.rows = {
            name: [
                Method.on(network, optimizer).tuned_on(protocol, records)
                for optimizer in ("adam_l2", "adamw", "adamprox")
            ]
            for name, network in protocol.networks.items()
        }
        self.runs = wanted(method for row in self.rows.values() for method in row)

    def figures(self) -> list[Figure]:
        """Draw heatmaps, and learning curves and update histograms of the best runs."""
        caption = (
            "Final test error in percent; a ring marks the best run, and grey tiles were not run. AdamW "
            "shrinks the weights by λ at each step. Adam-ℓ2 adds λx to the gradient, which Adam then divides "
            "by its own size."
        )
        networks = self.protocol.networks
        titles = {name: f"{self.protocol.trained_on(networks[name])}." for name in self.rows}
        return figures.by_network(self.rows, titles, "fig03", caption)

    def claims(self) -> list[Claim]:
        """Judge error and spread on every network, and the growth of the lead with depth."""
        section, judged = "§4.1, Fig. 3", []
        for name, (l2, adamw, _) in self.rows.items():
            where = f"{name} without BatchNorm: "
            judged += [
                accuracy.lower_error(adamw, l2, section, where),
                spread.smaller_spread(adamw, l2, section, where),
            ]
        resnets = [row for name, row in self.rows.items() if name.startswith("ResNet")]
        pairs = [(adamw, l2) for l2, adamw, _ in resnets]
        return [*judged, accuracy.lead_grows(pairs, section)]

    def headline(self) -> list[tuple[str, str]]:
        """Return AdamW's lead over Adam-ℓ2 on every network that has run."""
        leads = [
            (str(accuracy.lead(adamw, l2)), name)
            for name, (l2, adamw, _) in self.rows.items()
            if self.protocol.judged and complete((adamw, l2))
        ]
        what = "lead of AdamW over Adam-ℓ2 in test error"
        return [(lead, f"{what}, {name} without BatchNorm (± 95 %)") for lead, name in leads]


FIG02 = Experiment(
    name="fig02",
    title="Figure 2 · With BatchNorm",
    claim="With BatchNorm Adam-ℓ2 and AdamW reach the same error.",
    study=WithBatchNorm,
)
FIG03 = Experiment(
    name="fig03",
    title="Figure 3 · Deep networks without BatchNorm",
    claim="Without BatchNorm AdamW reaches a lower error than Adam-ℓ2, and its updates spread less.",
    study=WithoutBatchNorm,
)

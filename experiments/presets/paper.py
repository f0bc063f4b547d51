"""Published protocol (§4): 300 epochs of 391 steps on all images."""

from experiments.protocol import Network, Protocol

RESNETS = {f"ResNet-{depth}": Network(options={"depth": depth}) for depth in (20, 44, 56, 110, 218)}
"""ResNets of the paper, by the names that all presets use."""

EXPERIMENTS = (
    "fig01", "scale_freeness", "theorem3", "fig02", "fig03", "published_runs", "fig04", "fig05",
    "fig06", "fig07", "fig08", "fig09", "fig10", "fig11", "fig12", "spread_and_lead",
    "sgd_divergence", "l1_sparsity", "distributed", "factorial", "stale_second_moment", "changes_at_depth",
    "reparametrization", "adams_metric", "initialization", "tuning_budget", "data_size",
)  # fmt: skip
"""All experiments, in the order of the page."""

PAPER = Protocol(
    preset="paper",
    experiments=tuple(e for e in EXPERIMENTS if e not in ("data_size", "changes_at_depth")),
    training={
        "dataset": "cifar10",
        "depth": 20,
        "epochs": 300,
        "batch_size": 128,
        "augment": True,
        "evaluate_train": True,
    },
    learning_rates=(5e-5, 1e-4, 5e-4, 1e-3, 5e-3),
    weight_decays=(0.0, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3),
    l2_extension=(5e-3, 1e-2),
    extensions=6,
    seeds=3,
    networks={
        **RESNETS,
        "DenseNet": Network(options={"network": "densenet", "depth": 100, "dataset": "cifar100"}),
    },
    deep=Network(options={"depth": 110}),
    settings={
        "factorial": {"learning_rates": (5e-4, 1e-3)},
        "published_runs": {
            "seeds": {
                "ResNet-20": 8,
                "ResNet-44": 4,
                "ResNet-56": 4,
                "ResNet-110": 4,
                "ResNet-218": 1,
                "DenseNet": 1,
            },
        },
    },
)

"""Minutes on a CPU: 8×8 digits and ResNet-20.

The network memorizes 256 images in half of the epochs; then regularization determines the test error. A
decay of λ per step needs about 1/λ steps to take effect, and a run has 112 steps. Therefore λ is larger than
the paper's.
"""

from experiments.protocol import Network, Protocol

DEMO = Protocol(
    preset="demo",
    experiments=(
        "fig01", "scale_freeness", "theorem3", "fig03", "fig04", "fig05", "fig06", "fig07",
        "sgd_divergence", "l1_sparsity", "reparametrization", "tuning_budget",
    ),
    training={
        "train_size": 256,
        "depth": 20,
        "epochs": 28,
        "batch_size": 64,
        "evaluate_every": 7,
    },
    learning_rates=(5e-4, 1e-3, 2e-3),
    weight_decays=(0.0, 3e-4, 3e-3, 3e-2),
    l2_extension=(0.3,),
    networks={"ResNet-20": Network(options={"depth": 20})},
    settings={
        "sgd_divergence": {
            "depth": 56, "rates": (1e-10, 1e-6, 1e-4, 1e-2), "options": {"epochs": 20},
        },
        # Longer runs: a channel needs a few hundred steps to become empty.
        "l1_sparsity": {"ratios": (0.0, 0.1, 0.2, 0.3, 0.45, 0.6), "networks": {
            "fully connected": {
                "network": "mlp", "depth": 3, "width": 128, "epochs": 84, "evaluate_every": 28,
            },
            "convolutional": {"depth": 8, "epochs": 84, "evaluate_every": 28},
        }},
        "distributed": {"options": {"depth": 8}},
    },
)  # fmt: skip

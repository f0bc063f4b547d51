"""Every experiment within seconds, on tiny networks, as a check that everything runs."""

from experiments.presets.paper import EXPERIMENTS, RESNETS
from experiments.protocol import Network, Protocol

_TINY = {"network": "mlp", "depth": 3}  # compiles in a second

SMOKE = Protocol(
    preset="smoke",
    experiments=tuple(name for name in EXPERIMENTS if name != "changes_at_depth"),  # no deeper network
    training={"train_size": 64, "depth": 8, "epochs": 2, "batch_size": 32},
    learning_rates=(1e-3,),
    weight_decays=(0.0, 3e-3),
    loss_multipliers=(1.0, 10.0),
    networks={name: Network(options=_TINY) for name in (*RESNETS, "DenseNet")},
    deep=Network(options=_TINY),
    judged=False,
    settings={
        "published_runs": {"seeds": {"ResNet-20": 1}},
        "scale_freeness": {"epsilons": (0.0, 1e-8)},
        "theorem3": {"longer": (1,)},
        "sgd_divergence": {"rates": (1e-10, 1e-1), "options": _TINY},
        "l1_sparsity": {"ratios": (0.0, 0.3), "networks": {
            "fully connected": _TINY,
        }},
        "distributed": {
            "options": _TINY,
            "devices": (1, 2),
            "sharded": {"devices": (1, 2), "network": "mlp", "depth": 2},
        },
        "factorial": {"networks": ()},
        "data_size": {"options": _TINY},
    },
)  # fmt: skip

"""Hours on a CPU: real images at a sixteenth of the paper's pixels.

A run has a tenth of the images and a fiftieth of the steps (2,400 for 117,300, in batches of 64). Every
λ is 50 times the paper's, which keeps λ · T. Images are neither flipped nor shifted, because a network
must be able to memorize them within so short a run.
"""

import dataclasses

from experiments.grid import Grid
from experiments.presets.paper import EXPERIMENTS, RESNETS
from experiments.protocol import Network, Protocol

# A run takes six minutes. The grids lie around the best runs at 56 layers, at the α of either for both,
# with the smallest λ that both have.
_RESNET_110 = dataclasses.replace(
    RESNETS["ResNet-110"],
    grids={
        "adam_l2": Grid((5e-4, 1e-3), (0.0, 2.5e-3, 2.5e-2, 5e-2, 0.25)),
        "adamw": Grid((5e-4, 1e-3), (0.0, 5e-4, 2.5e-3)),
        "adamprox": Grid((5e-4, 1e-3), (0.0, 5e-4, 2.5e-3)),
    },
    seeds=3,
    control_grids={
        "adam_l2": Grid((1e-3,), (0.0, 2.5e-3, 2.5e-2)),
        "adamw": Grid((1e-3,), (0.0, 5e-4, 2.5e-3)),
    },
    control_seeds=5,
)

REDUCED = Protocol(
    preset="reduced",
    experiments=tuple(name for name in EXPERIMENTS if name != "published_runs"),
    training={
        "dataset": "cifar10",
        "image_size": 8,
        "train_size": 5120,
        "validation_size": 5000,
        "depth": 20,
        "epochs": 30,
        "batch_size": 64,
        "evaluate_every": 6,
    },
    learning_rates=(5e-4, 1e-3, 5e-3),
    weight_decays=(0.0, 5e-4, 2.5e-3, 5e-3, 2.5e-2, 5e-2),
    l2_extension=(0.25, 0.5),
    extensions=4,
    seeds=5,
    networks={
        **RESNETS,
        "ResNet-110": _RESNET_110,
        "DenseNet": Network(options={"network": "densenet", "depth": 40, "dataset": "cifar100"}),
    },
    deep=Network(
        options={"depth": 56},
        # Around the best runs of Fig. 3 with 56 layers, at the α of each; for Adam-ℓ2 also a λ that
        # AdamW would take, because a change of the method may bring its best λ down there.
        grids={
            "adam_l2": Grid((1e-3,), (0.0, 2.5e-3, 2.5e-2, 5e-2, 0.25)),
            "adamw": Grid((5e-4,), (0.0, 5e-4, 2.5e-3)),
            "adamprox": Grid((5e-4,), (0.0, 5e-4, 2.5e-3)),
            # Finer: it shrinks weights by λ/‖x‖₂, the faster the smaller they are.
            "adamprox_l2": Grid((5e-4,), (0.0, 1.5e-3, 5e-3, 1.5e-2, 3e-2, 7.5e-2)),
        },
    ),
)

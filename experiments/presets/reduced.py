"""Hours on a CPU: real images at a sixteenth of the paper's pixels.

A run has a tenth of the images and a fiftieth of the steps (2,400 instead of 117,300, in batches of 64).
Every λ is 50 times the paper's, which keeps λ · T. Images are neither flipped nor shifted. Even so
the tuned networks of Fig. 3 do not fit them in 30 epochs.
"""

import dataclasses

from experiments.grid import Grid
from experiments.presets.paper import EXPERIMENTS, RESNETS
from experiments.protocol import Network, Protocol

# With BatchNorm, around the best runs at 20 layers; a best run on an edge extends a grid.
_BATCH_NORM = {
    "adam_l2": Grid((1e-3, 5e-3), (0.0, 2.5e-3, 2.5e-2, 0.25)),
    "adamw": Grid((1e-3, 5e-3), (0.0, 5e-4, 2.5e-3)),
}

# A run takes six minutes. The grids lie around the best runs at 56 layers. Each optimizer has the best α of
# both, and 2.5e-3, the smallest λ > 0 in both grids.
_RESNET_110 = dataclasses.replace(
    RESNETS["ResNet-110"],
    grids={
        "adam_l2": Grid((5e-4, 1e-3), (0.0, 2.5e-3, 2.5e-2, 5e-2, 0.25)),
        "adamw": Grid((5e-4, 1e-3), (0.0, 5e-4, 2.5e-3)),
        "adamprox": Grid((5e-4, 1e-3), (0.0, 5e-4, 2.5e-3)),
    },
    batch_norm_grids=_BATCH_NORM,
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
        **{
            name: dataclasses.replace(RESNETS[name], batch_norm_grids=_BATCH_NORM)
            for name in ("ResNet-44", "ResNet-56")
        },
        "ResNet-110": _RESNET_110,
        "DenseNet": Network(
            options={"network": "densenet", "depth": 40, "dataset": "cifar100"},
            batch_norm_grids=_BATCH_NORM,
        ),
    },
    deep=Network(
        options={"depth": 56},
        # Around the best runs of Fig. 3 with 56 layers, at the best α of each optimizer. Adam-ℓ2 also has a
        # λ from AdamW's grid, because a change of the method may lower its best λ.
        grids={
            "adam_l2": Grid((1e-3,), (0.0, 2.5e-3, 2.5e-2, 5e-2, 0.25)),
            "adamw": Grid((5e-4,), (0.0, 5e-4, 2.5e-3)),
            "adamprox": Grid((5e-4,), (0.0, 5e-4, 2.5e-3)),
            # A finer grid: the step shrinks weights by λ/‖x‖₂, which grows as they shrink.
            "adamprox_l2": Grid((5e-4,), (0.0, 1.5e-3, 5e-3, 1.5e-2, 3e-2, 7.5e-2)),
        },
    ),
    settings={"factorial": {"learning_rates": (5e-4, 1e-3)}},
)

"""Training of one cell: a network, an optimizer and their hyperparameters."""

from adamprox.training.cell import TrainingCell as TrainingCell

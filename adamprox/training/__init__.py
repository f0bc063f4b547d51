"""Training of networks: configurations, compiled programs, the loop over epochs, checkpoints."""

from adamprox.training.cell import TrainingCell as TrainingCell

"""Training of networks: configurations, compiled programs, the loop over epochs, checkpoints."""

from adamprox.training.run import TrainingRun as TrainingRun

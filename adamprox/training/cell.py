"""A cell: one training run, described by everything that determines its result."""

import dataclasses
import time
from typing import Any, ClassVar

from adamprox.data import load
from adamprox.models.resnet import check_depth
from adamprox.training.loop import EpochResult, Program, train
from adamprox.training.recipes import RECIPES
from adamprox.training.step import Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCell:
    """One network trained once; the unit of every sweep.

    Attributes:
      dataset: A name for `adamprox.data.load`.
      train_size: How many training images, None for all.
      depth: Of the ResNet, 6n + 2.
      batch_norm: Whether it has BatchNorm.
      optimizer: ``adam_l2``, ``adamw``, ``adamprox``, ``adamprox_l2`` or ``adamprox_l1``.
      learning_rate: α > 0.
      weight_decay: λ ≥ 0, per step.
      loss_multiplier: The loss is multiplied by this, > 0.
      seed: Of the order of the examples.
      init_seed: Of the initial parameters: one per network, as published.
      epochs: Passes over the training set.
      batch_size: Examples a step; the last, smaller batch of an epoch is kept.
      evaluate_every: Epochs between visits to the test set.
    """

    kind: ClassVar[str] = "training"
    # Part of every key: raise it when a change of the code changes what a cell computes.
    version: ClassVar[int] = 1

    dataset: str = "digits"
    train_size: int | None = None
    depth: int = 20
    batch_norm: bool = False
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    loss_multiplier: float = 1.0
    seed: int = 0
    init_seed: int = 0
    epochs: int = 1
    batch_size: int = 128
    evaluate_every: int = 1

    def __post_init__(self):
        """Refuse what cannot be trained, naming the argument, the value and what is allowed."""
        check_depth(self.depth)
        available = len(load(self.dataset).train.labels)
        _check(
            "optimizer", self.optimizer, self.optimizer in RECIPES, f"one of {', '.join(RECIPES)}"
        )
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < 1e6, "> 0")
        _check("weight_decay", self.weight_decay, 0 <= self.weight_decay < 1e6, ">= 0")
        _check("loss_multiplier", self.loss_multiplier, 0 < self.loss_multiplier < 1e30, "> 0")
        for name in ("epochs", "batch_size", "evaluate_every"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, ">= 1")
        for name in ("seed", "init_seed"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < 2**31, "in 0 … 2^31 − 1")
        if self.train_size is not None:
            fits = 1 <= self.train_size <= available
            _check("train_size", self.train_size, fits, f"in 1 … {available}")

    @property
    def program(self) -> Program:
        """What has to be compiled for this cell; equal for cells that share a compilation."""
        return Program(
            dataset=self.dataset,
            train_size=self.train_size,
            depth=self.depth,
            batch_norm=self.batch_norm,
            optimizer=self.optimizer,
            batch_size=self.batch_size,
        )

    def config(self) -> dict[str, Any]:
        """Everything that determines the result, as JSON types; the data by their fingerprint."""
        data = load(self.dataset).fingerprint
        return {**dataclasses.asdict(self), "data_fingerprint": data}

    def run(self) -> dict[str, Any]:
        """Train, and return the columns of this cell's record."""
        start = time.perf_counter()
        hp = Hyperparameters(self.learning_rate, self.weight_decay, self.loss_multiplier)
        epochs = list(
            train(
                self.program,
                hp,
                seed=self.seed,
                init_seed=self.init_seed,
                epochs=self.epochs,
                evaluate_every=self.evaluate_every,
            )
        )
        columns = {
            name: [getattr(epoch, name) for epoch in epochs]
            for name in EpochResult._fields
            if name != "diverged_step"
        }
        last = epochs[-1]
        return {
            **columns,
            "diverged_step": last.diverged_step,
            "final_test_error": None if last.diverged_step else last.test_error,
            "test_examples": len(load(self.dataset).test.labels),
            "seconds": time.perf_counter() - start,
        }


def _check(name: str, value: object, allowed: bool, what: str) -> None:
    if not allowed:
        raise ValueError(f"{name} must be {what}, got {value}")

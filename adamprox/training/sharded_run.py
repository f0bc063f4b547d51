"""Losses of one training run whose batches are divided over 1, 2, 4, … devices.

The module is also a program: in a process with enough devices, it prints the losses as JSON.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import jax

from adamprox.checks import fits
from adamprox.data.fingerprints import expected
from adamprox.sweep.runs import PlainRun
from adamprox.training.loop import train
from adamprox.training.sharding import batch_mesh
from adamprox.training.specs import FAMILIES, ImageSpec, Program, Schedule
from adamprox.training.step import Hyperparameters


@dataclasses.dataclass(frozen=True)
class ShardedRun(PlainRun):
    """A small network without BatchNorm, trained by AdamW on forced CPU devices.

    Attributes:
      devices: Numbers of devices, one training each; the largest divides the batch size.
      network: Key of `adamprox.training.specs.FAMILIES`.
      depth: Depth of the network.
      train_size: Number of training images, from the digits.
      batch_size: Number of images in a batch, over all devices.
      epochs: Number of epochs of every training.
    """

    kind: ClassVar[str] = "sharded"
    version: ClassVar[int] = 1
    devices: tuple[int, ...] = (1, 8)
    network: str = "resnet"
    depth: int = 8
    train_size: int = 128
    batch_size: int = 64
    epochs: int = 3

    def config(self) -> dict[str, Any]:
        """Return the fields, and the fingerprint of the digits."""
        return {**super().config(), "data_fingerprint": expected("digits").fingerprint}

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Return training losses of every epoch and test errors, one row per number of devices."""
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count="
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{flags}{max(self.devices)}",
        }
        options = json.dumps(dataclasses.asdict(self))
        done = subprocess.run(
            [sys.executable, "-m", "adamprox.training.sharded_run", options],
            cwd=pathlib.Path(__file__).parents[2],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has the losses and the error of every number of devices."""
        count = len(self.devices)
        losses = {"train_losses": ((count, self.epochs), float)}
        return fits(record, losses | {"test_errors": ((count,), float | None)})

    def losses(self) -> dict[str, Any]:
        """Return the columns of `run`, in a process that has enough devices."""
        program = Program(
            ImageSpec("digits", train_size=self.train_size, batch_size=self.batch_size),
            FAMILIES[self.network](depth=self.depth),
            ("adamw",),
        )
        hp = Hyperparameters(1e-3, 1e-3, 1.0)
        schedule = Schedule(self.epochs, evaluate_every=self.epochs)
        histories = [
            train(program, hp, schedule, seed=0, init_seed=0, mesh=_mesh(count)).history
            for count in self.devices
        ]
        return {
            "train_losses": [[epoch.train_loss for epoch in history] for history in histories],
            "test_errors": [history[-1].test_error for history in histories],
        }


def _mesh(count: int):
    """Return the mesh, None for one device, which uses the same program as every other run."""
    return batch_mesh(jax.devices()[:count]) if count > 1 else None


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    print(json.dumps(ShardedRun(**options | {"devices": tuple(options["devices"])}).losses()))

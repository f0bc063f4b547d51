"""The cell of §3: real gradients, as they are and scaled, through every optimizer."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax

import adamprox
from adamprox.checks import fits
from adamprox.data import load
from adamprox.data.fingerprints import expected
from adamprox.models import ResNet
from adamprox.training.step import count, normalize

OPTIMIZERS = ("adam_l2", "adamw", "adamprox", "adamprox_l2", "adamprox_l1")
EPSILONS = (0.0, 1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)


@dataclasses.dataclass(frozen=True)
class ScaleFreenessCell:
    """Real gradients of a ResNet, as they are and scaled, through every optimizer.

    Attributes:
      depth: Of the network, without BatchNorm.
      steps: How many gradients, each of a batch of 64 digits along an AdamW run.
      log2_range: Coordinate i is scaled by 2^k, k uniform in ± this: exact in floating point.
      weight_decay: λ.
      epsilons: What each optimizer is run with; the first is 0.
    """

    kind: ClassVar[str] = "scale_freeness"
    version: ClassVar[int] = 2
    depth: int = 8
    steps: int = 30
    log2_range: int = 20
    weight_decay: float = 1e-3
    epsilons: tuple[float, ...] = EPSILONS

    @property
    def program(self) -> str:
        """Compilations of its own."""
        return self.kind

    def config(self) -> dict[str, Any]:
        """The attributes."""
        fingerprint = expected("digits").fingerprint
        return {
            **dataclasses.asdict(self),
            "epsilons": list(self.epsilons),
            "data_fingerprint": fingerprint,
        }

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Largest relative deviation of the parameters, one column an optimizer, one entry an ε."""
        start, gradients = jax.jit(self._real_gradients)()
        k = np.random.default_rng(0).integers(-self.log2_range, self.log2_range + 1, start.shape)
        scales = jnp.asarray(np.exp2(k), jnp.float32)
        columns: dict[str, Any] = {}
        for name in OPTIMIZERS:
            columns[name] = [
                self._deviation(name, e, start, gradients, scales) for e in self.epsilons
            ]
        return columns

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record has a deviation of every optimizer at every ε."""
        return fits(record, {name: ((len(self.epsilons),), float) for name in OPTIMIZERS})

    def _real_gradients(self):
        """Flat parameters at the start, float32[d], and the gradients of a run, float32[T, d]."""
        data, model = load("digits"), ResNet(self.depth, batch_norm=False)
        variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=False)
        start, unravel = jax.flatten_util.ravel_pytree(variables)
        images, labels = (jnp.asarray(a) for a in (data.train.images, data.train.labels))
        tx = adamprox.adamw(1e-3)

        def loss(x, index):
            logits = model.apply(
                unravel(x), normalize(images[index], data.mean, data.std), train=True
            )
            return count(logits, labels[index]).loss / index.size  # pyright: ignore[reportArgumentType]

        def step(carry, key):
            x, state = carry
            gradient = jax.grad(loss)(x, jax.random.randint(key, (64,), 0, len(labels)))
            updates, state = tx.update(gradient, state, x)
            return (optax.apply_updates(x, updates), state), gradient

        keys = jax.random.split(jax.random.key(1), self.steps)
        return start, jax.lax.scan(step, (start, tx.init(start)), keys)[1]

    def _deviation(self, name, epsilon, start, gradients, scales) -> float:
        tx = getattr(adamprox, name)(1e-3, eps=epsilon, weight_decay=self.weight_decay)

        @jax.jit
        def descend(gradients):
            def step(carry, gradient):
                x, state = carry
                updates, state = tx.update(gradient, state, x)
                return (optax.apply_updates(x, updates), state), None

            return jax.lax.scan(step, (start, tx.init(start)), gradients)[0][0]

        plain, scaled = descend(gradients), descend(gradients * scales)
        return float(jnp.max(jnp.abs(scaled - plain)) / jnp.max(jnp.abs(plain)))

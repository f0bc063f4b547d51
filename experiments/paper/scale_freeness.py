"""§3: the iterates of scale-free optimizers do not depend on the scale of a gradient coordinate.

Claim (§3): with ε = 0, AdamW and AdamProx have the same iterates if the gradients of each coordinate are
multiplied by a positive constant of that coordinate. Adam-ℓ2 has others.
Command: python -m experiments scale_freeness
Expect: a deviation of exactly 0 at ε = 0, which grows with ε as more scaled gradients are smaller than ε.
"""

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
from adamprox.report import Claim, Figure
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.sweep import PlainRun
from adamprox.training.step import count, normalize
from experiments.claims import Finding, claim, met, need_records
from experiments.protocol import Experiment, Protocol, Records, Study

OPTIMIZERS = ("adam_l2", "adamw", "adamprox", "adamprox_l2", "adamprox_l1")
EPSILONS = (0.0, 1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)


@dataclasses.dataclass(frozen=True)
class ScaleFreenessRun(PlainRun):
    """Iterates of every optimizer on gradients of a ResNet, with and without scaling.

    Attributes:
      depth: Depth of the network, which has no BatchNorm.
      steps: Number of gradients, each of a batch of 64 digits along an AdamW run.
      log2_range: Largest |k| of the scales 2^k of the coordinates, which are exact in floating point.
      weight_decay: Decay λ.
      epsilons: Values of ε; the first is 0.
    """

    kind: ClassVar[str] = "scale_freeness"
    version: ClassVar[int] = 2
    depth: int = 8
    steps: int = 30
    log2_range: int = 20
    weight_decay: float = 1e-3
    epsilons: tuple[float, ...] = EPSILONS

    def config(self) -> dict[str, Any]:
        """Return the fields, and the fingerprint of the digits."""
        return {**super().config(), "data_fingerprint": expected("digits").fingerprint}

    def run(self, scratch: pathlib.Path | None = None) -> dict[str, Any]:
        """Return the largest relative deviation of the parameters by ε, one column per optimizer."""
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
        """Return flat initial parameters float32[d], and the gradients of a run float32[T, d]."""
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


class ScaleFreeness(Study):
    """All optimizers on scaled gradients."""

    def __init__(self, protocol: Protocol, records: Records):
        """Find the run."""
        self.runs, self.records = (
            [protocol.settings_of("scale_freeness", ScaleFreenessRun)],
            records,
        )

    def figures(self) -> list[Figure]:
        """Draw deviation against ε, one line per optimizer; exact zeros lie at the bottom."""
        (record,), floor = self.records.of(self.runs), 1e-9
        figure, axes = canvas(1, 1, 7.5, 3.8)
        ax = axes[0, 0]
        x = [e or 1e-18 for e in record["epsilons"]]
        for rank, name in enumerate(OPTIMIZERS):
            y = np.maximum(record[name], floor * 1.5**rank)
            ax.loglog(x, y, "o-", color=COLORS[name], label=LABELS[name], ms=5)
        ax.axhspan(floor / 2, floor * 8, color="#2a6f97", alpha=0.08, lw=0)
        ax.text(2e-7, floor * 1.6, "bit-identical", color="#2a6f97")
        ax.set_xticks(x, ["0", *(f"1e{round(np.log10(e))}" for e in record["epsilons"][1:])])
        ax.set(xlabel="ε", ylabel="largest relative deviation", ylim=(floor / 2, None))
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        caption = (
            "Change of the parameters when every gradient coordinate is multiplied by its own power of two "
            "between 2⁻²⁰ and 2²⁰. At ε = 0, on the left, all but Adam-ℓ2 are bit-identical."
        )
        return [Figure("scale_freeness", "Deviation under scaled gradients.", caption, figure)]

    def claims(self) -> list[Claim]:
        """Judge that the deviation is exactly zero at ε = 0 for all but Adam-ℓ2."""
        statement = "AdamW and all AdamProx variants are scale-free at ε = 0, and Adam-ℓ2 is not."
        criterion = "deviation exactly 0; above 0 for Adam-ℓ2"
        return [claim("§3", statement, criterion, self._measure)]

    def _measure(self) -> Finding:
        (record,) = need_records(self.records, self.runs)
        at_zero = {name: record[name][0] for name in OPTIMIZERS}
        l2 = at_zero.pop("adam_l2")
        worst = max(at_zero.values())
        measured = (
            f"relative deviation after {record['steps']} steps with gradients scaled by up to "
            f"2^±{record['log2_range']}: {worst:g} (largest of {len(at_zero)} optimizers), {l2:.1e} (Adam-ℓ2)"
        )
        return Finding(measured, met(worst == 0 and l2 > 0))


EXPERIMENT = Experiment(
    name="scale_freeness",
    title="Section 3 · Scale-freeness",
    claim="Scaling gradient coordinates changes Adam-ℓ2's iterates and not AdamW's.",
    study=ScaleFreeness,
)

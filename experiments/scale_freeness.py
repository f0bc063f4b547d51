"""§3: scale-free optimizers do not feel the scale of a gradient coordinate, bit for bit.

Claim (§3): multiply each coordinate's gradients by its own positive constant; with ε = 0 the
iterates of AdamW and AdamProx do not move, those of Adam-ℓ2 do.
Command: python -m experiments scale_freeness
Cost: about 15 s on two CPU cores.
Expect: deviation exactly 0 at ε = 0, growing with ε as gradients of small scale sink under it.
"""

import dataclasses
import pathlib
from typing import Any, ClassVar

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax

import adamprox
from adamprox.data import load
from adamprox.models import ResNet
from adamprox.report import Claim, Figure, Verdict
from adamprox.report.plots import COLORS, LABELS, canvas
from adamprox.training.step import count, normalize
from experiments.experiment import Experiment

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
        fingerprint = load("digits").fingerprint
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


def plot(_, records) -> list[Figure]:
    """Deviation against ε, one line an optimizer; exact zeros stand on the floor of the plot."""
    record, floor = records[0], 1e-9
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
        "How far the parameters move when every gradient coordinate is multiplied by its own power "
        "of two between 2⁻²⁰ and 2²⁰. Look at ε = 0 on the left: all but Adam-ℓ2 stand on the floor."
    )
    return [Figure("scale_freeness", "Who feels the scale of the gradient?", caption, figure)]


def judge(_, records) -> list[Claim]:
    """Exactly zero at ε = 0 for all but Adam-ℓ2."""
    at_zero = {name: records[0][name][0] for name in OPTIMIZERS}
    scale_free = {name: d for name, d in at_zero.items() if name != "adam_l2"}
    holds = all(d == 0 for d in scale_free.values()) and at_zero["adam_l2"] > 0
    steps, r = records[0]["steps"], records[0]["log2_range"]
    worst = max(scale_free.values())
    return [
        Claim(
            "§3",
            "AdamW and every AdamProx are scale-free at ε = 0, Adam-ℓ2 is not.",
            f"deviation after {steps} real gradients scaled by 2^±{r}: {worst:g} (worst of "
            f"{len(scale_free)}), {at_zero['adam_l2']:.1e} (Adam-ℓ2)",
            "exactly 0, bit for bit; above 0 for Adam-ℓ2",
            Verdict.HOLDS if holds else Verdict.FAILS,
        )
    ]


EXPERIMENT = Experiment(
    name="scale_freeness",
    title="Section 3 · Scale-freeness",
    claim="Scaling gradient coordinates moves Adam-ℓ2's iterates and not AdamW's.",
    cost={"smoke": "15 s", "demo": "15 s", "reduced": "15 s", "paper": "15 s"},
    cells=lambda protocol, _: [
        ScaleFreenessCell(epsilons=(0.0, 1e-8) if protocol.preset == "smoke" else EPSILONS)
    ],
    figures=plot,
    claims=judge,
)

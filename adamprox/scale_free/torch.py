"""PyTorch optimizers for the scale-freeness test. Only `optimizer` imports torch, which is optional."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.scale_free.plan import Rows
from adamprox.scale_free.probe import Probe, unflatten
from adamprox.scale_free.runs import Runs


class TorchOptimizer:
    """A PyTorch optimizer that `scale_freeness` accepts in place of an Optax transformation."""

    def __init__(self, make: Callable[[list[Any]], Any], torch: Any):
        """Keep the constructor and the module ``torch``; use `optimizer`."""
        self._make, self._torch = make, torch

    def iterates(
        self, params: list[np.ndarray], gradients: Iterable[Sequence[np.ndarray]]
    ) -> Iterator[list[np.ndarray]]:
        """Yield the parameters after every step of a new optimizer, as copies.

        The random numbers of torch start from the same seed. Schedule-free optimizers are put into
        their training mode.

        Args:
          params: Initial parameters, float32 or float64.
          gradients: Gradients of every step.
        """
        torch = self._torch
        torch.manual_seed(0)
        own = [torch.nn.Parameter(torch.tensor(p)) for p in params]
        optimizer = self._make(own)
        getattr(optimizer, "train", lambda: None)()
        for step in gradients:
            for parameter, gradient in zip(own, step, strict=True):
                parameter.grad = torch.tensor(gradient)
            optimizer.step()
            yield [p.detach().numpy().copy() for p in own]

    def run_all(self, probe: Probe, rows: Rows) -> Runs:
        """Return the parameters after every step under every rescaling, as `runs.run_all`.

        Runs that measure rounding start from gradients with one more unit of rounding per step.
        ``torch.compile`` is off: a compiled step may round differently in every run.
        """
        leaves = jax.tree.leaves(probe.params)
        for leaf in leaves:
            if leaf.dtype not in (jnp.float32, jnp.float64):
                raise TypeError(f"params must be float32 or float64 for torch, got {leaf.dtype}")
        params = [np.asarray(x) for x in leaves]
        gradients = [np.asarray(x) for x in jax.tree.leaves(probe.gradients)]
        factors = [np.asarray(f) for f in unflatten(rows.rescalings, leaves, jnp.float32)]
        found = []
        with self._torch.compiler.set_stance("force_eager"):
            unit = self._coarsest_unit(params, [g[0, 0] for g in gradients])
            for row, (sequence, noise) in enumerate(zip(rows.sequences, rows.noise, strict=True)):
                own = [g[sequence] * f[row] for g, f in zip(gradients, factors, strict=True)]
                if noise:
                    own = [_perturb(g, int(noise), i, unit) for i, g in enumerate(own)]
                steps = self.iterates(params, zip(*own, strict=True))
                found.append([np.stack(leaf) for leaf in zip(*steps, strict=True)])
        return Runs([np.stack(runs) for runs in zip(*found, strict=True)], [])

    def _coarsest_unit(self, params: list[np.ndarray], gradients: list[np.ndarray]) -> float:
        """Return the largest unit of rounding of the results of two steps."""
        import torch.utils._python_dispatch as dispatch  # noqa: PLC0415  # pyright: ignore

        torch, units = self._torch, [0.0]

        class Watch(dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                result = func(*args, **(kwargs or {}))
                for x in result if isinstance(result, tuple | list) else (result,):
                    if isinstance(x, torch.Tensor) and x.is_floating_point():
                        units.append(torch.finfo(x.dtype).eps)
                return result

        with Watch():
            list(self.iterates(params, [gradients] * 2))
        return max(units)


def optimizer(make: Callable[[list[Any]], Any]) -> TorchOptimizer:
    """Return a PyTorch optimizer that `scale_freeness` can test.

    ``optimizer.step()`` runs without a closure: optimizers that need the loss cannot be tested.

    Args:
      make: Function from a list of ``torch.nn.Parameter`` to an optimizer, such as
        ``lambda params: torch.optim.AdamW(params, lr=1e-3)``.

    Returns:
      An object for the argument ``tx``.

    Raises:
      ImportError: torch is not installed.

    Example:
      >>> import adamprox, torch  # doctest: +SKIP
      >>> adamw = optimizer(lambda params: torch.optim.AdamW(params, lr=1e-3))  # doctest: +SKIP
      >>> adamprox.scale_freeness(adamw).verdict.value  # doctest: +SKIP
      'to tolerance'
    """
    try:
        import torch  # noqa: PLC0415 — optional
    except ImportError:
        raise ImportError("torch is missing: pip install torch") from None
    return TorchOptimizer(make, torch)


def _perturb(gradients: np.ndarray, noise: int, leaf: int, unit: float) -> np.ndarray:
    """Change every number by one unit of rounding, in a direction that odd runs keep."""
    shape = gradients.shape if noise % 2 == 0 else (1, *gradients.shape[1:])
    signs = np.random.default_rng([noise, leaf]).choice([-1.0, 1.0], shape)
    own = max(unit, float(np.finfo(gradients.dtype).eps))
    return (gradients * (1 + own * signs)).astype(gradients.dtype)

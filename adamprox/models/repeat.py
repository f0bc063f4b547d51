"""A sequence of equal blocks, traced once."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


def repeat(parent: nn.Module, block: nn.Module, names: list[str], x: jax.Array, train: bool):
    """Apply the blocks ``names`` of ``parent`` to ``x``, one after the other.

    x ← blockₙ(… block₁(x)). The blocks differ only in their variables, which remain separate leaves
    of ``parent``. On a CPU they are one ``lax.scan``, which compiles the block once. A GPU compiles
    all blocks in seconds, and runs them faster than a loop.

    Args:
      parent: Bound module with the variables of every block under ``names``.
      block: Unbound block (``parent=None``); its output has the shape and dtype of its input.
      names: Names of the blocks, first to last.
      x: Input of the first block.
      train: Second argument of every block.

    Returns:
      The output of the last block.
    """
    variables = [
        {
            collection: parent.get_variable(collection, name)
            for collection in ("params", "batch_stats")
            if parent.has_variable(collection, name)
        }
        for name in names
    ]
    mutable = [name for name in variables[0] if parent.is_mutable_collection(name)]

    def body(x, variables):
        return block.apply(variables, x, train, mutable=mutable)

    if jax.default_backend() == "cpu":
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *variables)
        x, updates = lax.scan(body, x, stacked)
        each = [jax.tree.map(lambda leaf, k=k: leaf[k], updates) for k in range(len(names))]
    else:
        step, each = jax.jit(body), []  # jit traces the block once
        for own in variables:
            x, updated = step(x, own)
            each.append(updated)
    for name, updated in zip(names, each, strict=True):
        for collection, own in updated.items():
            parent.put_variable(collection, name, own)
    return x

"""A sequence of equal blocks, compiled once."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


def repeat(parent: nn.Module, block: nn.Module, names: list[str], x: jax.Array, train: bool):
    """Apply the blocks ``names`` of ``parent`` to ``x``, as one ``lax.scan``.

    x ← blockₙ(… block₁(x)). The blocks differ only in their variables, which remain separate leaves
    of ``parent``: the function stacks them before the scan and unstacks updated statistics after
    it.

    Args:
      parent: Bound module with the variables of every block under ``names``.
      block: Unbound block (``parent=None``); its output has the shape and dtype of its input.
      names: Names of the blocks, first to last.
      x: Input of the first block.
      train: Second argument of every block.

    Returns:
      The output of the last block.
    """
    variables = {
        collection: jax.tree.map(
            lambda *leaves: jnp.stack(leaves),
            *[parent.get_variable(collection, name) for name in names],
        )
        for collection in ("params", "batch_stats")
        if parent.has_variable(collection, names[0])
    }
    mutable = [name for name in variables if parent.is_mutable_collection(name)]

    def body(x, variables):
        return block.apply(variables, x, train, mutable=mutable)

    x, updated = lax.scan(body, x, variables)
    for collection, stacked in updated.items():
        for index, name in enumerate(names):
            own = jax.tree.map(lambda leaf, i=index: leaf[i], stacked)
            parent.put_variable(collection, name, own)
    return x

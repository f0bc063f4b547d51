"""Equal blocks in a row, compiled once instead of once each."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


def repeat(parent: nn.Module, block: nn.Module, names: list[str], x: jax.Array, train: bool):
    """Send ``x`` through the blocks of ``parent`` called ``names``, as one ``lax.scan``.

    x ← blockₙ(… block₁(x)); all blocks equal ``block`` but for their variables, which stay leaves of
    their own in ``parent``: they are stacked on the way in, their statistics unstacked on the way out.

    Args:
      parent: A bound module whose variables hold those of every block, under ``names``.
      block: The block, unbound (``parent=None``), its output of the shape and dtype of its input.
      names: Of the blocks, first to last.
      x: What the first block is applied to.
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

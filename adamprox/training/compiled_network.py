"""Parts of a compiled program that depend on network and data only, not on the optimizers."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from adamprox.training.sharding import replicate
from adamprox.training.specs import ImageSpec, NetworkSpec

# Number of cached initializations per network: all runs of a grid share one.
_INITIALIZATIONS = 4


class Pool(NamedTuple):
    """All images of a data set on the device: training, then validation, then test.

    Attributes:
      images: Images, uint8[N, H, W, C].
      labels: Labels, int32[N].
    """

    images: Any
    labels: Any


class CompiledNetwork(NamedTuple):
    """Parts that all programs on one network and data set share.

    Attributes:
      model: Flax module.
      pool: Images on the device, or on every device of the mesh.
      ranges: Start and stop of ``train``, ``validation`` and ``test`` in the pool.
      mean: Mean per channel of the training images, float32[C].
      std: Standard deviation per channel, float32[C].
      init: Function init_seed -> variables of one run; it caches the last few results.
    """

    model: nn.Module
    pool: Pool
    ranges: dict[str, tuple[int, int]]
    mean: Any
    std: Any
    init: Callable


def compile_network(
    images: ImageSpec, network: NetworkSpec, mesh: Mesh | None = None
) -> CompiledNetwork:
    """Build the parts that do not depend on the optimizers, once per process."""
    return _network(images, network, mesh)


@functools.cache
def _network(images: ImageSpec, network: NetworkSpec, mesh: Mesh | None) -> CompiledNetwork:
    classes, pool, ranges, mean, std = _images(images, mesh)
    model = network.build(classes)
    shape = jax.ShapeDtypeStruct((1, *pool.images.shape[1:]), jnp.float32)

    @functools.lru_cache(maxsize=_INITIALIZATIONS)
    def init(seed):
        # Initialize layer by layer, without jit: layers share a few shapes. One program with a
        # hundred random draws would take longer to compile than all layers take to run.
        key = jax.random.key(seed)
        variables = classic_random(lambda: model.lazy_init(key, shape, train=False))  # pyright: ignore
        scaled = jax.tree.map(lambda x: network.init_scale * x, variables["params"])
        return {**variables, "params": scaled}

    return CompiledNetwork(model, pool, ranges, mean, std, init)


@functools.cache
def _images(images: ImageSpec, mesh: Mesh | None) -> tuple:
    """Return number of classes, pool, ranges, mean and deviation; networks share one pool."""
    data = images.load()
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    pool, ranges = _pool({name: split for name, split in splits.items() if split is not None})
    return data.num_classes, replicate(pool, mesh), ranges, data.mean, data.std


def _pool(splits) -> tuple[Pool, dict[str, tuple[int, int]]]:
    pool = Pool(*(jnp.concatenate([getattr(s, name) for s in splits.values()])
                  for name in Pool._fields))  # fmt: skip
    ranges, start = {}, 0
    for name, split in splits.items():
        ranges[name] = (start, start + len(split.labels))
        start += len(split.labels)
    return pool, ranges


def classic_random(function, *args):
    """Call ``function`` with JAX's classic layout of random counters.

    The newer, partitionable layout compiles several times slower on a CPU. Its benefit, generation
    on sharded arrays, is not needed for parameters and permutations.
    """
    with jax.threefry_partitionable(False):
        return function(*args)

"""Conversion of weights from and to the PyTorch code on which the paper is based."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.models.densenet import DenseNet
from adamprox.models.resnet import ResNet

# Names in the reference of the modules inside our modules.
_CHILDREN = {
    "ResNet": {"Conv3x3_0": "conv1", "BatchNorm_0": "bn1", "Dense_0": "linear"},
    "DenseNet": {"Conv3x3_0": "conv1", "BatchNorm_0": "bn", "Dense_0": "fc"},
    "BasicBlock": {
        "Conv3x3_0": "conv1", "BatchNorm_0": "bn1", "Conv3x3_1": "conv2", "BatchNorm_1": "bn2",
        "SkipInit_0": "skip",
    },
    "Bottleneck": {
        "BatchNorm_0": "bn1", "Conv1x1_0": "conv1", "BatchNorm_1": "bn2", "Conv3x3_0": "conv2",
    },
    "Transition": {"BatchNorm_0": "bn1", "Conv1x1_0": "conv1"},
}  # fmt: skip
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias",
           "mean": "running_mean", "var": "running_var", "alpha": "alpha"}  # fmt: skip
# Axes by rank: HWIO to OIHW for convolutions, input-output to output-input for dense layers.
_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}


def from_reference(model: ResNet | DenseNet, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a state dict of the reference implementation to variables of ``model``.

    Names for a ResNet: ``conv1.weight``, ``bn1.*``, ``layer{1,2,3}.{i}.conv{1,2}.weight``,
    ``layer{1,2,3}.{i}.bn{1,2}.*``, ``linear.weight``, ``linear.bias``; with SkipInit also
    ``layer{1,2,3}.{i}.skip.alpha``. For a DenseNet: ``conv1.weight``,
    ``dense{1,2,3}.{i}.bn{1,2}.*``, ``dense{1,2,3}.{i}.conv{1,2}.weight``, ``trans{1,2}.bn1.*``,
    ``trans{1,2}.conv1.weight``, ``bn.*``, ``fc.weight``, ``fc.bias``. ``bn*`` has ``weight``,
    ``bias``, ``running_mean``, ``running_var``; a ``num_batches_tracked`` is ignored.

    Args:
      model: Model of the weights.
      state_dict: Arrays by name: convolutions float[O, I, H, W], dense layers float[out, in].

    Returns:
      ``{"params": ...}`` and, with BatchNorm, ``"batch_stats"``; float32, or float64 if the array
      is float64 and x64 is enabled.

    Raises:
      ValueError: An entry is missing, unexpected or of another shape.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model, images = ResNet(8, batch_norm=False), jnp.zeros((1, 8, 8, 1))
      >>> shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
      >>> variables = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), shapes)
      >>> state_dict = to_reference(model, variables)
      >>> state_dict["layer2.0.conv1.weight"].shape
      (32, 16, 3, 3)
      >>> again = from_reference(model, state_dict)
      >>> all(jax.tree.leaves(jax.tree.map(jnp.array_equal, again, variables)))
      True

    Source: names of github.com/akamaster/pytorch_resnet_cifar10 and of
    github.com/bearpaw/pytorch-classification.
    """
    arrays = {
        name: np.asarray(array)
        for name, array in state_dict.items()
        if not name.endswith(".num_batches_tracked")
    }
    shapes = _variable_shapes(model, arrays)
    names = {_name(model, path) for path, _ in jax.tree_util.tree_leaves_with_path(shapes)}
    for name in sorted(arrays.keys() - names):
        raise ValueError(f"{name} is in the state dict but not in the {type(model).__name__}")

    def on_leaf(path, leaf):
        name = _name(model, path)
        if name not in arrays:
            raise ValueError(f"{name} is missing from the state dict")
        axes = _AXES.get(leaf.ndim, ())
        expected = tuple(leaf.shape[axis] for axis in axes) or leaf.shape
        if arrays[name].shape != expected:
            raise ValueError(f"{name} must have shape {expected}, got {arrays[name].shape}")
        array = arrays[name].transpose(np.argsort(axes)) if axes else arrays[name]
        return jnp.asarray(array, jnp.promote_types(jnp.asarray(array).dtype, jnp.float32))

    return jax.tree_util.tree_map_with_path(on_leaf, shapes)


def to_reference(model: ResNet | DenseNet, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Convert variables to a state dict of the reference implementation; invert `from_reference`.

    Args:
      model: Model of the variables.
      variables: Collections ``params`` and, with BatchNorm, ``batch_stats`` of float arrays.

    Returns:
      Arrays by name, in the names and layouts of `from_reference`. Convert each array by
      ``torch.from_numpy`` for PyTorch's ``load_state_dict``.

    Source: names as in `from_reference`.
    """
    return {
        _name(model, path): np.array(
            np.transpose(leaf, _AXES[leaf.ndim]) if leaf.ndim > 1 else leaf
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }


def _variable_shapes(model, arrays):
    """Return the shapes of variables for images with the channels of the stem's weight."""
    stem = arrays.get("conv1.weight")
    channels = stem.shape[1] if stem is not None and stem.ndim == 4 else 3
    images = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
    init = lambda images: model.init(jax.random.key(0), images, train=False)  # noqa: E731
    return jax.eval_shape(init, images)


def _name(model, path):
    """Convert ("params", "BasicBlock_0", "Conv3x3_0", "kernel") to "layer1.0.conv1.weight"."""
    _, *block, child, leaf = [entry.key for entry in path]
    prefix = [_block_name(model, name) for name in block]
    parent = block[0].rsplit("_", 1)[0] if block else type(model).__name__
    return ".".join([*prefix, _CHILDREN[parent][child], _LEAVES[leaf]])


def _block_name(model, block):
    """Convert "BasicBlock_4" of a ResNet-20, with three blocks per stage, to "layer2.1"."""
    kind, index = block.rsplit("_", 1)
    if kind == "Transition":
        return f"trans{int(index) + 1}"
    # Depths are 6n + 2 and 6n + 4.
    stage, position = divmod(int(index), (model.depth - 2) // 6)
    return f"{'layer' if kind == 'BasicBlock' else 'dense'}{stage + 1}.{position}"

"""Kernels of a training step on a GPU, compiled on a machine that has none.

Command: python -m benchmarks.gpu_kernels [--depth 20] [--runs 8] [--dtype bfloat16] [--tree]
Cost: seconds. It needs CUDA's libraries beside JAX, of the same version:
      pip install "jax[cuda13]"; export JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1
Speed is a question for `benchmarks.accelerator`. This program answers what the speed depends on:
how many kernels a step has, which of them are cuDNN's, and whether XLA copies arrays in between.
--tree updates every array of parameters on its own, for comparison.
"""

import collections
import re
import sys
from collections.abc import Sequence
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from adamprox.command_line import Parser, integer
from adamprox.training.batching import alone, vectorized
from adamprox.training.compiled_network import classic_random
from adamprox.training.program import compile_program
from adamprox.training.specs import Program, ResNetSpec
from adamprox.training.step import Hyperparameters
from benchmarks.accelerator import BATCH, Noise, optimizers

# An H200, as XLA describes devices; figures from NVIDIA's data sheet and CUDA's device properties.
_H200 = """
gpu_device_info {
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472 l2_cache_size: 52428800
  memory_bandwidth: 4800000000000 device_memory_size: 151397597184 device_address_bits: 64
  name: "NVIDIA H200" device_vendor: "NVIDIA Corporation"
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H200"
"""
_NO_KERNEL = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}


def kernels_of_a_step(hlo: str) -> collections.Counter[str]:
    """Count the operations that run on the device in the largest loop body of an HLO module.

    Args:
      hlo: Text of the module after optimization.

    Returns:
      Number by kind: the target of a library call, the kind of a fusion, or the name of an operation.
    """
    computations: dict[str, list[str]] = collections.defaultdict(list)
    name = ""
    for line in hlo.splitlines():
        if start := re.match(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$", line):
            name = start[1]
        elif line.startswith("  "):
            computations[name].append(line)
    bodies: list[str] = re.findall(r"body=%?([\w.-]+)", hlo)
    largest = max(bodies, key=lambda body: len(computations[body]))
    return collections.Counter(filter(None, map(_kind, computations[largest])))


def _kind(line: str) -> str | None:
    operation = re.search(r"= (?:\(.*?\)|\S+) ([\w-]+)\(", line)
    if not operation or operation[1] in _NO_KERNEL:
        return None
    detail = re.search(r'custom_call_target="__(.*?)"|kind=k(\w+)', line)
    return f"{operation[1]} {detail[1] or detail[2]}" if detail else operation[1]


def compiled_for_an_h200(program: Program, vectors: bool) -> str:
    """Return the optimized HLO of an epoch of a program."""
    target = topologies.get_topology_desc(
        platform="cuda", target_config=_H200, topology="1x1x1"
    ).devices[0]
    runs = len(program.optimizers)
    with mock.patch("jax.default_backend", lambda: "gpu"):
        compiled = compile_program(program, None, vectorized if runs > 1 else alone, vectors)
        hps = Hyperparameters(*jnp.ones((3, runs)))
        state = jax.eval_shape(compiled.start, compiled.network.init(0), hps)
        arguments = state, hps, jnp.zeros(runs, jnp.int32), jnp.int32(1), compiled.network.pool
        placed = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=SingleDeviceSharding(target)),
            arguments,
        )
        epoch: Any = compiled.epoch
        lowered = classic_random(epoch.lower, *placed)
        # Without a device there is nothing to measure; XLA takes its first choice of each kernel.
        return classic_random(lowered.compile, {"xla_gpu_autotune_level": 0}).as_text()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the number of kernels by kind."""
    parser = Parser(prog="python -m benchmarks.gpu_kernels", description=__doc__)
    parser.add_argument("--depth", type=integer, default=20, help="of the ResNet (%(default)s)")
    parser.add_argument("--runs", type=integer, default=8, help="runs at once (%(default)s)")
    parser.add_argument("--dtype", default="bfloat16", help="of activations (%(default)s)")
    parser.add_argument("--tree", action="store_true", help="update every array on its own")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"runs must be >= 1, got {options.runs}")
    images: Any = Noise(2 * BATCH)
    try:
        network = ResNetSpec(depth=options.depth, compute_dtype=options.dtype)
        program = Program(images, network, optimizers(options.runs))
        hlo = compiled_for_an_h200(program, not options.tree)
    except ValueError as error:
        parser.error(str(error))
    except NotImplementedError:
        parser.error('JAX must have its CUDA plugin: pip install "jax[cuda13]"; see --help')
    found = kernels_of_a_step(hlo)
    for kind, count in [*found.most_common(), ("in all", found.total())]:
        print(f"{count:6d}  {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Cost of an optimizer's step on sharded parameters: bytes per parameter, and communication.

Command: python -m benchmarks.sharded_step [--devices N] [--only NAME …]
Cost: a minute. The program allocates no arrays. It compiles steps for the abstract parameters of a
transformer with 1.3 billion parameters, divided over 8 simulated CPU devices.
Expect: no collective for element-wise optimizers; only collectives of scalars for the norm of the
tree.
"""

import argparse
import collections
import math
import os
import re

SHAPES = {
    "embedding": (50_304, 2048),
    "attention": (24, 2048, 3 * 2048),
    "projection": (24, 2048, 2048),
    "up": (24, 2048, 4 * 2048),
    "down": (24, 4 * 2048, 2048),
    "norms": (24, 2, 2048),
}
_COLLECTIVE = re.compile(
    r"= (\S.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
_ARRAY = re.compile(r"[a-z]+\d+\[([\d,]*)\]")


def optimizers() -> dict:
    """Return the transformations by name."""
    import jax.numpy as jnp  # noqa: PLC0415  (not before the number of devices is set)
    import optax  # noqa: PLC0415

    import adamprox  # noqa: PLC0415
    from adamprox import prox  # noqa: PLC0415

    def then(operator):
        return optax.chain(adamprox.adam_direction(1e-3), adamprox.proximal(operator, 1e-4))

    return {
        "optax.adamw": optax.adamw(1e-3),
        "adam_l2": adamprox.adam_l2(1e-3),
        "adamw": adamprox.adamw(1e-3),
        "adamw, eps=0.0": adamprox.adamw(1e-3, eps=0.0),
        "adamw, mu_dtype=bfloat16": adamprox.adamw(1e-3, mu_dtype=jnp.bfloat16),
        "adamprox": adamprox.adamprox(1e-3),
        "adamprox_l1": adamprox.adamprox_l1(1e-3),
        "adamprox_l2": adamprox.adamprox_l2(1e-3),
        "proximal(per_leaf(l2))": then(prox.per_leaf(prox.l2)),
        "proximal(per_output_channel(l2))": then(prox.per_output_channel(prox.l2)),
    }


def compile_step(tx, shapes, devices: int):
    """Compile a step on parameters divided along their last axis; return also its state."""
    import jax  # noqa: PLC0415
    import optax  # noqa: PLC0415
    from jax.sharding import NamedSharding, PartitionSpec  # noqa: PLC0415

    mesh = jax.make_mesh((devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def placed(leaf):
        spec = PartitionSpec(*[None] * (leaf.ndim - 1), "data") if leaf.ndim else PartitionSpec()
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, spec))

    params = {k: placed(jax.ShapeDtypeStruct(s, "float32")) for k, s in shapes.items()}
    state = jax.tree.map(placed, jax.eval_shape(tx.init, params))

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    where = jax.tree.map(lambda leaf: leaf.sharding, (params, state))
    jitted = jax.jit(step, donate_argnums=(0, 1), out_shardings=where)
    return jitted.lower(params, state, params).compile(), state


def collectives(hlo: str) -> dict[str, tuple[int, int]]:
    """Return the number of collectives and of their elements, by kind.

    Example:
      >>> collectives("%r = (f32[], f32[2,3]{1,0}) all-reduce(%a, %b), channel_id=1")
      {'all-reduce': (1, 7)}
    """
    found: dict[str, tuple[int, int]] = collections.defaultdict(lambda: (0, 0))
    for result, kind in _COLLECTIVE.findall(hlo):
        sizes = (math.prod(map(int, filter(None, a.split(",")))) for a in _ARRAY.findall(result))
        count, numbers = found[kind]
        found[kind] = count + 1, numbers + sum(sizes)
    return dict(found)


def measure(devices: int, shapes=None, names=None) -> dict[str, dict]:
    """Return bytes per parameter of state and scratch memory, and the collectives, by optimizer."""
    import jax  # noqa: PLC0415

    shapes = shapes or SHAPES
    size = sum(map(math.prod, shapes.values()))
    rows = {}
    for name, tx in optimizers().items():
        if names and name not in names:
            continue
        compiled, state = compile_step(tx, shapes, devices)
        held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        memory, hlo = compiled.memory_analysis(), compiled.as_text()
        if memory is None or hlo is None:
            raise RuntimeError("this backend reports no memory use or HLO")
        rows[name] = {
            "state": held / size,
            "scratch": memory.temp_size_in_bytes * devices / size,
            "collectives": collectives(hlo),
        }
    return rows


def table(rows: dict[str, dict], devices: int, size: int) -> str:
    """Return the rows in Markdown."""
    lines = [
        f"{size / 1e9:.2f} billion float32 parameters on {devices} devices; bytes are per parameter.",
        "",
        "| optimizer | parameters | state | scratch | collectives in the compiled step |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        communication = "; ".join(
            f"{count} {kind}, {numbers} numbers in all"
            for kind, (count, numbers) in row["collectives"].items()
        )
        cells = f"{row['state']:.2f} | {row['scratch']:.2f} | {communication or 'none'}"
        lines.append(f"| `{name}` | 4 | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Compile the steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="names of optimizers; all by default"
    )
    arguments = parser.parse_args()
    devices = arguments.devices
    flag = f"--xla_force_host_platform_device_count={devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    rows = measure(devices, names=arguments.only)
    print(table(rows, devices, sum(map(math.prod, SHAPES.values()))))


if __name__ == "__main__":
    main()

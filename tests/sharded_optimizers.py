"""Run in a process with several devices: every way to spread parameters gives one device's iterates.

Automatic and explicit sharding need nothing. Under ``shard_map`` a transform sees its shard alone, so
an operator with a norm is told the axis; `adamprox_l2` is spelled as its chain there. With the
argument ``all``: every optimizer, and operators that need entries of other devices.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import adamprox
from adamprox import prox
from adamprox.histograms import log2_histogram, update_histogram

DEVICES = len(jax.devices())
AUTO, EXPLICIT = (
    jax.make_mesh((DEVICES,), ("data",), axis_types=(kind,))
    for kind in (AxisType.Auto, AxisType.Explicit)
)
SPEC = PartitionSpec("data")
OPTIMIZERS = ("adamw", "adamprox_l2")  # one of single coordinates, one with a norm
OTHERS = ("adam_l2", "adamprox", "adamprox_l1", "scale_free_adam_l2")
START = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
BIAS = np.linspace(0.5, 1, 3, dtype=np.float32)
STEPS = 5


def explicit_shardings():
    """Shardings that are part of the type: of both axes, and of the second one."""
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    return [NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("a", "b"), (None, "b"))]


def make(name, axis_name=None):
    if name == "adamprox_l2" and axis_name is not None:
        norm = functools.partial(prox.l2, axis_name=axis_name)
        return optax.chain(adamprox.adam_direction(1e-2, eps=0.0), adamprox.proximal(norm, 1e-2))
    return getattr(adamprox, name)(1e-2, eps=0.0, weight_decay=1e-2)


def descend(tx, w):
    """A few steps on a function that is a sum over coordinates."""

    def step(carry, k):
        w, state = carry
        updates, state = tx.update(jnp.sin(w * k), state, w)
        return (optax.apply_updates(w, updates), state), None

    ks = jnp.arange(1.0, STEPS + 1)
    return jax.lax.scan(step, (w, tx.init(w)), ks)[0]


def sharded(name, mesh):
    sharding = NamedSharding(mesh, SPEC)
    out = jax.jit(lambda w: descend(make(name), w)[0])(jax.device_put(START, sharding))
    assert out.sharding.is_equivalent_to(sharding, 2), out.sharding
    return np.asarray(out)


def by_shard_map(name, check_vma):
    body = jax.shard_map(
        lambda w: descend(make(name, "data"), w)[0],
        mesh=AUTO,
        in_specs=SPEC,
        out_specs=SPEC,
        check_vma=check_vma,
    )
    return np.asarray(jax.jit(body)(START))


def by_pmap(name):
    copies = np.broadcast_to(START, (DEVICES, *START.shape))
    out = np.asarray(jax.pmap(lambda w: descend(make(name), w)[0])(copies))
    assert all(np.array_equal(copy, out[0]) for copy in out)
    return out[0]


WAYS = {
    "automatic mesh": functools.partial(sharded, mesh=AUTO),
    "explicit mesh": functools.partial(sharded, mesh=EXPLICIT),
    "shard_map, types checked": functools.partial(by_shard_map, check_vma=True),
    "shard_map, types not checked": functools.partial(by_shard_map, check_vma=False),
    "pmap": by_pmap,
}


def check_iterates(names):
    for name in names:
        one = np.asarray(jax.jit(lambda w, name=name: descend(make(name), w)[0])(START))
        assert np.abs(one - START).max() > 0.01
        for way, run in WAYS.items():
            np.testing.assert_allclose(run(name), one, rtol=0, atol=1e-6, err_msg=f"{name}, {way}")


def check_norms():
    """Operators with norms on their parts; a leaf that types know to be a copy counts once."""
    tree = {"w": START, "b": BIAS}
    specs = {"w": SPEC, "b": PartitionSpec()}
    for operator in (prox.l2, functools.partial(prox.l2_ball, radius=1.5), prox.sparse_group):
        body = lambda tree, operator=operator: operator(tree, 0.3, axis_name="data")  # noqa: E731
        mapped = jax.shard_map(body, mesh=AUTO, in_specs=(specs,), out_specs=specs)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-6),
            jax.jit(mapped)(tree),
            operator(tree, 0.3),
        )
    sized = prox.size_weighted(functools.partial(prox.l2, axis_name="data"), axis_name="data")
    mapped = jax.shard_map(
        lambda tree: sized(tree, 0.01), mesh=AUTO, in_specs=(specs,), out_specs=specs
    )
    whole = prox.size_weighted(prox.l2)(tree, 0.01)
    np.testing.assert_allclose(mapped(tree)["w"], whole["w"], rtol=1e-6)
    channels = prox.per_output_channel(functools.partial(prox.l2, axis_name="data"))
    for check_vma in (True, False):
        mapped = jax.shard_map(
            lambda w: channels(w, 0.3),
            mesh=AUTO,
            in_specs=SPEC,
            out_specs=SPEC,
            check_vma=check_vma,
        )
        whole = prox.per_output_channel(prox.l2)(jnp.asarray(START), 0.3)
        np.testing.assert_allclose(mapped(START), whole, rtol=1e-6)


def recorder(axis_name=None):
    decay = adamprox.decay_weights(1e-2)
    histogram = update_histogram(decay, scale=1e-2, every=2, axis_name=axis_name)
    return optax.chain(adamprox.adam_direction(1e-2, eps=0.0), histogram)


def counts(state):
    histogram = optax.tree.get(state, "UpdateHistogramState")
    return jnp.stack([histogram.direction, histogram.decay, histogram.total])


def check_histograms():
    """Counts are those of the whole array; without an axis name, of each device's part."""
    recorded = lambda w, axis_name=None: counts(descend(recorder(axis_name), w)[1])  # noqa: E731
    one = np.asarray(jax.jit(recorded)(START))
    assert one.sum() == 3 * START.size
    for mesh in (AUTO, EXPLICIT):
        w = jax.device_put(START, NamedSharding(mesh, SPEC))
        np.testing.assert_array_equal(jax.jit(recorded)(w), one)
        np.testing.assert_array_equal(jax.jit(log2_histogram)(w), log2_histogram(START))
    for check_vma in (True, False):
        mapped = functools.partial(jax.shard_map, mesh=AUTO, in_specs=SPEC, check_vma=check_vma)
        whole = mapped(lambda w: recorded(w, "data"), out_specs=PartitionSpec())
        np.testing.assert_array_equal(jax.jit(whole)(START), one)
        parts = mapped(lambda w: recorded(w)[None], out_specs=SPEC)
        np.testing.assert_array_equal(np.asarray(jax.jit(parts)(START)).sum(0), one)


BALLS = (prox.l2_ball, prox.l1_ball, prox.linf_ball, prox.spectral_ball)
TERNARY = functools.partial(prox.fit_levels, count=3)
COUPLED = {
    **{f"{f.__name__} of radius 0.5": functools.partial(f, radius=0.5) for f in BALLS},
    **{f.__name__: f for f in (prox.simplex, prox.sparse_group, prox.nuclear, prox.orthogonal)},
    "rank": functools.partial(prox.rank, r=1),
    "top_k": functools.partial(prox.top_k, k=9),
    "top_share": functools.partial(prox.top_share, share=0.3),
    "n_m": prox.n_m,
    "slope": functools.partial(prox.slope, weights=np.linspace(2, 0.5, START.size)),
    "total_variation": functools.partial(prox.total_variation, axis=0),
    "quantize": functools.partial(prox.quantize, levels=TERNARY),
    "channels": prox.per_output_channel(prox.l2),
}
"""Operators that need entries of other devices."""


def check_operators(names=tuple(COUPLED)):
    """Sharding needs nothing: norms, sorting, differences and singular values."""
    for name in names:
        operator = COUPLED[name]
        one = np.asarray(operator(jnp.asarray(START), 0.3))
        assert np.abs(one - START).max() > 1e-3, name
        for sharding in (NamedSharding(AUTO, SPEC), *explicit_shardings()):
            w = jax.device_put(START, sharding)
            out = jax.jit(operator)(w, 0.3)
            np.testing.assert_allclose(out, one, atol=2e-6, err_msg=f"{name}, {sharding}")
            assert sharding.mesh == AUTO or out.sharding.is_equivalent_to(sharding, 2), name


def check_parts():
    """Inside ``shard_map``, operators without an axis name see the part of one device."""
    own = {"slope": functools.partial(prox.slope, weights=np.linspace(2, 0.5, 8))}
    for name in ("slope", "total_variation", "nuclear", "quantize", "simplex"):
        operator = own.get(name, COUPLED[name])
        parts = [operator(jnp.asarray(part), 0.3) for part in np.split(START, DEVICES)]
        for check_vma in (True, False):
            mapped = jax.shard_map(
                lambda w, operator=operator: operator(w, 0.3),
                mesh=AUTO,
                in_specs=SPEC,
                out_specs=SPEC,
                check_vma=check_vma,
            )
            out = jax.jit(mapped)(START)
            np.testing.assert_allclose(out, np.concatenate(parts), atol=2e-6, err_msg=name)


def check_trees():
    """Vectors beside matrices, and leaves that are on no mesh."""
    for name in ("top_k", "quantize"):
        for sharding in explicit_shardings():
            w = jax.device_put(START, sharding)
            b = jax.device_put(BIAS[:2], NamedSharding(sharding.mesh, PartitionSpec("b")))
            for rest in ({"b": b}, {"s": jnp.float32(0.7)}, {"n": BIAS}):
                tree = {"w": w, **rest}
                whole = COUPLED[name](jax.tree.map(np.asarray, tree), 0.3)
                jax.tree.map(np.testing.assert_allclose, jax.jit(COUPLED[name])(tree, 0.3), whole)


def check_methods():
    """Methods with an inner product or a prox of single coordinates, on explicit meshes."""
    for tx in (adamprox.fista(0.1, prox.l1, 0.1), adamprox.proxgen(0.1, prox.l1, 0.1)):
        one = np.asarray(jax.jit(lambda w, tx=tx: descend(tx, w)[0])(START))
        for sharding in explicit_shardings():
            w = jax.device_put(START, sharding)
            out = jax.jit(lambda w, tx=tx: descend(tx, w)[0])(w)
            np.testing.assert_allclose(out, one, atol=1e-6, err_msg=str(sharding))
            assert out.sharding.is_equivalent_to(sharding, 2)


if __name__ == "__main__":
    assert DEVICES == 8
    if sys.argv[1:] == ["all"]:
        check_iterates(OTHERS)
        check_operators()
        check_parts()
        check_trees()
        check_methods()
    else:
        check_iterates(OPTIMIZERS)
        check_norms()
        check_histograms()
        check_operators(("top_k", "nuclear"))  # one that sorts, one of singular values

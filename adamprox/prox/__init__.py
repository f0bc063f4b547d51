"""Proximal operators: pure functions from a pytree to a pytree of the same structure.

Every operator has the signature ``prox(tree, t)`` and computes, for its regularizer R,

    prox_{tR}(x) = argmin_z  ½‖z − x‖² + t R(z),        t ≥ 0.

``t`` may be a Python float or a traced scalar. Leaves keep their dtype; half-precision leaves are
computed in float32. ``None`` leaves are skipped, as everywhere in Optax. Further parameters are
set with ``functools.partial``; bad ones raise when they are Python or NumPy numbers.

Results are accurate to rounding for entries of any magnitude; XLA may treat subnormal numbers as
zero. An entry that is NaN stays NaN, and a norm passes it on to all entries of its group.

Under ``jit``, a norm or an order is that of the whole arrays for any sharding. Inside ``shard_map``
and ``pmap`` an operator sees one device's part. There `l2`, `l2_ball`, `sparse_group` and
`size_weighted` need ``axis_name``; the first three cost two more all-reduces of a scalar. With
``check_vma=True``, its default, ``shard_map`` knows the replicated leaves, which count once. With
``check_vma=False`` every leaf counts as a part. `adamprox.adamprox_l2` has no ``axis_name``.
Inside ``shard_map``, chain `adamprox.adam_direction` and `adamprox.proximal` with
``partial(prox.l2, axis_name="data")`` instead.

Operators that sort entries (`simplex`, `l1_ball`, `slope`, `top_k`, `top_share`), `n_m`,
`total_variation`, `fit_levels` and those on singular values have no ``axis_name``: use them under ``jit``.

| module | contents |
|---|---|
| `penalties` | convex penalties: `l1`, `l2`, `squared_l2`, `elastic_net`, `sparse_group`, `huber` |
| `constraints` | projections: `nonnegative`, `box`, `l2_ball`; and `nonnegative_l1` |
| `projections` | more projections: `simplex`, `l1_ball`, `linf_ball` |
| `ordered` | convex penalties of ranks and of neighbors: `slope`, `total_variation` |
| `sparsity` | the largest magnitudes: `top_k`, `top_share`, `n_m` |
| `quantization` | grids of levels: `quantize`, `binary_relax`, `parq`, `fit_levels` |
| `spectral` | singular values: `nuclear`, `rank`, `orthogonal`, `spectral_ball` |
| `nonconvex` | `l0`, `mcp`, `scad`, `log_sum`, `l_half` |
| `groups` | combinators: `per_leaf`, `per_output_channel`, `by_path`, `size_weighted` |
"""

from adamprox.prox._arithmetic import Prox as Prox
from adamprox.prox.constraints import box as box
from adamprox.prox.constraints import l2_ball as l2_ball
from adamprox.prox.constraints import nonnegative as nonnegative
from adamprox.prox.constraints import nonnegative_l1 as nonnegative_l1
from adamprox.prox.groups import by_path as by_path
from adamprox.prox.groups import per_leaf as per_leaf
from adamprox.prox.groups import per_output_channel as per_output_channel
from adamprox.prox.groups import size_weighted as size_weighted
from adamprox.prox.nonconvex import l0 as l0
from adamprox.prox.nonconvex import l_half as l_half
from adamprox.prox.nonconvex import log_sum as log_sum
from adamprox.prox.nonconvex import mcp as mcp
from adamprox.prox.nonconvex import scad as scad
from adamprox.prox.ordered import slope as slope
from adamprox.prox.ordered import total_variation as total_variation
from adamprox.prox.penalties import elastic_net as elastic_net
from adamprox.prox.penalties import huber as huber
from adamprox.prox.penalties import l1 as l1
from adamprox.prox.penalties import l2 as l2
from adamprox.prox.penalties import sparse_group as sparse_group
from adamprox.prox.penalties import squared_l2 as squared_l2
from adamprox.prox.projections import l1_ball as l1_ball
from adamprox.prox.projections import linf_ball as linf_ball
from adamprox.prox.projections import simplex as simplex
from adamprox.prox.quantization import binary_relax as binary_relax
from adamprox.prox.quantization import fit_levels as fit_levels
from adamprox.prox.quantization import parq as parq
from adamprox.prox.quantization import quantize as quantize
from adamprox.prox.sparsity import n_m as n_m
from adamprox.prox.sparsity import top_k as top_k
from adamprox.prox.sparsity import top_share as top_share
from adamprox.prox.spectral import nuclear as nuclear
from adamprox.prox.spectral import orthogonal as orthogonal
from adamprox.prox.spectral import rank as rank
from adamprox.prox.spectral import spectral_ball as spectral_ball

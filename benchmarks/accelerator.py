"""Training speed of one accelerator in images/s: single and batched runs, PyTorch, and limits.

Command: python -m benchmarks.accelerator [--out FILE] [--smoke] [--seconds N]
         python -m benchmarks.accelerator --show FILE      (a Markdown table of the rows in FILE)
Cost: no new row begins after --seconds, by default 340. --smoke takes a minute on a CPU. The benchmark
needs the extra ``experiments``; PyTorch is optional.

A step is forward, backward and update of a ResNet without BatchNorm, in batches of 128 random 32×32
images that are flipped and shifted. Batched runs are as in the experiments: they record histograms
of updates, and of K runs ⌊K/2⌋ use Adam-ℓ2. All other runs use AdamW. PyTorch uses channels last, TF32,
fused AdamW and the same augmentation, in one CUDA graph per step, with and without torch.compile. The
most important rows come first; the program prints and saves each row as soon as
it is measured.
"""

import datetime
import functools
import importlib.metadata
import importlib.util
import json
import math
import operator
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory beside JAX

import jax
import jax.numpy as jnp
import numpy as np

from adamprox.command_line import Parser
from adamprox.data import Dataset, Split
from adamprox.files import write_atomically
from adamprox.output import one_line, reason_not_writable
from adamprox.training.specs import Program, ResNetSpec
from adamprox.training.throughput import Measurement, timed

BATCH, STEPS = 128, 24
LIMIT = 340.0  # seconds
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch")
_TORCH_SECONDS = 200


class Noise(NamedTuple):
    """Random images, as a substitute for an `adamprox.training.specs.ImageSpec`.

    Attributes:
      train_size: Number of training images.
      image_size: Height and width, in pixels.
      batch_size: Examples a step.
      augment: True to flip and shift images at random.
    """

    train_size: int
    image_size: int = 32
    batch_size: int = BATCH
    augment: bool = True

    def load(self) -> Dataset:
        """Return the images, always the same."""
        random = np.random.default_rng(0)

        def split(count):
            shape = (count, self.image_size, self.image_size, 3)
            images = random.integers(0, 256, shape, np.uint8)
            return Split(images, random.integers(0, 10, count).astype(np.int32))

        half = np.full(3, 0.5, np.float32)
        return Dataset("noise", split(self.train_size), split(256), 10, half, half / 2)


class Task(NamedTuple):
    """Measurement of one row.

    Attributes:
      implementation: ``adamprox``, ``torch`` or ``card``.
      way: Way of training: ``at once``, ``graph``, ``compiled``, ``eager``; or the measured limit of
        the GPU.
      depth: Depth of the ResNet, 0 for a limit of the GPU.
      dtype: Type of the activations.
      runs: Number of runs at once.
    """

    implementation: str
    way: str
    depth: int
    dtype: str
    runs: int


def tasks(smoke: bool) -> list[Task]:
    """Return the rows, the most important first."""
    ours = functools.partial(Task, "adamprox", "at once")
    torch = functools.partial(Task, "torch")
    half, whole = "bfloat16", "float32"
    if smoke:
        return [ours(8, half, 2), ours(8, whole, 1), Task("torch", "eager", 8, whole, 1), Task("card", "copy", 0, whole, 1)]  # fmt: skip
    return [
        ours(20, half, 8),
        torch("compiled", 20, half, 1),
        ours(20, whole, 8),
        torch("graph", 20, whole, 1),
        ours(56, half, 16),
        torch("compiled", 56, half, 1),
        ours(110, half, 8),
        torch("compiled", 110, half, 1),
        *(ours(20, dtype, 1) for dtype in (half, whole)),
        Task("card", "copy", 0, whole, 1),
        Task("card", "product", 0, half, 1),
        ours(56, half, 1),
        ours(56, half, 8),
        ours(20, half, 32),
        ours(110, half, 1),
        ours(110, half, 16),
        torch("graph", 20, half, 1),
        torch("compiled", 20, whole, 1),
        ours(20, half, 16),
        ours(56, whole, 8),
        ours(110, whole, 8),
    ]


def optimizers(runs: int) -> tuple[str, ...]:
    """Return the optimizers of some runs at once, at least half of them AdamW."""
    return ("adamw",) * (runs - runs // 2) + ("adam_l2",) * (runs // 2)


def train(task: Task, steps: int) -> Measurement:
    """Return images per second of runs of this project, and their cost."""
    network = ResNetSpec(depth=task.depth, compute_dtype=task.dtype)
    images: Any = Noise(BATCH * steps)
    program = Program(images, network, optimizers(task.runs))
    return timed(program)


def train_torch(task: Task, steps: int) -> float:
    """Return images per second of PyTorch, in a separate process."""
    options = ["--depth", f"{task.depth}", "--dtype", task.dtype, "--way", task.way]
    command = [sys.executable, "-m", "benchmarks.torch_step", *options, "--steps", f"{steps}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_SECONDS)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "PyTorch fails").splitlines()[-1])
    return float(done.stdout.split()[-1])


def card(task: Task) -> float:
    """Return bytes per second of a copy, or operations per second of a matrix product."""
    small = jax.default_backend() == "cpu"
    if task.way == "copy":
        x = jnp.zeros(2**22 if small else 2**28, jnp.float32)
        return 2 * x.nbytes / _seconds(jax.jit(lambda x: x + 1), x)
    n = 256 if small else 8192
    x = jnp.ones((n, n), task.dtype)
    return 2 * n**3 / _seconds(jax.jit(lambda x: x @ x), x)


def _seconds(function: Callable, x: Any, repeats: int = 10) -> float:
    y = jax.block_until_ready(function(x))
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(repeats):
            y = function(x)
        jax.block_until_ready(y)
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def row(task: Task, steps: int, started: str) -> dict[str, Any]:
    """Measure one row; ``started`` is the time (UTC) at which the benchmark began."""
    more: dict[str, Any] = {}
    if task.implementation == "adamprox":
        found = train(task, steps)
        rate, more = found.images_per_second, {"compile_seconds": found.compile_seconds}
    elif task.implementation == "torch":
        rate = train_torch(task, steps)
    else:
        key = "bytes_per_second" if task.way == "copy" else "operations_per_second"
        rate, more = None, {key: card(task)}
    return {
        **task._asdict(),
        "network": "resnet" if task.depth else None,
        "images_per_second": rate,
        **more,
        "device": jax.local_devices()[0].device_kind,
        "started": started,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the installed packages."""
    found = {}
    for name in _PACKAGES:
        if importlib.util.find_spec(name):
            found[name] = importlib.metadata.version(name)
    return found


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table, with ratios to PyTorch's fastest step of the same network, dtype and benchmark.

    Ratios stay within one benchmark, because another may have used another card.
    """
    lines = ["| network | activations | implementation | runs | images/s | ratio | started (UTC) |", "|---|---|---|--:|--:|--:|---|"]  # fmt: skip
    key = operator.itemgetter("depth", "dtype", "started")
    base: dict[tuple[int, str, str], float] = {}
    for r in rows:
        if r["implementation"] == "torch":
            base[key(r)] = max(base.get(key(r), 0.0), r["images_per_second"])
    for r in sorted(rows, key=lambda r: (*key(r), r["implementation"], r["runs"])):
        if not r["depth"]:
            continue
        reference = base.get(key(r))
        ratio = f"{r['images_per_second'] / reference:.2f}" if reference else ""
        ours = "batched" if r["runs"] > 1 else "single"
        name = f"{r['implementation']}, {r['way'].replace('at once', ours)}"
        lines.append(
            f"| ResNet-{r['depth']} | {r['dtype']} | {name} | {r['runs']} | {r['images_per_second']:,.0f} | {ratio} | {r['started']} |"
        )
    devices = ", ".join(sorted({r["device"] for r in rows}))
    return "\n".join([f"On {devices}.", "", *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and save row by row."""
    parser = Parser(prog="python -m benchmarks.accelerator", description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file of all rows")
    parser.add_argument("--smoke", action="store_true", help="small networks, on any device")
    parser.add_argument(
        "--seconds", type=float, metavar="N", help=f"time limit in seconds ({LIMIT:g})"
    )
    parser.add_argument("--show", type=pathlib.Path, help="print the rows of a file as Markdown")
    options = parser.parse_args(arguments)
    if options.show:
        if options.out or options.smoke or options.seconds is not None:
            parser.error("show must be given alone, got an option of measurements beside it")
        try:
            rows = json.loads(options.show.read_text(encoding="utf-8"))
            if not rows:
                raise ValueError("no rows")
            print(markdown(rows))
        except OSError as error:
            parser.error(f"show must be a file of --out, got {options.show}: {one_line(error)}")
        except (ValueError, TypeError, KeyError, AttributeError):
            parser.error(f"show must be a file of --out, got {options.show} without its rows")
        return 0
    limit = LIMIT if options.seconds is None else options.seconds
    if not 0 < limit < math.inf:
        parser.error(f"seconds must be a number > 0, got {limit}")
    if out := options.out:
        reason = "is a directory" if out.is_dir() else reason_not_writable(out.parent)
        if reason:
            parser.error(f"out must be a file that can be written, got {out} ({reason})")
    clock, rows = time.monotonic(), []
    started = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M}"
    for task in tasks(options.smoke):
        if time.monotonic() - clock > limit:
            print(f"out of time: {task} and later rows are skipped", flush=True)
            break
        if task.implementation == "torch" and not importlib.util.find_spec("torch"):
            continue
        try:
            rows.append(row(task, 2 if options.smoke else STEPS, started))
        except Exception as error:  # a failing row must not stop the others
            reason = next(iter(str(error).splitlines()), "")
            print(f"failed: {task}: {type(error).__name__}: {reason}", flush=True)
            continue
        print(json.dumps({k: v for k, v in rows[-1].items() if k != "versions"}), flush=True)
        if options.out:
            write_atomically(options.out, json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

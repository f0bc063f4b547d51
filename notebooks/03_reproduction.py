# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The reproduction, from records
#
# Each training run writes a *record*, a small Parquet file. All figures and claims of the reproduction are computed
# from records. This notebook makes some records, reads them with pyarrow, draws the experiment's figures and one of
# your own, and trains a single network. It takes one or two minutes on one core.
#
# The notebook needs a checkout of the repository, because the installed package does not contain the experiments.

# %%
import io
import pathlib
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
from IPython.display import Image, Markdown, display

from adamprox.report.plots import COLORS, LABELS, histogram, spread_through_training, style
from adamprox.sweep import Record, run_key
from adamprox.training import TrainingRun

ROOT = pathlib.Path.cwd().parent
sys.path.insert(0, str(ROOT))  # to import experiments
plt.rcParams.update(
    {
        "figure.dpi": 65,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## Make records
#
# This is the usual command, at the smallest preset and with a slightly larger grid. It trains ResNet-8 without
# BatchNorm on 64 handwritten digits. The preset is fast, but too small for meaningful results. `--preset demo` takes
# about two minutes and gives better ones.

# %%
OUT = pathlib.Path(tempfile.mkdtemp())
GRID = {
    "depth": 8,
    "epochs": 15,
    "learning_rates": (5e-4, 2e-3),
    "weight_decays": (1e-3, 1e-2, 1e-1),
}
options = [
    "--depth",
    "8",
    "--epochs",
    "15",
    "--learning-rates",
    "0.0005",
    "0.002",
    "--weight-decays",
    "0.001",
    "0.01",
    "0.1",
]
command = ["-m", "experiments", "fig03", "--preset", "smoke", "--out", str(OUT), *options]
subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
for folder in sorted({path.parent for path in OUT.rglob("*.*")}):
    print(str(folder.relative_to(OUT)).ljust(18), len(list(folder.glob("*.*"))), "files")

# %% [markdown]
# ## Read records
#
# A record contains the configuration of a run, its curves, its result and its provenance. Pandas, Polars and DuckDB
# can read it too.

# %%
records = pq.read_table(OUT / "records" / "training").to_pylist()
example = records[0]
print(len(records), "records of", len(example), "columns")
for column in ("optimizer", "learning_rate", "weight_decay", "depth", "final_test_error", "key"):
    print(f"{column:18} {example[column]}")
print("test_error        ", [round(e, 2) for e in example["test_error"]])
print("update_histogram  ", np.shape(example["update_histogram"]), "counts, epochs × bins")

# %% [markdown]
# ## The experiment's figures and claims
#
# A study is an experiment on the records so far: it lists its runs, draws figures and judges claims. Redrawing a figure
# needs no training.

# %%
from experiments.presets import protocol
from experiments.protocol import Records
from experiments.registry import EXPERIMENTS

study = EXPERIMENTS["fig03"].study(protocol("smoke", **GRID), Records.by_key(map(Record, records)))
with style():
    for figure in study.figures()[:3]:
        picture = io.BytesIO()
        figure.canvas.savefig(picture, dpi=60)
        display(Markdown(f"**{figure.title}** {figure.caption}"), Image(picture.getvalue()))

# %%
rows = [
    f"| {c.statement} | {c.measured} | {c.criterion} | **{c.verdict.value}** |"
    for c in study.claims()
]
display(
    Markdown("\n".join(["| claim | measured | criterion | verdict |", "|---|---|---|---|", *rows]))
)

# %% [markdown]
# The smallest preset does not judge the claims, because its runs are too short.
#
# ## Your own figure
#
# This figure shows the spread of update magnitudes against λ. The paper claims that Adam-ℓ2's spread is wider, for
# deep networks and long runs. These runs, with eight layers and thirty steps, only show that λ has an effect.

# %%
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name in ("adam_l2", "adamw", "adamprox"):
    mine = [r for r in records if r["optimizer"] == name and r["learning_rate"] == 2e-3]
    mine.sort(key=lambda r: r["weight_decay"])
    spreads = [np.mean(spread_through_training(r)[5:]) for r in mine]
    ax.plot(
        [f"{r['weight_decay']:g}" for r in mine],
        spreads,
        "o-",
        color=COLORS[name],
        label=LABELS[name],
    )
ax.set(xlabel="λ", ylabel="10–90 % spread, powers of two", title="mean over epochs 6 to 15")
_ = ax.legend()

# %% [markdown]
# ## One run
#
# A `TrainingRun` describes one run. It is a dataclass. A different field makes a different run, with a different
# key.

# %%
run = TrainingRun.of(
    depth=8, train_size=64, batch_size=32, epochs=15, optimizer="adamprox", weight_decay=1e-2
)
print(run_key(run), run.hyperparameters)
record = run.run()
print(f"test error {record['test_error'][-1]:.3f} after {record['epoch'][-1]} epochs")

# %%
_, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
axes[0].semilogy(record["epoch"], record["train_loss"], color=COLORS["adamprox"])
axes[0].set(xlabel="epoch", title="training loss")
histogram(axes[1], {**record, **run.config()})

# %% [markdown]
# **Try:** set `loss_multiplier=100.0` with `optimizer="adam_l2"` and with `"adamw"`, and compare the training errors.
# Or set `batch_norm=True`. A second `run` with a network of the same shape takes a second, because nothing is
# compiled again.
#
# `python -m experiments list` lists all experiments. [How to add a
# figure](../docs/how_to/add_a_figure.md) shows how to write one.

"""Speed of PyTorch's training step in images/s; `benchmarks.accelerator` starts it as a process.

A step gathers and augments a batch, differentiates and updates. On a GPU a step is one CUDA graph.
"""

# pyright: reportMissingImports=false

import argparse
import time

import torch
from torch.nn import functional as F

from benchmarks.torch_resnet import make

BATCH, PAD, SIDE = 128, 4, 32


def augmented(images, index):
    """Flip, pad with black and crop at random: uint8[N, 3, 32, 32], channels last."""
    device, count = images.device, len(index)
    padded = F.pad(images[index], (PAD,) * 4)
    down, right = torch.randint(0, 2 * PAD + 1, (2, count, 1), device=device)
    flip = torch.randint(0, 2, (count, 1), device=device, dtype=torch.bool)
    across = torch.arange(SIDE, device=device)
    rows = down + across
    columns = right + across
    columns = torch.where(flip, SIDE + 2 * PAD - 1 - columns, columns)
    picture = torch.arange(count, device=device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def make_step(depth: int, dtype: str, compiled: bool, device: str):
    """Return a function that takes one step, and its optimizer."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (BATCH * 24, 3, SIDE, SIDE), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 10, (len(images),), device=device)
    network = make(depth).to(device)
    forward = torch.compile(network) if compiled else network
    graphed = device == "cuda"
    optimizer = torch.optim.AdamW(
        network.parameters(), 1e-4, weight_decay=0.1, fused=True, capturable=graphed
    )

    def step():
        index = torch.randint(0, len(images), (BATCH,), device=device)
        x = augmented(images, index).float().div(255).sub(0.5).div(0.25)
        x = x.contiguous(memory_format=torch.channels_last)
        half = dtype == "bfloat16"
        with torch.autocast(device, torch.bfloat16, enabled=half, cache_enabled=False):
            logits = forward(x)
        loss = F.cross_entropy(logits.float(), labels[index])
        loss.backward()
        optimizer.step()
        return loss

    return step, optimizer


def graph_of(step, optimizer):
    """Record a step in a CUDA graph, after warm-up steps on another stream; return its replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(4):
            optimizer.zero_grad(set_to_none=True)
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    """Print images per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--way", default="graph", choices=["eager", "graph", "compiled"])
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    step, optimizer = make_step(options.depth, options.dtype, options.way == "compiled", device)
    if device == "cuda" and options.way != "eager":
        step = graph_of(step, optimizer)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        for _ in range(options.steps):
            if options.way == "eager":
                optimizer.zero_grad(set_to_none=True)
            step()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    print(BATCH * options.steps / best)


if __name__ == "__main__":
    main()

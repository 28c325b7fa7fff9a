"""What the similarity of layers costs beside the forward passes that it needs.

ResNet-18 with random weights at a number of checkpoints (copies whose weights move a little), random images
at 64 pixels in batches of 64. First the rows of the stem and all blocks of all checkpoints, taken during the
passes, and what is made of them: products of all with all, CKA with intervals, permutation nulls. Then, for a
quarter of the images, all layers with all of one pair of networks, beside pytorch-cka with the same layers;
and of all pairs of checkpoints, for which pytorch-cka runs every pair (one is measured). Seconds are the
process's own (CPU), ratios of one run. MB are those by which the process has grown since all images lay in
memory.

    OMP_NUM_THREADS=1 python benchmarks/similarity.py [--images 2048] [--checkpoints 12] [--small]
"""

import argparse
import copy
import resource
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import cka as pytorch_cka
import numpy as np
import torch
from tables import print_table
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import models

from transferlens.dynamics import similarity
from transferlens.dynamics.similarity import grams, minibatch
from transferlens.models import layers

SIDE, BATCH, DRAWS = 64, 64, 50
BLOCKS = ["relu", *(f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2))]
Batches = tuple[Tensor, ...]
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--checkpoints", type=int, default=12)
    parser.add_argument("--small", action="store_true", help="256 images, 3 checkpoints")
    given = parser.parse_args()
    images, checkpoints = (256, 3) if given.small else (given.images, given.checkpoints)
    torch.manual_seed(0)
    networks = checkpoints_of(models.resnet18(weights=None, num_classes=100).eval(), checkpoints)
    batches = torch.randn(images, 3, SIDE, SIDE).split(BATCH)
    shape = f"{checkpoints} checkpoints, {images:,} images, threads: {torch.get_num_threads()}"
    columns = ["", "CPU seconds", "share of the passes", "MB more"]
    print_table(f"Blocks of {shape}", columns, list(trajectory(networks, batches)))
    columns = ["", "layers", "passes", "ours", "pytorch-cka", "theirs / ours"]
    some = batches[: len(batches) // 4]
    print_table("All layers with all layers: CPU seconds", columns, list(pairs(networks, some)))


def checkpoints_of(network: nn.Module, count: int) -> list[nn.Module]:
    """The network, and copies whose weights move by a percent of their size each."""
    networks = [network]
    for _ in range(count - 1):
        moved = copy.deepcopy(networks[-1])
        with torch.no_grad():
            for weights in moved.parameters():
                weights += 0.01 * weights.std(correction=0) * torch.randn_like(weights)
        networks.append(moved)
    return networks


def trajectory(networks: list[nn.Module], batches: Batches) -> Iterator[tuple[str, ...]]:
    """Rows of all blocks of all networks, and what is made of them."""
    before, rng = megabytes(), np.random.default_rng(0)
    minibatch.jackknife(minibatch.products(rng.normal(size=(2, 1, 6))))  # what loads at its first use
    started = time.process_time()
    taken, rows = rows_of(networks, batches, BLOCKS)
    passes = time.process_time() - started - taken

    def line(title: str, spent: float) -> tuple[str, ...]:
        return title, f"{spent:.2f}", f"{spent / passes:.1%}", f"{megabytes() - before:.0f}"

    yield line("forward passes", passes)
    yield line("rows of Grams", taken)
    multiplied, products = timed(lambda: minibatch.products(rows))
    yield line(f"products, {rows.shape[1]} rows with all", multiplied)
    yield line("rows and products", taken + multiplied)
    yield line("CKA and its intervals", timed(lambda: minibatch.jackknife(products))[0])
    first = np.tile(rows[:, : len(BLOCKS)], (1, len(networks), 1))
    title = f"null of each row with its first, {DRAWS} draws"
    yield line(title, timed(lambda: minibatch.null(first, rows, DRAWS, rng))[0])


def rows_of(networks: list[nn.Module], batches: Batches, names: list[str]) -> tuple[float, np.ndarray]:
    """CPU seconds that rows took, and the rows float32[batches, networks x calls of layers, pairs]."""
    spent, made = 0.0, []

    def take(_layer: str, output: Tensor) -> None:
        nonlocal spent
        seconds, row = timed(lambda: grams.row(output))
        spent += seconds
        made.append(row)

    with torch.inference_mode():
        for network in networks:
            with layers.hooked(network, names, take):
                for images in batches:
                    network(images)
    calls = len(made) // len(networks) // len(batches)
    stored = torch.stack(made).view(len(networks), len(batches), calls, -1)
    return spent, stored.transpose(0, 1).flatten(1, 2).numpy()


def pairs(networks: list[nn.Module], batches: Batches) -> Iterator[tuple[str, ...]]:
    """One pair of networks, and all pairs of them, by this library and by pytorch-cka."""
    first, second = networks[0], networks[-1]
    loader = DataLoader(torch.cat(batches), BATCH)
    calls = similarity.compare_networks(first, second, batches[:1]).first
    names = [name for name in calls if "@" not in name]
    passes = timed(lambda: forward((first, second), batches))[0]
    ours = timed(lambda: similarity.compare_networks(first, second, loader, names))[0]
    theirs = timed(
        lambda: pytorch_cka.compute_cka(first, second, loader, layers=names, device="cpu", progress=False)
    )[0]
    yield compared("one pair", names, (passes, ours, theirs))
    count = len(networks)
    every = timed(lambda: minibatch.jackknife(minibatch.products(rows_of(networks, batches, names)[1])))[0]
    both = count * (count - 1) / 2
    yield compared(f"{both:.0f} pairs of {count}", names, (passes * count / 2, every, theirs * both))


def compared(title: str, names: list[str], seconds: tuple[float, float, float]) -> tuple[str, ...]:
    _, ours, theirs = seconds
    return title, str(len(names)), *(f"{each:.1f}" for each in seconds), f"{theirs / ours:.2f}"


def forward(networks: tuple[nn.Module, ...], batches: Batches) -> None:
    with torch.inference_mode():
        for network in networks:
            for images in batches:
                network(images)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of the process itself, and what came of them."""
    started = time.process_time()
    made = work()
    return time.process_time() - started, made


def megabytes() -> float:
    """The most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

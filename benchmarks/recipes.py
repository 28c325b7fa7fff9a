"""What recipes cost beside plain fine-tuning: CPU seconds a step and peak memory, all from one run.

ResNet-18 with random weights, 20 classes, batches of 48 random images of 64 px, one thread. Each recipe runs
in a process of its own, by the one training loop; data loading and augmentation are not in it. Its steps and
those of plain fine-tuning, in another process, are taken by turns, so that what else the machine does weighs
on both alike; medians over steps count. Memory is the most that torch holds in a step beyond network and
batch.

    python benchmarks/recipes.py [--only NAME ...] [--rounds 9] [--counts]

`--counts` prints multiplications and additions of a step of Concept-Tuning at its published sizes
(ResNet-50, 224 px, batch 48, 200 classes), counted on the meta device.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from tables import print_table
from torch.utils.flop_counter import FlopCounterMode

from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.models import contract
from transferlens.training import recipes, source, turns
from transferlens.training.recipes import kinds
from transferlens.training.recipes.base import Data
from transferlens.training.runs import Job

CLASSES, BATCH, SIDE = 20, 48, 64
PLAIN = "full"
# Settings of recipes that are measured otherwise than by their defaults.
_TRANSPORT = {"sinkhorn_iterations": 50, "sinkhorn_tolerance": 0}
_OTHERWISE = {
    "delta": {"attention": "uniform"},
    "concept_tuning": _TRANSPORT,
    "concept_tuning (features)": {"kind": "concept_tuning", "patch_source": "feature", **_TRANSPORT},
}
# Recipes whose steps begin with others than their own, or that train a head alone; see their cards.
_LEFT_OUT = ("fixed", "lp_ft", "wise_ft", "co_tuning")
SETTINGS: dict[str, dict[str, Any]] = {
    name: {"kind": name, **_OTHERWISE.get(name, {})}
    for name in (*kinds.KINDS, *_OTHERWISE)
    if name in _OTHERWISE or not (kinds.KINDS[name].asked_for_by or name in _LEFT_OUT)
}
# Losses that are left out, and what is counted at the published sizes.
WITHOUT = {"image_weight": 0, "concept_weight": 0, "bottleneck_weight": 0, "information_weight": 0}
COUNTED = {
    "with the bottleneck": {"image_weight": 0, "concept_weight": 0},
    "with images": {"concept_weight": 0, "bottleneck_weight": 0, "information_weight": 0},
    "whole, patches of maps": {"patch_source": "feature"},
    "whole": {},
}
TRAINING = {"batch_size": BATCH, "epochs": 1, "lr": 0.01, "schedule": "step", "precision": "float32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), help="recipes")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each recipe")
    parser.add_argument("--counts", action="store_true")
    given = parser.parse_args()
    if given.counts:
        print_counts()
    else:
        print_ratios(given.only, given.rounds)


def print_ratios(names: list[str], rounds: int) -> None:
    """Measure recipes, and print what they cost beside the plain one."""
    rows = []
    for name in names:
        (plain, least), (seconds, megabytes) = measure(name, rounds)
        rows.append(
            (name, f"{seconds:.3f}", f"{seconds / plain:.2f}", f"{megabytes:.0f}", f"{megabytes / least:.2f}")
        )
    title = f"ResNet-18, {SIDE} px, {CLASSES} classes, batch {BATCH}, medians of {rounds} steps"
    print_table(title, ["recipe", "CPU s a step", "times plain", "peak MB", "times plain"], rows)


def measure(name: str, rounds: int) -> list[tuple[float, float]]:
    """(median CPU seconds of a step, peak MB) of the plain recipe and another one, by turns."""
    costs = turns.by_turns([partial(job_of, one, rounds + turns.WARM_UP) for one in (PLAIN, name)], rounds)
    return [(float(np.median(cost.seconds)), cost.peak / 2**20) for cost in costs]


def job_of(name: str, steps: int) -> Job:
    """At least so many steps by a recipe, on one thread."""
    torch.set_num_threads(1)
    settings, images = kinds.read({"training": TRAINING, **SETTINGS[name]}), Noise(steps * BATCH)
    network = partial(new_network, CLASSES)
    return Job(network, Data(images, np.arange(len(images))), settings, 0, network)


def new_network(classes: int) -> Any:
    """A network with random weights, as jobs make them."""
    architecture = NetworkSettings(name="resnet18", resolution=SIDE)
    return source.new_network(architecture, classes, torch.device("cpu"), 0)


def print_counts() -> None:
    """Multiplications with an addition of a step of Concept-Tuning at its published sizes."""
    published = {
        "kind": "concept_tuning",
        "confusing": 199,
        "sinkhorn_tolerance": 0,
        "sinkhorn_iterations": 1,
    }
    plain = counted({**published, **WITHOUT})
    rows = [("plain fine-tuning", f"{plain / 1e12:.2f}", "1.00")]
    for name, others in COUNTED.items():
        one = counted({**published, **others})
        rows.append((name, f"{one / 1e12:.2f}", f"{one / plain:.2f}"))
    problems = BATCH * (1 + 40 * 200)  # of 9 x 9, by rows and by columns in an iteration
    iterations = 200 * problems * 2 * 81
    rows.append(("200 iterations of transport", f"{iterations / 1e12:.2f}", f"{iterations / plain:.2f}"))
    title = "ResNet-50, 224 px, batch 48, 200 classes, 199 of them confusing: a step"
    print_table(title, ["", "10^12 multiplications", "times plain"], rows)


def counted(settings: dict[str, Any]) -> float:
    """Of a step by these settings, forward and backward, on the meta device."""
    recipe = recipes.make(kinds.read({"training": TRAINING, **settings}))
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = contract.build(NetworkSettings(name="resnet50", resolution=224), 200).to("meta")
        recipe.start(network, None, Data(Noise(BATCH), np.arange(BATCH)), 0)
        recipe.enter(next(recipe.phases()), {})
        views = [torch.empty(BATCH, 3, 224, 224) for _ in range(4)]
        loss, _ = recipe.step(views, torch.zeros(BATCH, dtype=torch.long))
        loss.backward()
    return counter.get_total_flops() / 2


class Noise:
    """Random images, the same batch in every step."""

    def __init__(self, images: int):
        self.settings = InputSettings(resolution=SIDE)
        self.device = torch.device("cpu")
        self.labels = torch.arange(images) % CLASSES
        batch = torch.randn(4, BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        self._views = [view.contiguous(memory_format=torch.channels_last) for view in batch]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of the channels."""
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1)

    def evaluation_batches(self, batch_size: int) -> Iterator[torch.Tensor]:
        """Batches as they are shown once, before steps are."""
        yield from (self._views[0] for _ in range(0, len(self), BATCH))

    def training_batches(self, one: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batch of a view, and its labels, again and again."""
        for start in range(0, len(self), BATCH):
            yield self._views[one.view], self.labels[start : start + BATCH]


if __name__ == "__main__":
    main()

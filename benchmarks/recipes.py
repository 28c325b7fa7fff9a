"""What recipes cost beside plain fine-tuning: CPU seconds a step and peak memory, all from one run.

ResNet-18 with random weights, 20 classes, batches of 48 random images of 64 px, one thread. Each recipe runs
in a process of its own, by the one training loop; data loading and augmentation are not in it. Its steps and
those of plain fine-tuning, in another process, are taken by turns, so that what else the machine does weighs
on both alike; medians over steps count. Memory is the peak of a process beyond what it held with a network
and a batch.

    python benchmarks/recipes.py [--only NAME ...] [--rounds 9] [--counts]

`--counts` prints multiplications and additions of a step of Concept-Tuning at its published sizes
(ResNet-50, 224 px, batch 48, 200 classes), counted on the meta device.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tables import print_table
from torch.utils.flop_counter import FlopCounterMode

from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.models import contract
from transferlens.training import engine, recipes, source
from transferlens.training.block import frozen
from transferlens.training.recipes import kinds
from transferlens.training.recipes.base import Data

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
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        serve(given.measure, given.rounds + 2)
    elif given.counts:
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
    command = [sys.executable, __file__, "--rounds", str(rounds), "--measure"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, one], **pipes) for one in (PLAIN, name)]
    turns = [[_told(process, turn) for process in both] for turn in range(rounds + 1)]
    medians = np.median(turns[1:], 0).tolist()  # the first step warms up
    peaks = [_told(process, "end") for process in both]
    for process in both:
        process.communicate()
    return list(zip(medians, peaks, strict=True))


def _told(process: subprocess.Popen, what: Any) -> float:
    """What a process answers."""
    print(what, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def serve(name: str, steps: int) -> None:
    """Train by a recipe, a step whenever a line comes in, and print its seconds; at `end`, the peak MB."""
    torch.set_num_threads(1)
    settings = kinds.read({"training": TRAINING, **SETTINGS[name]})
    recipe, network, images = recipes.make(settings), new_network(CLASSES), Noise(steps * BATCH)
    images.held, after_step = peak_megabytes(), recipe.after_step
    source_network = frozen(new_network(CLASSES)) if recipe.keeps_source else None
    recipe.start(recipe.convert(network), source_network, Data(images, np.arange(len(images))), 0)

    def after(step: int) -> None:
        after_step(step)
        print(json.dumps(time.process_time() - images.began), flush=True)

    recipe.after_step = after
    engine.run(recipe)


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
    """Random images, the same batch in every step.

    Attributes:
        began: when the latest step began, which waits for a line to come in.
        held: peak MB before the run.
    """

    def __init__(self, images: int):
        self.settings = InputSettings(resolution=SIDE)
        self.device = torch.device("cpu")
        self.labels = torch.arange(images) % CLASSES
        self.began = self.held = 0.0
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
            if one.view == 0:
                self._wait()
            yield self._views[one.view], self.labels[start : start + BATCH]

    def _wait(self) -> None:
        if sys.stdin.readline().strip() == "end":
            print(json.dumps(peak_megabytes() - self.held), flush=True)
            sys.exit()
        self.began = time.process_time()


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

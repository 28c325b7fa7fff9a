"""Influence estimation, from the summary file on disk to the influence file on disk.

Compares, for M models, K source classes and N target examples, with float32 outputs:

* one bare matrix product [N, M] x [M, K] of NumPy (the least that influences can cost);
* the project, `estimate.write_influence` of the margin: checksum and reading of the summary, effects
  and standard errors per example, aggregates with intervals, q-values and jackknife, and the
  checksummed influence file, synced to disk. With differences of means, least squares and ridge;
* the plain loop, one broadcasted product per target example and side, in PyTorch, on a few examples
  and scaled up.

All use the cores that OMP_NUM_THREADS allows (all by default; jobs of the workflow get one). Each is
run once to warm up; then they are timed in turn, five times, and the table shows medians. Peak memory is
that of the workflow's job as a process of its own.

    python benchmarks/influence.py [--models 2000] [--classes 1000] [--examples 20000] [--design bernoulli]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from processes import seconds_and_megabytes
from tables import print_table

from transferlens.core import artefacts, provenance
from transferlens.core.studies import Rows
from transferlens.data import index_making
from transferlens.data.index import Examples, Index
from transferlens.data.units import class_units
from transferlens.estimation import designs
from transferlens.influence import estimate
from transferlens.influence.artefacts import INFLUENCE
from transferlens.training import outputs, summary, transfer
from transferlens.training.artefacts import SUMMARY, TRANSFER_RUNS

SHARD_SIZE = 16  # the default of the configuration
TARGET_CLASSES = 10
LOOP_EXAMPLES = 200
ESTIMATORS = ("difference_of_means", "least_squares", "ridge")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=20000)
    parser.add_argument("--design", default="bernoulli")
    parser.add_argument("--rounds", type=int, default=5)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        run(Path(folder), sizes.models, sizes.classes, sizes.examples, sizes.design, sizes.rounds)


def run(folder: Path, models: int, classes: int, examples: int, design: str, rounds: int) -> None:
    """Make the inputs in `folder`, time everything in turn, and print."""
    source, target = write_indexes(folder, classes, examples)
    settings = {"study": "influence", "design": design, "keep": 0.5, "seed": 0}
    rows = designs.RandomMasks.draw(settings, class_units(source), range(models), {}, source)
    write_summary(folder, rows, target)
    masks, margins = rows.masks.astype(np.float32), read_margins(folder)
    seconds = medians(
        rounds,
        lambda: [(folder / f"{name}.h5").unlink(missing_ok=True) for name in ESTIMATORS],
        lambda: margins.T @ masks,
        *(partial(influences, folder, target, name) for name in ESTIMATORS),
        lambda: loop(rows.masks, margins[:, :LOOP_EXAMPLES]),
    )
    seconds[-1] *= examples / LOOP_EXAMPLES
    labels = ["one bare product", *ESTIMATORS, "a loop over examples (scaled up)"]
    print_table(
        f"Influences of {classes} classes on {examples} examples over {models} models ({design})",
        ["", "seconds", "ratio"],
        [[a, f"{s:.2f}", f"{s / seconds[0]:.1f}"] for a, s in zip(labels, seconds, strict=True)],
    )
    peaks = ", ".join(f"{name} {job_memory(folder, name):.0f} MB" for name in ESTIMATORS)
    print(f"peak memory of the job: {peaks}")


def medians(rounds: int, reset: Callable, *candidates: Callable[[], object]) -> list[float]:
    """Median seconds of each candidate; they take turns, so that a busy machine hits all alike."""
    times = []
    for _ in range(1 + rounds):
        reset()
        times.append([seconds_of(candidate) for candidate in candidates])
    return [statistics.median(of_one) for of_one in zip(*times[1:], strict=True)]


def seconds_of(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def influences(folder: Path, target: Index, estimator: str) -> None:
    """What the job of the workflow does, with the same inputs recorded."""
    provenance.begin(
        {"outputs": ["margin"], "estimator": estimator}, [folder / "summary.h5", folder / "target.h5"]
    )
    out = folder / f"{estimator}.h5"
    estimate.write_influence(out, INFLUENCE, folder / "summary.h5", target, ["margin"], estimator)


def loop(masks: np.ndarray, values: np.ndarray) -> torch.Tensor:
    """Influences without standard errors, one example at a time."""
    present, values = torch.from_numpy(masks).float(), torch.from_numpy(values)
    absent = 1 - present
    n_in, n_out = present.sum(0), absent.sum(0)
    return torch.stack(
        [(present * f[:, None]).sum(0) / n_in - (absent * f[:, None]).sum(0) / n_out for f in values.T]
    )


def job_memory(folder: Path, estimator: str) -> float:
    """The most megabytes that the job of the workflow holds, as its own process."""
    script = Path(__file__).resolve().parents[1] / "scripts" / "estimate_influence.py"
    settings = json.dumps({"outputs": ["margin"], "estimator": estimator})
    command = [sys.executable, str(script), "--settings", settings, "--influence", str(folder / "memory.h5")]
    command += ["--summary", str(folder / "summary.h5"), "--target-index", str(folder / "target.h5")]
    return seconds_and_megabytes(command)[1]


def write_indexes(folder: Path, classes: int, examples: int) -> tuple[Index, Index]:
    """A source of `classes` classes, and a target with `examples` validation examples."""
    source = make_index([f"class {c}" for c in range(classes)], classes)
    target = make_index([f"class {c}" for c in range(TARGET_CLASSES)], examples)
    index_making.write_index(folder / "source.h5", "source", source, [])
    index_making.write_index(folder / "target.h5", "target", target, [])
    return source, target


def make_index(names: list[str], examples: int) -> Index:
    positions = np.arange(examples)
    split = Examples(
        [f"example/{i}" for i in positions],
        positions % len(names),
        (positions // len(names) % 2).astype(np.int8),
        positions,
        np.full((examples, 2), 28),
        positions % len(names),
    )
    groups = ["even" if c % 2 == 0 else "odd" for c in range(len(names))]
    return Index(names, groups, split, split, names)


def write_summary(folder: Path, rows: Rows, target: Index) -> None:
    """Transfer shards of synthetic logits, concatenated by the project."""
    effects = np.random.default_rng(0).normal(size=(rows.masks.shape[1], TARGET_CLASSES)) * 0.1
    shards = []
    for start in range(0, len(rows), SHARD_SIZE):
        shards.append(folder / f"{start:05d}.h5")
        part = part_of(rows, range(start, min(start + SHARD_SIZE, len(rows))))
        write_shard(shards[-1], part, target, synthetic_outputs(part, target.val.labels, effects))
    summary.write_summary(folder / "summary.h5", shards)
    for shard in shards:
        shard.unlink()


def write_shard(path: Path, rows: Rows, target: Index, values: dict[str, np.ndarray]) -> None:
    """A transfer shard without networks, with outputs [models, examples]."""
    made_up = {"accuracy": np.full(len(rows), 0.5), "train_images": np.full(len(rows), 100)}
    with artefacts.create(path, TRANSFER_RUNS) as out:
        transfer.reserve(out, rows, target, 1, made_up)
        out.attribute("metric", "global")
        for name, cells in values.items():
            out.file[name][:] = cells


def part_of(study: Rows, numbers: range) -> Rows:
    """Some consecutive rows of a study."""
    chosen = slice(numbers.start, numbers.stop)
    parts = {
        field.name: getattr(study, field.name)[chosen]
        for field in fields(study)
        if not field.name.startswith("unit_")
    }
    return replace(study, **parts)


def synthetic_outputs(rows: Rows, labels: np.ndarray, effects: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs [models, examples] of logits with noise, a true class and effects of source classes."""
    shape = (len(rows), len(labels), TARGET_CLASSES)
    logits = np.random.default_rng(int(rows.numbers[0])).normal(size=shape)
    logits += (rows.masks @ effects)[:, None, :]
    logits[:, np.arange(len(labels)), labels] += 2
    flat = torch.from_numpy(logits.reshape(-1, TARGET_CLASSES))
    values = outputs.per_example(flat, torch.from_numpy(np.tile(labels, len(rows))))
    return {name: value.reshape(shape[:2]) for name, value in values.items()}


def read_margins(folder: Path) -> np.ndarray:
    with artefacts.open(folder / "summary.h5", SUMMARY) as file:
        return outputs.Output(file, "margin")[:]


if __name__ == "__main__":
    main()

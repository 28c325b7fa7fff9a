"""What summaries of the paper's size need: bytes a cell, memory and time of merging 100 transfer shards.

Shards hold outputs of synthetic logits: examples differ in how easy they are and in what they are mistaken
for, models in what they have learnt and in chance. The merge is the job of the workflow, as its own process;
the plain copy reads the same shards and writes as many bytes as the summary has.

    python benchmarks/summary.py
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from influence import make_index, write_shard
from processes import seconds_and_megabytes
from tables import print_table

from transferlens.core.studies import SUBSET, Rows
from transferlens.data.index import Index
from transferlens.training import outputs
from transferlens.training.artefacts import OUTPUTS, SUMMARISED

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER = (7540, 115_000)  # models, examples of all targets
UNITS = 1000
MODEL_SD = 0.7  # of a logit between models, where the sd between examples is 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--shard-size", type=int, default=20)
    parser.add_argument("--examples", type=int, default=4000)
    parser.add_argument("--classes", type=int, default=50, help="of the target")
    sizes = parser.parse_args()
    target = make_index([f"class {c}" for c in range(sizes.classes)], sizes.examples)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        shards = write_shards(folder, sizes.shards, sizes.shard_size, target)
        report(folder, shards, sizes.shards * sizes.shard_size, sizes.examples)


def report(folder: Path, shards: list[Path], models: int, examples: int) -> None:
    """Merge the shards, and print what it took."""
    summary = folder / "summary.h5"
    seconds, megabytes = merge(shards, summary)
    copying = copy(shards, folder / "copy", summary.stat().st_size)
    cells, at_paper = models * examples, PAPER[0] * PAPER[1]
    with h5py.File(summary) as file:
        stored = {n: file[n].id.get_storage_size() for n in SUMMARISED}
    rows = [
        [name, f"{size / cells:.2f}", f"{size / cells * at_paper / 1e9:.2f}"] for name, size in stored.items()
    ]
    whole = summary.stat().st_size
    rows.append(["the whole file", f"{whole / cells:.2f}", f"{whole / cells * at_paper / 1e9:.2f}"])
    before = sum(path.stat().st_size for path in shards)
    rows.append(["its shards", f"{before / cells:.2f}", f"{before / cells * at_paper / 1e9:.2f}"])
    title = f"A summary of {models:,} models and {examples:,} examples"
    print_table(title, ["", "bytes a cell", f"GB at {PAPER[0]:,} x {PAPER[1]:,}"], rows)
    print(f"merging {len(shards)} shards: {seconds:.1f} s, {megabytes:.0f} MB; a plain copy: {copying:.1f} s")


def write_shards(folder: Path, shards: int, size: int, target: Index) -> list[Path]:
    rng, labels = np.random.default_rng(0), target.val.labels
    base = rng.normal(size=(len(labels), len(target.class_names))) * 2
    base[np.arange(len(labels)), labels] += rng.normal(5, 3, len(labels))
    paths = []
    for shard in range(shards):
        numbers = np.arange(shard * size, (shard + 1) * size)
        rows = Rows(
            masks=rng.random((size, UNITS)) < 0.5,
            numbers=numbers,
            training_seeds=numbers,
            roles=[SUBSET] * size,
            repeats=np.full(size, -1),
            removed_by=[""] * size,
            removed=np.zeros(size, np.int64),
            unit_names=[f"unit {u}" for u in range(UNITS)],
            unit_groups=[""] * UNITS,
        )
        paths.append(folder / f"{shard:04d}.h5")
        write_shard(paths[-1], rows, target, shard_outputs(base, labels, size, rng))
    return paths


def shard_outputs(base: np.ndarray, labels: np.ndarray, models: int, rng) -> dict[str, np.ndarray]:
    """Outputs [models, examples] of models whose logits [examples, classes] scatter around `base`."""
    of_models = []
    for _ in range(models):
        learnt = rng.normal(1, 0.1) * base + rng.normal(0, MODEL_SD / 2, base.shape[1])
        logits = (learnt + rng.normal(0, MODEL_SD, base.shape)).astype(np.float32)
        of_models.append(outputs.per_example(torch.from_numpy(logits), torch.from_numpy(labels)))
    return {name: np.stack([values[name] for values in of_models]) for name in OUTPUTS}


def merge(shards: list[Path], out: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of the workflow's job."""
    script = str(REPOSITORY / "scripts" / "compress_summary.py")
    command = [
        sys.executable,
        script,
        "--settings",
        "{}",
        "--summary",
        str(out),
        "--shards",
        *map(str, shards),
    ]
    return seconds_and_megabytes(command)


def copy(shards: list[Path], out: Path, size: int) -> float:
    """Seconds of reading the shards and writing `size` bytes of them."""
    started, left = time.perf_counter(), size
    with out.open("wb") as file:
        for shard in shards:
            content = shard.read_bytes()[:left]
            file.write(content)
            left -= len(content)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

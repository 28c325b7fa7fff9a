"""What it costs to plan a run of the paper's size: `snakemake -n` against plain Snakemake.

The plan has 1,000 source classes, 7,540 models in shards of 20, and 12 targets with two recipes. The data
sets are image folders without images: planning reads the names of their classes alone. Plain Snakemake plans
as many jobs with one output and no input. Both are new processes that take turns; the table shows medians.

    python benchmarks/dry_run.py
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from tables import print_table

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = ("fixed", "full")
TARGET_CLASSES = 100
PLAIN = """
rule all:
    input: expand("{{i}}.txt", i=range({jobs}))
rule one:
    output: "{{i}}.txt"
    shell: "touch {{output}}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--models", type=int, default=7540)
    parser.add_argument("--shard-size", type=int, default=20)
    parser.add_argument("--targets", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder) / "study", Path(folder) / "plain"
        write_study(ours, sizes.classes, sizes.models, sizes.shard_size, sizes.targets)
        jobs = count_jobs(ours)
        write_plain(plain, sum(jobs.values()))
        rounds = [(plan(plain), plan(ours)) for _ in range(sizes.rounds)]
    rows = []
    for name, runs in zip(("plain Snakemake", "this study"), zip(*rounds, strict=True), strict=True):
        elapsed, processor, megabytes = (statistics.median(values) for values in zip(*runs, strict=True))
        rows.append([name, f"{elapsed:.1f}", f"{processor:.1f}", f"{megabytes:.0f}"])
    title = f"Dry run of {sum(jobs.values()):,} jobs, {jobs['transfer']:,} of them transfers"
    print_table(title, ["", "seconds", "of one core", "MB"], rows)


def write_study(folder: Path, classes: int, models: int, shard_size: int, targets: int) -> None:
    """The project with a configuration of that size, and its data sets."""
    for part in ("Snakefile", "workflow", "scripts", "transferlens", "envs", "profiles"):
        copy = shutil.copytree if (REPOSITORY / part).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(REPOSITORY / part, folder / part)
    names = [f"target{i}" for i in range(targets)]
    for name in ("source", *names):
        for i in range(classes if name == "source" else TARGET_CLASSES):
            (folder / name / "train" / f"class{i}").mkdir(parents=True)
    settings = {
        "source": "source",
        "targets": {name: {"recipes": list(RECIPES)} for name in names},
        "datasets": {name: {"path": name} for name in ("source", *names)},
        "recipes": {recipe: {"kind": recipe} for recipe in RECIPES},
        "studies": {"influence": {"design": "fixed_size", "models": models, "shard_size": shard_size}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def write_plain(folder: Path, jobs: int) -> None:
    folder.mkdir()
    (folder / "Snakefile").write_text(PLAIN.format(jobs=jobs - 1))


def count_jobs(folder: Path) -> dict[str, int]:
    """The number of jobs of every rule."""
    done = subprocess.run(command(), cwd=folder, capture_output=True, text=True, check=True)
    table = (done.stdout + done.stderr).partition("Job stats:")[2].split("\n\n")[0]
    counts = {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    counts.pop("total")
    return counts


def plan(folder: Path) -> tuple[float, float, float]:
    """Seconds, seconds of one core, and peak megabytes of a dry run."""
    started = time.perf_counter()
    process = subprocess.Popen(command(), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"snakemake failed in {folder}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def command() -> list[str]:
    return [sys.executable, "-m", "snakemake", "--dry-run"]


if __name__ == "__main__":
    main()

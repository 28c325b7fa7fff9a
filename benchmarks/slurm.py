"""What a cluster job costs beyond its own work: on a real Slurm of one node, started here (as root).

"bare" is a Snakefile of one rule that writes a word; the others are jobs of this workflow with the cluster
profile. Jobs run one after the other. A Slurm job's seconds are those from its start to its end (whole
seconds each, so their mean is shown), its own work is what its log says ("done in"). Locally the cost is the
time of a run over its number of jobs, without the start of Snakemake.

    PYTHONPATH=. python benchmarks/slurm.py
"""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tables import print_table

from tests.workflow import local_slurm
from tests.workflow.conftest import REPOSITORY, copy_project

JOBS = 6
BARE = (
    f"JOBS = {JOBS}"
    + """
rule all:
    input: expand("{i}.txt", i=range(JOBS))
rule one:
    output: "{i}.txt"
    shell: "echo word > {output}"
"""
)
ONE_BY_ONE = ("--jobs", "1", "--slurm-init-seconds-before-status-checks", "1")
SETTINGS = "studies={influence: {models: 48, shard_size: 8}}"
SHARDS = [f"{i:04d}" for i in range(JOBS)]
TARGET_SHARE, TRANSFERS = 0.03, (1, 4, 24)


def main() -> None:
    if missing := local_slurm.missing():
        sys.exit(f"benchmarks/slurm.py needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "slurm-state").mkdir()
        prepare(folder)
        local = local_seconds(folder / "study")
        with local_slurm.running_slurm(folder / "slurm-state"):
            bare = bare_seconds(folder / "bare")
            masks = study_seconds(folder / "study", "masks", ["draw_masks"])
            shards = study_seconds(folder / "study", "source", ["draw_masks", "train_source"])
    report(bare, masks, shards, local)


def prepare(folder: Path) -> None:
    (folder / "bare").mkdir()
    (folder / "bare/Snakefile").write_text(BARE)
    (folder / "study").mkdir()
    copy_project(folder / "study")
    shutil.copytree(REPOSITORY / "slurm", folder / "study/slurm")
    data = [f"results/data/digits-and-clothes/{name}" for name in ("index.h5", "train.beton", "val.beton")]
    snakemake(folder / "study", *study(), "--cores", "2", "--", *data)


def study() -> list[str]:
    return ["--configfile", "configs/smoke.yaml", "--config", SETTINGS]


def snakemake(folder: Path, *arguments: str) -> float:
    """Seconds of a run."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return time.perf_counter() - started


def local_seconds(folder: Path) -> float:
    """Seconds a local job of trivial work costs."""
    masks = files("masks")
    whole = snakemake(folder, *study(), "--cores", "1", "--", *masks)
    start = snakemake(folder, *study(), "--cores", "1", "--", *masks)
    shutil.rmtree(folder / "results/studies")
    return (whole - start) / len(masks)


def files(kind: str) -> list[str]:
    return [f"results/studies/influence/{kind}/{shard}.h5" for shard in SHARDS]


def bare_seconds(folder: Path) -> list[float]:
    arguments = ("--executor", "slurm", "--slurm-status-command", "squeue", "--latency-wait", "30")
    resources = ("--default-resources", "slurm_partition=cpu", "mem_mb=1000", "runtime=10")
    before = slurm_jobs()
    snakemake(folder, *arguments, *ONE_BY_ONE, *resources)
    return [seconds for job, seconds in slurm_jobs().items() if job not in before]


def study_seconds(folder: Path, kind: str, rules: list[str]) -> list[tuple[float, float]]:
    """(seconds of the Slurm job, seconds of its own work) of every shard."""
    before = slurm_jobs()
    snakemake(folder, "--profile", "slurm", *ONE_BY_ONE, *study(), "--", *files(kind))
    taken = [seconds for job, seconds in slurm_jobs().items() if job not in before]
    own = [
        sum(own_seconds(folder / f"results/logs/{rule}/influence/{shard}.log") for rule in rules)
        for shard in SHARDS
    ]
    shutil.rmtree(folder / "results/studies")
    # Jobs run one by one but in no given order; only the means are compared.
    return list(zip(taken, own, strict=True))


def own_seconds(log: Path) -> float:
    return float(re.findall(r"done in ([\d.]+) s", log.read_text())[-1])


def slurm_jobs() -> dict[str, float]:
    """Seconds from start to end of every finished Slurm job."""
    listing = local_slurm.ask("scontrol", "--oneliner", "show", "job").stdout
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in listing.splitlines() if "JobId=" in line]
    moment = datetime.fromisoformat
    return {j["JobId"]: (moment(j["EndTime"]) - moment(j["StartTime"])).total_seconds() for j in jobs}


def report(bare, masks, shards, local: float) -> None:
    base = statistics.mean(bare)
    rows = [["bare plugin, trivial rule", f"{base:.1f}", "0.0", f"{base:.1f}", ""]]
    costs = []
    for name, jobs in (("draw_masks", masks), ("draw_masks + train_source", shards)):
        taken, own = (statistics.mean(column) for column in zip(*jobs, strict=True))
        costs.append(taken - own)
        rows.append([name, f"{taken:.1f}", f"{own:.1f}", f"{taken - own:.1f}", f"{taken - own - base:+.1f}"])
    rows.append(["draw_masks, locally", f"{local:.1f}", "0.0", f"{local:.1f}", ""])
    print_table(
        f"Seconds of a job (means of {JOBS})", ["", "whole", "own work", "overhead", "over bare"], rows
    )
    print_shares(*costs)


def print_shares(single: float, pair: float) -> None:
    """How long the work of a shard must be for its overhead to stay small.

    A shard is two Slurm jobs: masks with training, and its transfers, one member for each target and recipe.
    `single` and `pair` are the overheads of a job of one and of two members; their difference, with the
    import of torch, is what each further member costs.
    """
    member, rows = pair - single, []
    for transfers in TRANSFERS:
        overhead = pair + single + transfers * member
        least = overhead * (1 - TARGET_SHARE) / TARGET_SHARE / 60
        rows.append(
            [str(transfers), f"{overhead:.0f} s", f"{least:.0f} min", f"{least / (transfers + 1):.1f} min"]
        )
    header = ["transfers", "overhead", f"least work for {TARGET_SHARE:.0%}", "of each member"]
    print_table("A shard's two Slurm jobs", header, rows)


if __name__ == "__main__":
    main()

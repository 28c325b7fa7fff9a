"""What a Slurm cluster offers, and whether planned jobs can ever run there; asked before any is submitted.

Slurm itself refuses some impossible jobs only after they are submitted, and lets others wait for ever: a time
limit above the partition's, or ended jobs whose state nobody keeps.
"""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transferlens.core.errors import ClusterError, nearest

# Measured: such jobs take 900 to 1,200 MB on the smallest data, the two Snakemakes around them 150 MB each.
LEAST_MB_WITH_TORCH = 1500
LEAST_MB = 600
# The executor plugin looks at its jobs at least this often (seconds); Slurm must remember them for longer.
_LONGEST_PAUSE = 180
_PROFILE = "the profile (slurm/profile.yaml)"


@dataclass(frozen=True)
class Nodes:
    """Equal nodes of a partition. `minutes` is the partition's time limit, None if it has none."""

    partition: str
    cpus: int
    memory_mb: int
    gpus: int
    minutes: int | None


@dataclass(frozen=True)
class Request:
    """What one Slurm job asks for on its n-th attempt; None where it leaves that to Slurm."""

    job: str
    partition: str | None
    cpus: int
    memory_mb: int | None
    gpus: int
    minutes: int | None
    needs_torch: bool = False
    attempt: int = 1


def request(rules: Sequence[str], resources: Mapping[str, Any], with_torch: bool, attempt: int) -> Request:
    """What one Slurm job of these rules asks for.

    Args:
        resources: as Snakemake evaluates them for this attempt.
    """
    counts = {rule: rules.count(rule) for rule in sorted(set(rules))}
    return Request(
        " + ".join(f"{n} {rule}" if len(rules) > 1 else rule for rule, n in counts.items()),
        resources.get("slurm_partition"),
        resources.get("_cores"),
        resources.get("mem_mb"),
        resources.get("gpu") or 0,
        resources.get("runtime"),
        with_torch,
        attempt,
    )


def ask(*command: str) -> str:
    """The answer of a Slurm command.

    Raises:
        ClusterError: Slurm is not installed here, or does not answer.
    """
    cure = "start Snakemake where Slurm's commands work (a login node), or without --profile slurm"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise ClusterError(f"cluster: there is no '{command[0]}' on this machine; {cure}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"cluster: Slurm did not answer '{command[0]}' in 120 s; try again later"
        ) from None
    if done.returncode:
        problem = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise ClusterError(f"cluster: '{command[0]}' failed ({problem}); {cure}")
    return done.stdout


def available_nodes() -> list[Nodes]:
    """All kinds of nodes of all partitions, as sinfo knows them."""
    return parse_sinfo(ask("sinfo", "--noheader", "--exact", "--format=%R|%c|%m|%G|%l"))


def parse_sinfo(text: str) -> list[Nodes]:
    """Nodes from sinfo's lines of partition|CPUs|MB|generic resources|time limit."""
    rows = (line.split("|") for line in text.splitlines() if line.strip())
    return [
        Nodes(name.strip(), _leading(cpus), _leading(memory), _gpus(generic), minutes_of(limit))
        for name, cpus, memory, generic, limit in rows
    ]


def _leading(text: str) -> int:
    """8 from '8' or '8+'."""
    digits = re.match(r"\d+", text.strip())
    return int(digits.group()) if digits else 0


def _gpus(generic: str) -> int:
    """GPUs in sinfo's generic resources: 6 from 'gpu:a100:4(S:0-1),gpu:2,shard:8'."""
    return sum(int(n) for n in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", generic))


def minutes_of(limit: str) -> int | None:
    """Minutes of Slurm's [days-]hours:minutes:seconds or minutes:seconds; None for 'infinite'."""
    parts = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit.strip())
    if not parts:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in parts.groups())
    return (days * 24 + hours) * 60 + minutes


def refuse_impossible(requests: Iterable[Request], nodes: Sequence[Nodes]) -> None:
    """Check every request against the nodes of its partition.

    Raises:
        ClusterError: a partition does not exist, none of its nodes has what is asked for, its time limit is
            shorter, or the memory is less than such a job is known to need.
    """
    for request in requests:
        _refuse_too_little(request)
        if request.partition is not None:
            names = str(request.partition).split(",")
            _refuse_unknown(request, names, sorted({kind.partition for kind in nodes}))
            _refuse_too_much(request, [kind for kind in nodes if kind.partition in names])


def _refuse_too_little(request: Request) -> None:
    least = LEAST_MB_WITH_TORCH if request.needs_torch else LEAST_MB
    if request.memory_mb is not None and request.memory_mb < least:
        raise ClusterError(
            f"{_asks(request)} {request.memory_mb} MB of memory, but needs at least {least} on the smallest "
            f"data; raise its mem_mb in {_PROFILE}"
        )


def _refuse_unknown(request: Request, names: Sequence[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ClusterError(
                f"cluster: {request.job} is for partition '{name}', which this cluster does not have"
                f"{nearest(name, known)}; change slurm_partition in {_PROFILE}, sinfo lists all"
            )


def _refuse_too_much(request: Request, nodes: Sequence[Nodes]) -> None:
    """One node must have all of it; the message names the first thing that no node has enough of."""
    wanted = {"cpus": request.cpus, "memory_mb": request.memory_mb or 0, "gpus": request.gpus}
    if not any(all(getattr(kind, key) >= n for key, n in wanted.items()) for kind in nodes):
        _refuse_first_excess(request, wanted, nodes)
    limits = [kind.minutes for kind in nodes]
    if request.minutes is not None and None not in limits and request.minutes > max(limits):
        raise ClusterError(
            f"{_asks(request)} {request.minutes} minutes, but partition '{request.partition}' allows "
            f"{max(limits)}: it would wait for ever; ask for less time in {_PROFILE} "
            f"(`runtime: min(..., {max(limits)})`), make shards smaller, or put fewer jobs in a group"
        )


_WORDS = {
    "cpus": ("CPUs", "cores or threads"),
    "memory_mb": ("MB of memory", "mem_mb"),
    "gpus": ("GPUs", "gpu"),
}


def _refuse_first_excess(request: Request, wanted: dict[str, int], nodes: Sequence[Nodes]) -> None:
    for key, asked in wanted.items():
        most = max(getattr(kind, key) for kind in nodes)
        words, setting = _WORDS[key]
        if asked > most:
            raise ClusterError(
                f"{_asks(request)} {asked} {words}, but no node of partition '{request.partition}' has more "
                f"than {most}; lower {setting} in {_PROFILE}, or name another partition"
            )
    raise ClusterError(
        f"{_asks(request)} {request.cpus} CPUs, {request.memory_mb} MB of memory and {request.gpus} GPUs, "
        f"but no single node of partition '{request.partition}' has all of these; ask for less in {_PROFILE}"
    )


def _asks(request: Request) -> str:
    attempt = f" (attempt {request.attempt})" if request.attempt > 1 else ""
    return f"cluster: {request.job}{attempt} asks for"


def refuse_silent_status(command: str, first_pause: int, configuration: str) -> int:
    """Check that the state of ended jobs can be learnt; else Snakemake would wait for them for ever.

    Args:
        command: How Snakemake asks, 'squeue' or 'sacct'.
        first_pause: Seconds after which it first asks.
        configuration: What `scontrol show config` prints.

    Returns:
        Seconds for which Slurm remembers ended jobs (MinJobAge).

    Raises:
        ClusterError: sacct is asked but no accounts are kept, or squeue forgets ended jobs too soon.
    """
    accounts = _configured(configuration, "AccountingStorageType") not in (
        "accounting_storage/none",
        "(null)",
        "",
    )
    remembered = _leading(_configured(configuration, "MinJobAge") or "300")
    if command == "sacct" and not accounts:
        raise ClusterError(
            "cluster: sacct would be asked for the state of jobs, but this cluster keeps no accounts and "
            f"Snakemake would wait for ever; write `slurm-status-command: squeue` in {_PROFILE}"
        )
    needed = max(_LONGEST_PAUSE, 3 * first_pause)
    if command == "squeue" and remembered < needed:
        cure = (
            f"write `slurm-status-command: sacct` in {_PROFILE}"
            if accounts
            else "ask the administrators for a longer MinJobAge, or for accounting"
        )
        raise ClusterError(
            f"cluster: squeue forgets ended jobs after {remembered} s (MinJobAge), Snakemake may ask only "
            f"every {needed} s and would then wait for ever; {cure}"
        )
    return remembered


def _configured(configuration: str, key: str) -> str:
    line = re.search(rf"^{key}\s*=\s*(.*?)\s*$", configuration, re.MULTILINE)
    return line.group(1) if line else ""

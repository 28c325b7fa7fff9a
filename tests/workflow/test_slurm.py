"""The cluster profile on a real Slurm of one node and of two, which these tests start and stop themselves."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.workflow import local_slurm
from tests.workflow.conftest import REPOSITORY, arrays, assert_same_arrays

MISSING = local_slurm.missing()
pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(bool(MISSING), reason=f"a Slurm for tests needs {', '.join(MISSING)}"),
]
_LONGEST_S = 900  # a moment that never comes must not hold up all other tests
SHARDS = ("0000", "0001", "0002", "0003")
CANCELLED, KILLED, TOO_BIG, TOO_LONG = SHARDS
SUMMARY = "results/studies/repeated/summary/optdigits/fixed.h5"
TRANSFER = "results/studies/repeated/transfer/optdigits/fixed/0000.h5"
PROFILE = yaml.safe_load((REPOSITORY / "slurm/profile.yaml").read_text())


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with local_slurm.running_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def project(smoke, tmp_path):
    """The finished smoke study without its smallest study, and with the cluster profile."""
    folder = shutil.copytree(smoke, tmp_path / "project", copy_function=shutil.copy)
    shutil.rmtree(folder / "results/studies/repeated")
    shutil.copytree(REPOSITORY / "slurm", folder / "slurm")
    return folder


def command(*arguments: str, target: str = SUMMARY) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", "configs/smoke.yaml"),
        *("--slurm-init-seconds-before-status-checks", "2", *arguments, "--", target),
    ]


class Run:
    """A study of four shards in four Slurm jobs, each of which meets its end on the first attempt."""

    def __init__(self, folder: Path, slurm: local_slurm.Slurm):
        self.folder, self.slurm = folder, slurm
        self.jobs: dict[int, dict[str, str]] = {}
        self.done: set[str] = set()
        self.steps = [self.spoil_limits, self.drain, self.cancel, self.kill, self.stop, self.resume]

    def to_the_end(self) -> str:
        """Run, disturb, and return Snakemake's messages."""
        self.slurm.set_node("drain")  # jobs wait until their limits are changed
        with (self.folder / "log").open("w") as log:
            arguments = command("--config", "studies={repeated: {shard_size: 2}}")
            process = subprocess.Popen(arguments, cwd=self.folder, stdout=log, stderr=log)
            until = time.monotonic() + _LONGEST_S
            while process.poll() is None:
                self.observe()
                for step in self.steps:
                    if step.__name__ not in self.done and step():
                        self.done.add(step.__name__)
                if time.monotonic() > until:
                    process.kill()
                time.sleep(0.2)
        text = (self.folder / "log").read_text()
        assert process.returncode == 0, text
        assert self.done == {step.__name__ for step in self.steps}, text
        return text

    def observe(self) -> None:
        listing = local_slurm.ask("scontrol", "--oneliner", "show", "job", check=False).stdout
        for line in listing.splitlines():
            found = dict(re.findall(r"(\w+)=(\S*)", line))
            if "JobId" in found:
                self.jobs[int(found["JobId"])] = found

    def of(self, what: str) -> list[dict[str, str]]:
        """Slurm jobs of a rule or shard in the order of submission."""
        return [job for _, job in sorted(self.jobs.items()) if what in job["Comment"]]

    def training(self, shard: str) -> int | None:
        """The Python process that trains a shard, once it writes."""
        if not list(self.folder.glob(f"results/studies/repeated/source/.{shard}*.tmp")):
            return None
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().decode().split("\0")
                here = (place / "cwd").readlink() == self.folder
            except OSError:
                continue
            out = f"results/studies/repeated/source/{shard}.h5"
            trains = words[0].endswith("python") and str(self.folder / "scripts/train_source.py") in words
            if here and trains and out in words:
                return int(place.name)
        return None

    # Each step tells whether its moment came.

    def spoil_limits(self) -> bool:
        waiting = {shard: self.of(f"sources-repeated-{shard}") for shard in SHARDS}
        if not all(waiting.values()):
            return False
        (small,) = waiting[TOO_BIG]
        local_slurm.ask("scontrol", "update", f"JobId={small['JobId']}", "MinMemoryNode=700")
        self.first = {shard: jobs[0] for shard, jobs in waiting.items()}
        self.slurm.set_node("resume")
        return True

    def drain(self) -> bool:
        """While models train: what runs goes on, nothing new starts."""
        if self.training(CANCELLED):
            self.slurm.set_node("drain")
            return True
        return False

    def cancel(self) -> bool:
        if self.training(CANCELLED):
            local_slurm.ask("scancel", self.first[CANCELLED]["JobId"])
            return True
        return False

    def kill(self) -> bool:
        return self.send(KILLED, signal.SIGKILL)

    def stop(self) -> bool:
        """As a job that hangs: its time, from then on a minute since its start, runs out."""
        if not self.send(TOO_LONG, signal.SIGSTOP):
            return False
        local_slurm.ask("scontrol", "update", f"JobId={self.first[TOO_LONG]['JobId']}", "TimeLimit=1")
        return True

    def send(self, shard: str, number: int) -> bool:
        process = self.training(shard)
        if process:
            os.kill(process, number)
        return bool(process)

    def resume(self) -> bool:
        """Once a job that was submitted again waits for the drained node."""
        again = [jobs[1] for shard in SHARDS if len(jobs := self.of(f"sources-repeated-{shard}")) > 1]
        if {"cancel", "kill", "stop"} <= self.done and any(job["JobState"] == "PENDING" for job in again):
            self.slurm.set_node("resume")
            return True
        return False


def asked(rules: list[str], attempt: int) -> dict[str, str]:
    """What the profile asks of Slurm for a group of rules, in scontrol's words."""
    resources = [{**PROFILE["default-resources"], **PROFILE["set-resources"].get(rule, {})} for rule in rules]

    def value(name: str) -> list[int]:
        return [eval(str(one[name]), {"attempt": attempt}) for one in resources]

    minutes = sum(value("runtime"))
    return {
        "Partition": resources[0]["slurm_partition"],
        "NumCPUs": "1",
        "MinMemoryNode": f"{max(value('mem_mb'))}M",
        "TimeLimit": f"{minutes // 60:02d}:{minutes % 60:02d}:00",
    }


@pytest.mark.large
def test_jobs_land_where_they_belong_and_killed_ones_come_back_the_same(slurm, smoke, project):
    run = Run(project, slurm)
    text = run.to_the_end()

    ends = {shard: [job["JobState"] for job in run.of(f"sources-repeated-{shard}")] for shard in SHARDS}
    assert ends == {
        CANCELLED: ["CANCELLED", "COMPLETED"],
        KILLED: ["FAILED", "COMPLETED"],
        TOO_BIG: ["FAILED", "COMPLETED"],
        TOO_LONG: ["TIMEOUT", "COMPLETED"],
    }
    logs = project / "results/logs/slurm"
    (log,) = logs.glob(f"*/{run.first[TOO_BIG]['JobId']}.log")
    assert "memory limit" in log.read_text()
    assert str(log) in text  # the message of the failure says where to look

    for shard in SHARDS:
        first, again = run.first[shard], run.of(f"sources-repeated-{shard}")[1]
        for job, attempt in ((first, 1), (again, 2)):
            wanted = asked(["draw_masks", "train_source"], attempt)
            assert {key: job[key] for key in wanted} == wanted
            assert job["TresPerJob"] == "gres:gpu:1"
        (transfer,) = run.of(f"transfers-repeated-{shard}")
        wanted = asked(["transfer"], 1)
        assert {key: transfer[key] for key in wanted} == wanted
        assert transfer["TresPerJob"] == "gres:gpu:1"
    (summary,) = run.of("rule_summary")
    wanted = asked(["summary"], 1)
    assert {key: summary[key] for key in wanted} == wanted
    assert "TresPerJob" not in summary

    assert not list(project.glob("results/studies/*/source/.*.tmp"))
    assert_same_arrays(project / SUMMARY, arrays(smoke / SUMMARY))


def test_a_job_of_a_lost_node_is_made_elsewhere(slurm, smoke, project):
    shutil.copytree(smoke / "results/studies/repeated", project / "results/studies/repeated")
    (project / TRANSFER).unlink()
    slurm.start_far()
    slurm.set_node("drain")
    with (project / "log").open("w") as log:
        process = subprocess.Popen(command(target=TRANSFER), cwd=project, stdout=log, stderr=log)
        pattern = f".0000.h5.{local_slurm.FAR}.*.tmp"
        while process.poll() is None and not list((project / TRANSFER).parent.glob(pattern)):
            time.sleep(0.1)
        assert process.poll() is None
        left = slurm.lose_far()
        slurm.set_node("resume")
        assert process.wait() == 0, (project / "log").read_text()
    assert_same_arrays(project / TRANSFER, arrays(smoke / TRANSFER))
    for process in left:  # stopped, as those of a node that nobody reaches
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert not psutil.wait_procs(left, timeout=300)[1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "slurm_partition: gpu",
            "slurm_partition: gpus",
            "partition 'gpus', which this cluster does not have",
        ),
        ("mem_mb: 8000 *", "mem_mb: 800 *", "asks for 800 MB of memory, but needs at least 1500"),
        (
            "runtime: 240 *",
            "runtime: 700 *",
            "(attempt 3) asks for 2190 minutes, but partition 'gpu' allows 1440",
        ),
        ("command: squeue", "command: sacct", "this cluster keeps no accounts"),
    ],
)
def test_what_slurm_would_refuse_or_never_start_is_named_before(slurm, project, old, new, message):
    profile = project / "slurm/profile.yaml"
    assert old in profile.read_text()
    profile.write_text(profile.read_text().replace(old, new))
    done = subprocess.run(command(), cwd=project, capture_output=True, text=True)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if message in line]
    assert len(lines) == 1, done.stdout + done.stderr
    assert not local_slurm.ask("squeue", "--noheader").stdout
    assert not (project / "results/studies/repeated").exists()

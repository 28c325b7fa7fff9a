"""Devices are shared out between real processes, and come back however a process ends."""

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from transferlens.training import leases

TAKE = """
import sys
from pathlib import Path
from transferlens.training import leases
free = [int(f) for f in sys.argv[2].split(",")]
print(leases.take(["GPU-a", "GPU-b", "GPU-c"], free.__getitem__, Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path):
    """Start a process that takes a lease and holds it; returns the process and the device it took."""
    started = []

    def start(free="1,2,3"):
        command = [sys.executable, "-c", TAKE, str(tmp_path), free]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.communicate()


def taken(process):
    return int(process.stdout.readline())


def test_jobs_that_start_together_spread_over_the_devices(job):
    counts = Counter(taken(process) for process in [job() for _ in range(7)])
    assert sorted(counts.values()) == [2, 2, 3]


def test_the_most_free_memory_decides_between_equals(job):
    assert [taken(job("1,3,2")) for _ in range(4)] == [1, 2, 0, 1]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_job_gives_its_device_back(job, tmp_path, end):
    first = job("9,1,1")
    assert taken(first) == 0
    assert taken(job("9,2,1")) == 1
    os.kill(first.pid, end)
    first.wait()
    assert taken(job("0,0,0")) in (0, 2)
    assert taken(job("0,0,0")) in (0, 2)
    assert len(list(tmp_path.glob("GPU-*"))) == 3


def test_a_job_that_ends_gives_its_device_back(job, tmp_path):
    first = job("9,1,1")
    assert taken(first) == 0
    first.communicate()
    assert leases.take(["GPU-a", "GPU-b"], [2, 1].__getitem__, tmp_path) == 0

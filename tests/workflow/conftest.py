"""The smoke study, run for real once a session in a copy of the project."""

import atexit
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.workflow.calls import Caller

REPOSITORY = Path(__file__).resolve().parents[2]
SMOKE = ("--configfile", "configs/smoke.yaml")
# The last file of the smallest of its studies: eight source models, transferred and summarized.
SMALLEST = "results/studies/repeated/summary/optdigits/fixed.h5"
Call = Callable[..., subprocess.CompletedProcess]


def copy_project(folder: Path) -> Path:
    """The project's files (not its results) in another folder."""
    parts = ("Snakefile", "config.yaml", "configs", "workflow", "scripts", "transferlens", "envs", "profiles")
    for part in parts:
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    return folder


@cache
def _caller() -> Caller:
    """The one of all projects."""
    caller = Caller()
    atexit.register(caller.close)
    return caller


def run_snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake in a copy of the project."""
    return _caller()(folder, *arguments)


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake on the smoke study in a copy of the project."""
    return run_snakemake(folder, *SMOKE, *arguments)


def planned(folder: Path, *arguments: str, call: Call = run_snakemake) -> dict[str, int]:
    """The number of jobs that Snakemake would run on the smoke study, by rule."""
    # The configuration last: a target that follows it would be taken for a second one.
    return planned_jobs(folder, *arguments, *SMOKE, call=call)


def planned_jobs(folder: Path, *arguments: str, call: Call = run_snakemake) -> dict[str, int]:
    """The number of jobs that Snakemake would run, by rule."""
    done = call(folder, "--dry-run", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (done.stdout + done.stderr).partition("Job stats:")[2].split("\n\n")[0]
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {rule: n for rule, n in counts.items() if rule not in ("all", "total")}


def made_once(root: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `root/name`, made by the first worker that needs it; others wait, and learn of a failure."""
    folder, outcome = root / name, root / f"{name}.outcome"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not outcome.exists():
            folder.mkdir()
            try:
                make(folder)
            except BaseException as error:
                outcome.write_text(f"{name} could not be made: {error}")
                raise
            outcome.write_text("")
    assert not outcome.read_text(), outcome.read_text()
    return folder


def run_smoke_study(folder: Path) -> None:
    """The whole smoke study in a new folder."""
    done = snakemake(copy_project(folder), "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an artefact, by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def assert_same_arrays(path: Path, expected: dict[str, np.ndarray]) -> None:
    """Refuse an artefact that differs from these arrays in a single bit."""
    made = arrays(path)
    assert list(made) == list(expected), path
    for name, values in expected.items():
        assert made[name].dtype == values.dtype, f"{path}: {name}"
        np.testing.assert_array_equal(made[name], values, err_msg=f"{path}: {name}")
        assert values.dtype == object or made[name].tobytes() == values.tobytes(), f"{path}: {name}"


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Path:
    """A finished smoke study: run once a session, with a copy for each worker (some tests write there)."""
    root = tmp_path_factory.getbasetemp()
    of_session = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    finished = made_once(of_session, "smoke-study", run_smoke_study)
    return shutil.copytree(finished, tmp_path_factory.mktemp("smoke") / "study")


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory) -> tuple[Path, list[Path]]:
    """Its smallest study in another folder, stopped by Ctrl-C while models train; and what it left behind."""
    folder = copy_project(tmp_path_factory.mktemp("interrupted"))
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", SMALLEST, *SMOKE],
        cwd=folder,
        start_new_session=True,
        # A shell starts what it runs in the background deaf to Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(folder.glob("results/studies/*/source/.*.tmp")):
        time.sleep(0.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)
    return folder, [p for p in (folder / "results").rglob("*") if p.is_file()]


@pytest.fixture
def finished(smoke, tmp_path) -> Path:
    """A private copy of the finished study, to change; files get new dates, as in a copy by hand."""
    return shutil.copytree(smoke, tmp_path / "copy", copy_function=shutil.copy)

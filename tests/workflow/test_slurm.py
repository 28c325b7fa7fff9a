"""The cluster profile on a real Slurm of one node, where its packages and scripts are installed."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from tests.workflow.conftest import REPOSITORY, copy_project

SCRIPTS = REPOSITORY.parent / "shared" / "slurm"
MISSING = [
    name
    for name, there in {
        "root": os.getuid() == 0,
        "slurmctld": shutil.which("slurmctld"),
        "munged": shutil.which("munged"),
        "the scripts of a local Slurm": (SCRIPTS / "slurm_up.sh").exists(),
        "the executor plugin": importlib.util.find_spec("snakemake_executor_plugin_slurm"),
    }.items()
    if not there
]
pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]
STUDY = "repeated"
SUMMARY = f"results/studies/{STUDY}/summary/optdigits/fixed.h5"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", SCRIPTS / "slurm_up.sh", folder], check=True, capture_output=True)
    yield folder
    subprocess.run(["bash", SCRIPTS / "slurm_down.sh", folder], capture_output=True)


def running(comment: str) -> list[str]:
    """Ids of the running Slurm jobs whose comment (the rule) contains a word."""
    listing = subprocess.run(
        ["squeue", "-h", "-t", "R", "-o", "%i %k"], capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in listing.stdout.splitlines() if comment in line]


def test_a_killed_shard_is_submitted_again_and_comes_out_the_same(slurm, smoke, tmp_path):
    folder = copy_project(tmp_path)
    profile = (REPOSITORY / "slurm/config.yaml").read_text()
    (folder / "slurm").mkdir()
    (folder / "slurm/config.yaml").write_text(profile.replace("checks: 10", "checks: 2"))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--profile", "slurm"),
                *("--configfile", "configs/smoke.yaml", "--", SUMMARY),
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        while process.poll() is None and not list(folder.glob(f"results/studies/{STUDY}/source/.*.tmp")):
            time.sleep(0.2)
        (job,) = running("train_source")
        subprocess.run(["scancel", "--signal=KILL", "--full", job], check=True)
        assert process.wait(timeout=400) == 0, (folder / "log").read_text()
    text = (folder / "log").read_text()
    assert "Trying to restart job" in text
    assert not list(folder.glob("results/studies/*/source/.*.tmp"))
    shards = [f"results/studies/{STUDY}/{part}" for part in ("masks/0000.h5", "source/0000.h5")]
    for path in [*shards, SUMMARY]:
        with h5py.File(folder / path) as found, h5py.File(smoke / path) as expected:
            compare(found, expected)


def compare(found: h5py.File, expected: h5py.File) -> None:
    """Every array of two files is the same, bit by bit."""
    names: list[str] = []
    expected.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in names:
        np.testing.assert_array_equal(found[name][()], expected[name][()], err_msg=name)

"""Watching a study: counts of what is on disk, by a look that changes nothing there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from transferlens.core.errors import ArtefactError
from transferlens.operations import watching


def state_of(folder: Path) -> dict[str, tuple]:
    """Bytes and time of every file, and the time of every folder."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


@pytest.fixture
def partial(smoke, tmp_path) -> Path:
    """A study that lacks shards: one failed, one is at work, one was made since its log says it failed."""
    folder = tmp_path / "results"
    for part in ("studies", "logs"):
        shutil.copytree(smoke / "results" / part, folder / part)
    studies, logs = folder / "studies/influence", folder / "logs"
    for shard in ("0001", "0002"):
        (studies / f"training/{shard}.h5").unlink()
        (studies / f"source/{shard}.h5").unlink()
    stamp = "2026-01-01 00:00:00,000"
    (logs / "train_source/influence/0001.log").write_text(
        f"{stamp} INFO command: it\n{stamp} INFO train 0001: 5/16 models, 0.4 a second, 27 s left\n"
    )
    (logs / "train_source/influence/0002.log").write_text(
        f"{stamp} INFO command: it\n{stamp} ERROR error: x.h5: damaged\x1b[2J; delete it\n"
    )
    cured = logs / "transfer/influence/optdigits/fixed/0002.log"
    cured.write_text(f"{stamp} ERROR error: the disk was full\n")
    os.utime(cured, (1e9, 1e9))
    crashed = logs / "summary/influence/optdigits/fixed.log"
    crashed.write_text(f"{stamp} ERROR unexpected error (please report it)\nTraceback\nKeyError: 'a'\n")
    (studies / "training/.0001.h5.node.1.tmp").write_bytes(b"half")
    (studies / "transfer/optdigits/fixed/0001.h5").write_bytes(b"\x89HDF half")
    return folder


def test_counts_are_those_of_whole_shards_and_nothing_is_touched(partial):
    before = state_of(partial)
    found = subprocess.run(
        [sys.executable, "-m", "transferlens.command.main", "watch", str(partial), "--once"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert state_of(partial) == before
    told = found.stdout
    in_shard = {}
    for path in (partial / "studies").rglob("*/training/[0-9]*.h5"):
        with h5py.File(path) as file:
            in_shard[path.relative_to(partial).as_posix()] = len(file["model"])
    assert in_shard["studies/influence/training/0000.h5"] == 16
    assert f"source models: {sum(in_shard.values())} of {sum(in_shard.values()) + 32}" in told
    assert "5 more in shards at work" in told
    assert "  influence: 16 of 48\n" in told
    assert "  influence optdigits fixed: 32\n" in told
    assert "files that could not be read just now: 1" in told
    assert "failed jobs: 2\n" in told
    assert "train_source/influence/0002: x.h5: damaged\\x1b[2J; delete it" in told
    assert "KeyError: 'a'" in told
    assert "disk was full" not in told


def test_the_pace_leaves_out_the_time_in_which_nothing_was_made():
    def shard(n, finished):
        return watching.Shard(range(n), finished)

    shards = {("s", "0"): shard(10, 100.0), ("s", "1"): shard(10, 110.0), ("s", "2"): shard(20, 5000.0)}
    logs = {
        f"train_source/s/{i}": watching.Log("", "done", seconds=seconds)
        for i, seconds in enumerate((100, 100, 90))
    }
    pace = watching._pace(shards, logs, ("train_source",))
    assert pace.per_second == pytest.approx(40 / (110 + 90))  # two jobs at once, a night, one more
    assert pace.slowest == pytest.approx(0.1 * 290 / 40)
    assert pace.fastest == pytest.approx(20 / 90 * 290 / 40)


def test_a_folder_without_results_is_refused(tmp_path):
    for folder, words in ((tmp_path / "none", "no such folder"), (tmp_path, "no results folder")):
        with pytest.raises(ArtefactError, match=words):
            watching.Watcher(folder)

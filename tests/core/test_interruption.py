"""Signals at the worst moments: while libraries are imported, while HDF5 writes, and in forked processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from transferlens.core import files
from transferlens.core.errors import ArtefactError

REPOSITORY = Path(__file__).resolve().parents[2]
IMPORTING = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)"
# A signal arrives in the third write of HDF5, whatever Python is doing then.
WRITING = """
import os, signal, sys, warnings
import numpy as np
from transferlens.core import artefacts, files, job
from transferlens.core.artefacts import Artefact, Field

ARTEFACT = Artefact("test", "x.h5", (Field("x", ("row",), np.float64, "noise"),))
writes = 0

def send(frame, event, _):
    global writes
    if event == "call" and frame.f_code is files.Disk.write.__code__:
        writes += 1
        if writes == 3:
            os.kill(os.getpid(), signal.{signal})

def main(arguments):
    warnings.warn("of another package")
    sys.setprofile(send)
    with artefacts.create("x.h5", ARTEFACT) as out:
        out.write("x", np.arange(1_000_000.0))

job.Script("A job.").run(main)
"""
FORKING = """
import multiprocessing, os, signal, time
from transferlens.core import job

def main(arguments):
    processes = [multiprocessing.get_context("fork").Process(target=time.sleep, args=[60]) for _ in range(2)]
    for process in processes:
        process.start()
    os.killpg(0, signal.{signal})

job.Script("A job.").run(main)
"""


def run_script(folder, text, *arguments):
    """A script, started as Snakemake starts it: its exit status, and what it printed to its error stream."""
    (folder / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", REPOSITORY / "transferlens/core/start.py", folder / "script.py", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    return done.returncode, done.stderr


def test_ctrl_c_during_imports_ends_a_job_without_a_word(tmp_path):
    assert run_script(tmp_path, IMPORTING) == (-signal.SIGINT, "")


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_while_hdf5_writes_ends_the_job_and_leaves_nothing(tmp_path, name, status):
    arguments = ("--settings", "{}", "--log", "job.log")
    assert run_script(tmp_path, WRITING.replace("{signal}", name), *arguments) == (status, "")
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "job.log"}
    assert "of another package" in (tmp_path / "job.log").read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_to_all_processes_of_a_job_ends_them_without_a_word(tmp_path, name):
    status, printed = run_script(tmp_path, FORKING.replace("{signal}", name), "--settings", "{}")
    assert status > 0
    assert "Traceback" not in printed


def test_two_jobs_on_one_machine_leave_each_other_alone(tmp_path):
    path, host = tmp_path / "x.txt", files.socket.gethostname()
    written, left = (tmp_path / f".x.txt.{host}.{process}.tmp" for process in (os.getppid(), 2**22 + 1))
    for temporary in (written, left):
        temporary.touch()
    with files.replace_file(path) as temporary:
        temporary.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {"x.txt", written.name}


def test_of_two_machines_that_make_one_file_the_later_makes_it(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with files.replace_file(path) as first:
        first.write_text("first")
        monkeypatch.setattr(files.socket, "gethostname", lambda: "another-node")
        with files.replace_file(path) as second:
            assert second != first
            second.write_text("second")
    assert path.read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_job_whose_temporary_file_another_one_removed_says_so(tmp_path):
    path = tmp_path / "x.txt"
    refused = pytest.raises(ArtefactError, match="another one that began to make the same file")
    with refused, files.replace_file(path) as temporary:
        temporary.write_text("first")
        temporary.unlink()
    assert not list(tmp_path.iterdir())

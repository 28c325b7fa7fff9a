"""How jobs end: at once, with their exit status, and with all they printed and logged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = """
import atexit, os, signal, sys, time
from transferlens.core import job
from transferlens.core.errors import DataError

class Closing:
    def __enter__(self): pass
    def __exit__(self, *error): job.log.info("closed")

def main(arguments):
    print("y" * 100_000, end="")
    sys.stderr.write("to stderr without a newline")
    with Closing():
        {end}

atexit.register(time.sleep, 120)  # as long as libraries may take to unload
job.Script("A job.").run(main)
"""


def run_job(folder, end, **options):
    (folder / "script.py").write_text(SCRIPT.format(end=end))
    command = [sys.executable, "script.py", "--settings", "{}", "--log", "job.log"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, timeout=60, **options
    )


@pytest.mark.parametrize(
    ("end", "status", "logged"),
    [
        ("pass", 0, "INFO done in"),
        ("raise DataError('no images')", 1, "ERROR error: no images"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("sys.exit(3)", 3, "closed"),
        ("sys.exit()", 0, "closed"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "closed"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "closed"),
    ],
)
def test_a_job_ends_at_once_with_its_status_output_and_log(tmp_path, end, status, logged):
    done = run_job(tmp_path, end, stdout=subprocess.PIPE)
    assert done.returncode == status
    assert done.stdout == "y" * 100_000
    assert done.stderr.startswith("to stderr without a newline")
    lines = (tmp_path / "job.log").read_text().splitlines()
    assert any("INFO closed" in line for line in lines)
    assert logged in lines[-1]
    assert any("CPU seconds: " in line for line in lines) == (end == "pass")


def test_without_a_log_file_nothing_but_what_it_says_is_printed(tmp_path):
    said = "job.say('made'); job.log.info('a message')"
    (tmp_path / "script.py").write_text(SCRIPT.format(end=said))
    command = [sys.executable, "script.py", "--settings", "{}"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "y" * 100_000 + "made\n"
    assert done.stderr == "to stderr without a newlinea message\nclosed\n"


def test_output_that_cannot_be_written_is_a_failure(tmp_path):
    with open("/dev/full", "w") as full:
        done = run_job(tmp_path, "pass", stdout=full)
    assert done.returncode == 1


def test_a_wrong_argument_ends_with_its_usage(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace("atexit.register", "print").format(end="pass"))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--settings" in done.stderr


WRITING = """
import signal, os
from transferlens.core import files, job
from transferlens.core.errors import DataError

def main(arguments):
    arguments.table.write_text("class,gain\\n")
    {end}

script = job.Script("A job.")
script.writes("table")
script.run(main)
"""


def test_the_digest_of_a_table_is_recorded_unless_its_job_fails(tmp_path):
    table = tmp_path / "results/report/a table.csv"
    table.parent.mkdir(parents=True)
    checked = ["sh", "-c", "find results/digests -type f -exec cat {} + | sha256sum --check --strict"]
    for end, status, found in (("pass", 0, 0), ("os.kill(os.getpid(), signal.SIGKILL)", -9, 1)):
        (tmp_path / "script.py").write_text(WRITING.format(end=end))
        command = [sys.executable, "script.py", "--settings", "{}", "--table", "results/report/a table.csv"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == status
        assert subprocess.run(checked, cwd=tmp_path, capture_output=True).returncode == found
    assert not list((tmp_path / "results/digests").rglob("*.*"))

"""A few kills of `benchmarks/kills.py`, of cheap jobs; a few results that `benchmarks/fuzz.py` spoils."""

import os
import subprocess
import sys

import pytest

from tests.workflow.conftest import REPOSITORY

pytestmark = pytest.mark.workflow
STEPS = ("draw_masks", "influence", "variance", "counterfactual")


def test_killed_jobs_leave_nothing_behind_and_end_with_the_same_bits(smoke):
    command = [sys.executable, "benchmarks/kills.py", "--kills", "4", "--seed", "36", "--results", str(smoke)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*command, "--steps", *STEPS], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" 0 things wrong\n")


def test_spoiled_results_are_seen(smoke):
    command = [sys.executable, "benchmarks/fuzz.py", "--seed", "17", "--cases", "12", "--only", "artefacts"]
    done = subprocess.run([*command, "--results", str(smoke)], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

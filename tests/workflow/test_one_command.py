"""The one command that recommends a recipe, for real until its first jobs are done, and stopped."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from transferlens.core.settings import NetworkSettings
from transferlens.models import contract
from transferlens.operations.recommend import running

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of digits of three classes, ten a class, and a checkpoint."""
    root, digits = tmp_path_factory.mktemp("own"), load_digits()
    for label in range(3):
        (root / "digits" / f"a {label}").mkdir(parents=True)
        for i in np.flatnonzero(digits.target == label)[:10]:
            pixels = (digits.images[i] * 15).astype(np.uint8)
            Image.fromarray(pixels).save(root / "digits" / f"a {label}" / f"{i}.png")
    torch.manual_seed(0)
    network = contract.build(NetworkSettings(name="small_resnet", width=8, resolution=16), 4)
    torch.save(network.state_dict(), root / "net.pt")
    return root


def command():
    given = {
        "target": "digits",
        "weights": "net.pt",
        "architecture": "small_resnet",
        "option": "width=8",
        "resolution": 16,
        "recipes": "fixed",
        "trials": 2,
        "models": 2,
        "epochs": 1,
        "hours": 0.5,
        "cores": 2,
        "out": "out",
    }
    words = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
    return [sys.executable, "-m", "transferlens.command.main", "advise", *words, "--no-flip"]


@pytest.fixture(scope="module")
def stopped(place):
    """(exit status, what was printed) of a command that Ctrl-C stopped when two data sets were there."""
    process = subprocess.Popen(
        command(),
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell starts what it runs in the background deaf to Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and len(list(place.glob("out/results/data/*/index.h5"))) < 2:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    return process.returncode, printed


def test_it_says_what_it_found_and_how_far_it_is_and_stops_at_once(stopped, place):
    status, printed = stopped
    assert status == 130, printed
    assert "Target: digits, 3 classes, 21 training and 9 test images." in printed
    assert "test images, which stand for another task, as --keep names none." in printed
    assert "To be tried: full, fixed, and full from scratch; 2 trials of each" in printed
    assert " of 35 jobs, about " in printed
    assert "Stopped. The same command goes on from what is finished." in printed
    assert not list(place.glob("out/.snakemake/locks/*"))


def test_snakemake_would_go_on_with_every_other_job(stopped, place):
    done = subprocess.run([*running.command(place / "out", 1), "--dry-run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("total ")}
    missing = 35 - len(list(place.glob("out/results/data/*/index.h5")))
    assert 0 < int(total) - 1 <= missing  # the page itself is the goal beside the jobs

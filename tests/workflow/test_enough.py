"""Models are added until they are enough by the real workflow, and none is trained twice."""

import csv
import os
import subprocess
import sys

import pytest

from tests.workflow.conftest import copy_project

pytestmark = [pytest.mark.workflow, pytest.mark.large]

# Twenty source classes in eight models, in pairs: the fewest that differences of means take.
TINY = """
source: digits-and-clothes
targets: {optdigits: {}}
datasets:
  digits-and-clothes: {train_per_class: 20, val_per_class: 5}
  optdigits: {train_per_class: 5, val_per_class: 20}
input: {resolution: 28, crop_ratio: 1.0, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
architecture: {name: small_resnet, width: 8}
source_training: {epochs: 2, batch_size: 32, lr_peak_epoch: 1, crop: none, flip: false}
recipes: {fixed: {kind: fixed, training: {epochs: 3, lr_peak_epoch: 1, crop: none, flip: false}}}
studies:
  reference: null
  repeated: null
  counterfactual: null
  influence: {design: complementary, models: 8, shard_size: 8}
influence: {estimator: difference_of_means, compared: []}
heatmaps: null
"""
WORDS = ("--configfile", "tiny.yaml", "--influence", "bag", "--output", "correct", "--most", "16")


def enough(folder, *words):
    command = [sys.executable, "-m", "transferlens.command.main", "enough", *WORDS, *words]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shards(folder):
    """Content and date of every shard of source models and of transfers."""
    study = folder / "results/studies/influence"
    found = [*study.glob("source/*.h5"), *study.glob("transfer/*/*/*.h5")]
    return {path.relative_to(study): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_a_second_look_trains_only_what_is_new(tmp_path):
    folder = copy_project(tmp_path)
    (folder / "tiny.yaml").write_text(TINY)
    assert "Enough with 8 models" in enough(folder, "--within", "100")
    first = shards(folder)
    assert {path.name for path in first} == {"0000.h5"}
    assert "Not enough with 16 models" in enough(folder, "--within", "1e-9")
    second = shards(folder)
    assert {path.name for path in second} == {"0000.h5", "0001.h5"}
    assert {path: second[path] for path in first} == first
    with (folder / "results/enough/optdigits/fixed.csv").open() as file:
        assert [row["models"] for row in csv.DictReader(file)] == ["8", "16"]

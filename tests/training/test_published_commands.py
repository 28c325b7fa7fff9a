"""Concept-Tuning's published commands as configurations: what they train, and by which schedule."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from transferlens.capabilities import run_of
from transferlens.core.settings import TrainingSettings
from transferlens.operations import datasets
from transferlens.training import schedule

REPOSITORY = Path(__file__).resolve().parents[2]
SETS = {"cub": "cub-200", "cars": "stanford-cars", "aircraft": "aircraft"}
PARTS = {"cub": (1000, 1800, 3000), "cars": (1372, 2548, 4116), "aircraft": (1067, 2067, 3367)}
SHARED = {
    "batch_size": 48,
    "lr": 0.01,
    "optimizer": "sgd",
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "label_smoothing": 0,
    "clip": None,
    "crop": "random_resized",
    "scale": [0.2, 1.0],
    "flip": True,
}


def given(name):
    return yaml.safe_load((REPOSITORY / f"configs/concept-tuning-{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "epochs", "backbone", "confusing"),
    [("cub", 40, 0.1, 199), ("cars", 20, 1.0, 100), ("aircraft", 40, 0.1, 99)],
)
def test_a_command_is_planned_as_published(name, epochs, backbone, confusing, tmp_path, monkeypatch):
    """As a dry run does, without Snakemake and without data: networks, weights and recipes are checked."""
    pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    run = run_of(given(name))
    run.check_networks()
    run.check_data()
    assert len(run.jobs_of("transfer")) == 2 * 3  # recipes, and pairs of given weights and random ones
    assert run.architecture_of("pretrained")["name"] == "resnet50"
    concept, full = (run.recipe(SETS[name], recipe) for recipe in ("concept_tuning", "full"))
    assert concept["training"] == full["training"]
    assert concept["backbone_rate"] == full["backbone_rate"] == backbone
    assert concept["confusing"] == confusing
    assert concept["patch_scale"] == [0.5, 1.0]
    training = concept["training"]
    assert {key: training[key] for key in SHARED} == SHARED
    assert (training["epochs"], training["iterations"]) == (epochs, 500 * epochs)
    rates = np.array(
        [schedule.learning_rate(TrainingSettings(**training), 500 * e, 500) for e in range(epochs)]
    )
    if name == "cars":
        np.testing.assert_allclose(rates, 0.005 * (1 + np.cos(np.pi * np.arange(epochs) / epochs)))
    else:
        np.testing.assert_allclose(rates, np.repeat([1e-2, 1e-3, 1e-4], [12, 12, 16]))


@pytest.mark.parametrize("name", SETS)
def test_sampling_rates_are_to_be_had_by_name(name, tmp_path):
    """Planned as if classes were equally large, which those of Stanford Cars are not."""
    config = given(name)
    rates = [part for part in config["datasets"] if part != SETS[name]]
    config["targets"] = dict.fromkeys(rates, config["targets"][SETS[name]])
    run = run_of(config)
    planned = [datasets.describe(run, part, tmp_path) for part in rates]
    assert tuple(found.train for found in planned) == PARTS[name]
    assert {found.val for found in planned} == {datasets.describe(run, SETS[name], tmp_path).val}

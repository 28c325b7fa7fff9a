"""Every kind of recipe in the real workflow, on the smoke study's data."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.workflow.conftest import REPOSITORY, run_snakemake
from transferlens.core import artefacts
from transferlens.training.artefacts import TRANSFER_RUNS
from transferlens.training.recipes.kinds import KINDS

pytestmark = pytest.mark.workflow

LAID_OVER = ("--configfile", "configs/smoke.yaml", "configs/recipes.yaml")
# Two models, forty steps.
SHORT = {
    "targets": {"optdigits": {"overrides": {"training": {"epochs": 8, "lr_peak_epoch": 2}}}},
    "studies": {"reference": {"repeats": 2, "shard_size": 2}},
}
STUDY = {"study": "reference", "target": "optdigits"}


def names() -> list[str]:
    """The recipes of the configuration; together they are of all kinds that can be asked for."""
    given = yaml.safe_load((REPOSITORY / "configs/recipes.yaml").read_text(encoding="utf-8"))
    return given["targets"]["optdigits"]["recipes"]


def test_the_configuration_has_every_kind_that_can_be_asked_for():
    assert names() == [name for name, kind in KINDS.items() if not kind.asked_for_by]


@pytest.mark.large
def test_every_recipe_trains(finished):
    (finished / "short.yaml").write_text(yaml.safe_dump(SHORT))
    wanted = [TRANSFER_RUNS.at(**STUDY, recipe=name, shard="0000") for name in names()]
    done = run_snakemake(finished, "--cores", "2", *wanted, *LAID_OVER, "short.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    accuracies = {}
    for name in names():
        with artefacts.open(finished / TRANSFER_RUNS.at(**STUDY, recipe=name, shard="0000")) as file:
            assert json.loads(file.attrs["recipe"])["kind"] == name
            assert np.isfinite(file["margin"][:]).all(), name
            accuracies[name] = file["accuracy"][0].mean()  # of the model of the whole source
    # Each learns something of ten classes in forty steps: chance is .10, of 600 images within .012.
    assert min(accuracies.values()) > 0.15, accuracies
    assert not list(Path(finished, "results").rglob("*.progress"))

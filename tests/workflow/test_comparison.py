"""The comparison of recipes in the real workflow, on the smoke study's models."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.workflow.conftest import SMOKE, planned_jobs, run_snakemake
from transferlens import open_results
from transferlens.core import artefacts
from transferlens.training.artefacts import TRANSFER_RUNS

pytestmark = pytest.mark.workflow

# Little of everything; influences by recipe of fixed features alone, which are made in seconds.
SMALL = {
    "recipes": ["full", "fixed"],
    "models": 2,
    "trials": 2,
    "shard_size": 2,
    "probe_images": 10,
    "corruptions": {"names": ["contrast"], "severities": [3]},
}
TUNED = {"target": "optdigits", "recipe": "full+tuned"}


def laid_over(folder: Path, **comparison) -> tuple[str, ...]:
    """A configuration with a comparison, over the smoke study's."""
    (folder / "comparison.yaml").write_text(yaml.safe_dump({"comparison": {**SMALL, **comparison}}))
    return (*SMOKE, "comparison.yaml")


@pytest.fixture(scope="module")
def compared(smoke, tmp_path_factory) -> Path:
    """The smoke study with two recipes compared."""
    folder = shutil.copytree(smoke, tmp_path_factory.mktemp("compared") / "study")
    done = run_snakemake(folder, "--cores", "2", *laid_over(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_models_are_adapted_by_what_trials_chose(compared):
    choice = open_results(compared / "results").choice("optdigits", "full+tuned")
    accuracy = choice.accuracy.mean("model")
    assert accuracy[choice.chosen].item() == pytest.approx(accuracy.max().item())
    assert int(choice.chosen.sum()) == 1
    with artefacts.open(compared / TRANSFER_RUNS.at(study="reference", shard="0000", **TUNED)) as file:
        assert json.loads(file.attrs["recipe"]) == json.loads(choice.attrs["recipe"])


def test_accuracies_are_those_of_the_reporting_models_on_the_report_half(compared):
    results = open_results(compared / "results")
    found = results.comparison("optdigits").sel(measure="accuracy")
    assert found.recipe.values.tolist() == ["full+tuned", "fixed+tuned", "full+scratch"]
    for name, role in (("full+tuned", "full"), ("fixed+tuned", "full"), ("full+scratch", "scratch")):
        summary = results.summary("reference", "optdigits", name, ["correct"])
        chosen = (summary.role.values == role) & (summary["repeat"].values < SMALL["models"])
        correct = summary.correct.values[chosen][:, (summary.example_half == "report").values]
        assert float(found.value.sel(recipe=name)) == pytest.approx(correct.mean())
    assert (found.value_low < found.value_high).all()


def test_the_page_tells_which_recipe_is_recommended(compared):
    page = (compared / "results/report/index.html").read_text(encoding="utf-8")
    recommended = open_results(compared / "results").comparison("optdigits").attrs["recommended"]
    assert recommended
    assert recommended.partition("+")[0] in page
    assert "Recipes on optdigits" in page


def test_more_trials_train_only_those_that_are_new(compared):
    overlaid = laid_over(compared, trials=4)
    counts = planned_jobs(compared, *overlaid)
    assert counts["trials"] == 3  # a second part of each contestant
    assert "train_source" not in counts
    done = run_snakemake(
        compared, "--cores", "2", "results/comparison/optdigits/fixed+tuned/choice.h5", *overlaid
    )
    assert done.returncode == 0, done.stdout + done.stderr
    choice = open_results(compared / "results").choice("optdigits", "fixed+tuned")
    assert choice.trial.values.tolist() == [0, 1, 2, 3]


def test_harm_is_told_of_the_influence_studys_models(finished):
    given = laid_over(finished, recipes=["fixed"], plain="fixed", influences=["fixed"], published=False)
    done = run_snakemake(finished, "--cores", "2", "results/comparison/optdigits/harm.h5", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    harm = open_results(finished / "results").harm("optdigits")
    assert np.isfinite(harm.effect.values).all()
    assert (harm.effect_low < harm.effect_high).all()

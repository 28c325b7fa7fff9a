"""Feature dynamics in the real workflow, on the smoke study."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.workflow.conftest import SMOKE, arrays, planned_jobs, run_snakemake
from transferlens import open_results
from transferlens.dynamics.activity.artefacts import ACTIVITY

pytestmark = pytest.mark.workflow

OF_SHARD = {"study": "reference", "target": "optdigits", "recipe": "quick", "shard": "0000"}
ON_TARGET = ACTIVITY.at(**OF_SHARD, dataset="optdigits")


def laid_over(folder: Path, **dynamics) -> tuple[str, ...]:
    """Other settings of feature dynamics, over the smoke study's."""
    (folder / "dynamics.yaml").write_text(yaml.safe_dump({"dynamics": dynamics}))
    return (*SMOKE, "dynamics.yaml")


@pytest.fixture(scope="module")
def followed(smoke, tmp_path_factory) -> Path:
    """The smoke study, in which two models were followed."""
    return shutil.copytree(smoke, tmp_path_factory.mktemp("followed") / "study")


def test_a_layer_is_itself_at_the_start_and_in_the_end(followed):
    told = open_results(followed / "results").similarity("optdigits", "quick")
    assert (told.to_start.isel(step=0) == 1).all()
    assert (told.to_end.isel(step=-1) == 1).all()
    assert told.domain.values.tolist() == ["optdigits", "digits-and-clothes"]
    assert (told.to_start.isel(step=-1) < 1).all()
    assert (told.accuracy.isel(step=-1) > told.accuracy.isel(step=0)).all()


def test_the_page_shows_it_and_links_to_the_one_that_answers(followed):
    page = (followed / "results/report/index.html").read_text(encoding="utf-8")
    assert "What changes on the way" in page
    assert "dynamics/optdigits/quick/dynamics.html" in page
    assert (followed / "results/dynamics/optdigits/quick/dynamics.html").exists()
    assert not list((followed / "results/studies/reference/trajectories").rglob("*.h5"))


def test_a_further_layer_trains_no_source_model_and_leaves_the_others_as_they_are(followed):
    before = arrays(followed / ON_TARGET)
    given = laid_over(
        followed, layers=["backbone.stem", "backbone.block2", "backbone.block2.first", "backbone"]
    )
    counts = planned_jobs(followed, *given)
    assert counts["trajectories"] == counts["similarity"] == 1
    assert counts["activity"] == 2
    assert not {"train_source", "transfer", "influence"} & set(counts)
    done = run_snakemake(followed, "--cores", "2", ON_TARGET, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    after = arrays(followed / ON_TARGET)
    layers, known = after["layer"].tolist(), before["layer"].tolist()
    for layer in set(layers) & set(known):
        np.testing.assert_array_equal(
            after["gram"][:, layers.index(layer)], before["gram"][:, known.index(layer)]
        )
    np.testing.assert_array_equal(after["state"], before["state"])  # trained again, to the same bits


def test_drift_is_told_by_source_class(followed):
    given = laid_over(followed, influence={"images": 64, "counterfactual": False})
    path = "results/dynamics/optdigits/quick/drift_influence.h5"
    done = run_snakemake(followed, "--cores", "2", path, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    told = open_results(followed / "results").drift_influence("optdigits", "quick")
    assert told.sizes["source_class"] == 20
    assert np.isfinite(told.drift_effect.values).all()
    assert (told.drift_effect_low < told.drift_effect_high).all()

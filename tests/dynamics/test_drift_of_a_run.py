"""From the drifts of shards to the file, tables, pictures and the page; and which jobs make them."""

import runpy
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.dynamics.drifting import (
    CLASSES,
    DOMAINS,
    LAYERS,
    MOVING,
    masks_of,
    paired,
    planted,
    write_shard,
)
from transferlens.capabilities import CAPABILITIES
from transferlens.core import labelled
from transferlens.core.blocks import Figure, Table, Warnings
from transferlens.core.run import Run
from transferlens.dynamics.drift import page
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE
from transferlens.dynamics.drift.steps import ESTIMATE, MEASURE

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/estimate_drift_influence.py"
OUTPUTS = {
    "drift_influence": "drift_influence.h5",
    "effects": "drift_effects.svg",
    "effects_png": "drift_effects.png",
    "curves": "retrained_drift.svg",
    "curves_png": "retrained_drift.png",
    "effects_table": "drift_effects.csv",
    "correlations_table": "drift_correlations.csv",
}
SETTINGS = {"estimator": "least_squares", "seed": 0}
REMOVED = {"ranked_by": "full", "orders": ["top", "bottom"], "ks": [2, 4]}


def estimate(folder, drifts, settings, **others):
    """The script, on one target and recipe; returns what it stored."""
    made = folder / "dynamics/digits/full"
    made.mkdir(parents=True)
    outputs = {name: made / file for name, file in OUTPUTS.items()}
    given = {"removals": None, "reference": None, **others}
    runpy.run_path(str(SCRIPT))["main"](Namespace(settings=settings, drifts=drifts, **outputs, **given))
    return labelled.read(outputs["drift_influence"], DRIFT_INFLUENCE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def told(folder, tmp_path_factory):
    """Two shards of models, and models of a source without classes beside the whole one's."""
    shards, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    drifts = planted(rng, masks_of())
    halves = [
        write_shard(shards / f"{i}.h5", drifts, chosen)
        for i, chosen in enumerate((slice(40), slice(40, None)))
    ]
    reference, removals = (write_shard(shards / f"r{i}.h5", of) for i, of in enumerate(paired(rng)))
    return estimate(folder, halves, {**SETTINGS, **REMOVED}, removals=[removals], reference=[reference])


def run_of(**given):
    studies = {"influence": {"models": 64, "shard_size": 32}, "reference": {"repeats": 4, "shard_size": 4}}
    removed = {"orders": ["top", "bottom"], "ks": [2, 4], "repeats": 2, "shard_size": 8}
    return Run(
        {
            "source": "digits-and-clothes",
            "targets": {"optdigits": {"recipes": ["full"]}},
            "recipes": {"full": {"kind": "full"}, "l2": {"kind": "l2_sp"}},
            "studies": {**studies, "counterfactual": removed},
            "dynamics": {"recipes": ["full", "l2"], "influence": {}},
            **given,
        },
        CAPABILITIES,
    )


def test_tables_pictures_and_file_tell_the_same(told, folder):
    made = folder / "dynamics/digits/full"
    table = pd.read_csv(made / "drift_effects.csv")
    assert len(table) == told.drift_effect.size
    line = table[table.source_class == CLASSES[MOVING]].iloc[-1]
    place = {"domain": line.domain, "layer": line.layer, "step": line.step, "source_class": line.source_class}
    assert line.drift_effect == pytest.approx(float(told.drift_effect.sel(place)))
    assert line.q == pytest.approx(float(told.drift_effect_q.sel(place)))
    table = pd.read_csv(made / "drift_correlations.csv")
    line = table[(table.outcome == "retention") & (table.domain == DOMAINS[1])].iloc[2]
    place = {"domain": line.domain, "layer": line.layer, "step": line.step}
    assert line.correlation == pytest.approx(float(told.correlation.sel({**place, "outcome": "retention"})))
    assert line.drift_reliability == pytest.approx(float(told.drift_reliability.sel(place)))
    assert line.outcome_reliability == pytest.approx(
        float(told.outcome_reliability.sel(outcome="retention", step=line.step))
    )
    for name in ("drift_effects", "retrained_drift"):
        assert Image.open(made / f"{name}.png").width > 300
        assert CLASSES[MOVING] in (made / "drift_effects.svg").read_text()
    assert "top 4 removed" in (made / "retrained_drift.svg").read_text()


def test_the_page_shows_what_other_models_chose_and_counts_its_tests(told, folder):
    results = SimpleNamespace(folder=folder, drift_influence=lambda target, recipe: told)
    section, _ = page.sections(run_of(), results)
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert [row[0] for row in table.rows] == LAYERS
    assert section.tests == 2 * 8 * len(LAYERS) + 2 * len(LAYERS)  # the picture's cells, two q a row
    assert [block.path.name for block in section.blocks if isinstance(block, Figure)] == [
        "drift_effects.svg",
        "retrained_drift.svg",
    ]
    assert "12 source classes" in table.note
    assert not list(page.sections(run_of(dynamics={"influence": None}), results))


def test_few_models_choose_nothing_and_the_page_says_why(tmp_path):
    drifts = planted(np.random.default_rng(0), masks_of("bernoulli", 14))
    settings = {"estimator": "difference_of_means", "seed": 0, "retrained_missing": "there are none"}
    told = estimate(tmp_path, [write_shard(tmp_path / "a.h5", drifts)], settings)
    results = SimpleNamespace(folder=tmp_path, drift_influence=lambda target, recipe: told)
    section, _ = page.sections(run_of(), results)
    (warning,) = (block for block in section.blocks if isinstance(block, Warnings))
    assert "14 models do not make two folds" in warning.texts[0]
    assert section.tests == 0
    assert not any(isinstance(block, Figure) for block in section.blocks)
    made = tmp_path / "dynamics/digits/full"
    assert "there are none" in (made / "retrained_drift.svg").read_text()
    assert len(pd.read_csv(made / "drift_correlations.csv")) == 0


def test_every_model_of_the_studies_is_adapted_and_removals_only_where_there_are_some(monkeypatch):
    monkeypatch.setattr("transferlens.dynamics.scope.layers", lambda run, study=None: LAYERS)
    run = run_of()
    shards = {(w["recipe"], w["study"]): w["shard"] for w in MEASURE.made_for(run)}
    removals = "counterfactual/optdigits/full"
    assert shards == {
        ("full", "influence"): "0001",
        ("full", removals): "0000",
        ("full", "reference"): "0000",  # of the two repeats that removals are paired with
        ("l2", "influence"): "0001",
        ("l2", removals): "0000",  # of another recipe, which is said
        ("l2", "reference"): "0000",
    }
    full, l2 = ({"target": "optdigits", "recipe": recipe} for recipe in ("full", "l2"))
    assert run.inputs("drift_influence", full)["removals"] == [
        f"results/studies/{removals}/drift/optdigits/full/0000.h5"
    ]
    assert ESTIMATE.settings(run, full)["ks"] == [2, 4]
    assert ESTIMATE.settings(run, l2)["ranked_by"] == "full"
    without = run_of(dynamics={"recipes": ["full"], "influence": {"counterfactual": False}})
    assert {w["study"] for w in MEASURE.made_for(without)} == {"influence"}
    assert "counterfactual is false" in ESTIMATE.settings(without, full)["retrained_missing"]
    settings = MEASURE.settings(run, {**full, "study": "influence", "shard": "0000"})
    assert settings["probe"] == {"images": 512, "batch": 64}
    assert "keep_weights" not in settings
    assert run.wants_gpu("drifts")
    assert not run.needs_torch("drift_influence")

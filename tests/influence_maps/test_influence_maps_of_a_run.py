"""What influence maps ask of a run, and what is refused before anything runs."""

import json

import pytest

from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.influence_maps.capability import CAPABILITY as MAPS
from transferlens.training.capability import CAPABILITY as TRAINING

OF_TARGET = {"target": "optdigits", "recipe": "fixed"}


def run_of(**changes):
    given = {"source": "digits-and-clothes", "targets": {"optdigits": {"sizes": [5]}}, **changes}
    return Run(given, [DATA, TRAINING, INFLUENCE, MAPS])


def test_transfers_of_the_influence_study_keep_maps_where_they_are_asked_for():
    keeps = {"transferlens.training.kept_maps:ProbeMaps": {"examples": 8, "seed": 3}}
    run = run_of(influence_maps={"examples": 8}, seed=3)
    assert run.transfers["influence", "optdigits", "fixed"].keeps == keeps
    kept = [key for key, transfer in run.transfers.items() if transfer.keeps]
    assert kept == [("influence", "optdigits", "fixed")]
    assert run.jobs_of("influence_maps") == [OF_TARGET]
    inputs = run.inputs("influence_maps", OF_TARGET)
    assert len(inputs["shards"]) == 8
    assert inputs["summary"] == "results/studies/influence/summary/optdigits/fixed.h5"
    settings = json.loads(run.settings_of("influence_maps", OF_TARGET))
    assert set(settings) == {"estimator", "output", "shown", "input"}


@pytest.mark.parametrize(
    "changes", [{}, {"influence_maps": {}, "studies": {"influence": None, "repeated": None}}]
)
def test_none_are_made_by_default_or_without_the_study(changes):
    run = run_of(**changes)
    assert run.jobs_of("influence_maps") == []
    assert not any(transfer.keeps for transfer in run.transfers.values())
    assert list(MAPS.sections(run, None)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {"name": "vgg11"}}, "influence_maps needs class maps that add up to logits"),
        ({"influence": {"estimator": "lasso"}}, "influence_maps need an estimator that is linear"),
    ],
)
def test_what_maps_cannot_add_up_of_is_refused(changes, message):
    MAPS.check_networks(run_of(**changes))
    with pytest.raises(ConfigError, match=message):
        MAPS.check_networks(run_of(influence_maps={}, **changes))

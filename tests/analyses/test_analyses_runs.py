"""Which analyses a run makes, of which files."""

import pytest

from tests.runs import small_run

PAIR = {"target": "optdigits", "recipe": "fixed"}
REMOVALS = "results/studies/counterfactual/optdigits/fixed/summary/optdigits/fixed.h5"


def test_failures_are_tested_by_models_without_a_class_where_there_are_any():
    assert small_run().inputs("failures", PAIR)["removals"] == REMOVALS
    without = small_run(studies={"counterfactual": None})
    assert without.jobs_of("failures") == [PAIR]
    assert "removals" not in without.inputs("failures", PAIR)


@pytest.mark.parametrize(
    ("studies", "made"),
    [
        ({}, ["subpopulations", "failures"]),
        ({"reference": None}, ["subpopulations"]),
        ({"examples": {}}, ["subpopulations", "failures", "leakage"]),
        ({"influence": None, "examples": {}}, ["leakage"]),
    ],
)
def test_analyses_are_made_where_the_studies_are_that_they_read(studies, made):
    run = small_run(studies=studies)
    names = ("subpopulations", "failures", "leakage", "small_targets")
    assert [name for name in names if run.jobs_of(name)] == made


def test_sizes_of_a_target_use_the_same_source_models():
    run = small_run(targets={"optdigits": {"sizes": [2, 5]}})
    parts = ["optdigits@2", "optdigits@5"]
    assert {key for key in run.transfers if "@" in key[1]} == {
        (study, part, "fixed") for study in ("reference", "influence") for part in parts
    }
    inputs = run.inputs("small_targets", PAIR)
    assert inputs["influences"] == [f"results/influence/{n}/fixed.h5" for n in ("optdigits", *parts)]
    assert {w["target"] for w in run.jobs_of("influence")} == {"optdigits", *parts}
    assert [w["target"] for w in run.jobs_of("small_targets")] == ["optdigits"]


def test_leakage_reads_the_blocks_from_the_masks_of_the_study():
    inputs = small_run(studies={"examples": {}}).inputs("leakage", PAIR)
    assert inputs["masks"] == "results/studies/examples/masks/0000.h5"
    assert inputs["influence"] == "results/example_influence/optdigits/fixed.h5"
    assert inputs["source_train"] == "results/data/digits-and-clothes/train.beton"

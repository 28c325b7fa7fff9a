"""Which studies, transfers and jobs counterfactual settings ask for, and which settings are refused."""

import pytest

from tests.runs import ROOMS, small_run
from transferlens.core.errors import ConfigError
from transferlens.counterfactual.rows import picked_units

PAIR = {"target": "optdigits", "recipe": "fixed"}
OTHER = {"name": "small_resnet", "width": 16}
OWN = "counterfactual/optdigits/fixed"


def counterfactual(**given):
    return {"counterfactual": given}


def test_every_pair_has_a_study_ranked_by_its_own_influences():
    run = small_run(
        targets={"usps": {"recipes": ["full"]}}, studies=counterfactual(orders=["top"], ks=[4, 2])
    )
    study = run.studies[OWN]
    assert (study.rows, study.masks["ks"]) == (2 * 3, [2, 4])
    assert dict(study.evidence) == {"influence": "results/influence/optdigits/fixed.h5"}
    assert (OWN, "optdigits", "fixed") in run.transfers
    other = run.studies["counterfactual/usps/full"]
    assert dict(other.evidence) == {"influence": "results/influence/usps/full.h5"}
    assert len([key for key in run.transfers if key[0].startswith("counterfactual/")]) == 2


def test_names_that_hyphens_would_join_to_one_stay_two():
    targets = {"opt": {"recipes": ["a-b"]}, "opt-a": {"recipes": ["b"]}, "optdigits": {}}
    of = {name: {"of": "optdigits"} for name in ("opt", "opt-a")}
    run = small_run(targets=targets, datasets=of, recipes={"a-b": {}, "b": {}})
    names = [name for name in run.studies if name.startswith("counterfactual/")]
    assert names == ["counterfactual/optdigits/fixed", "counterfactual/opt/a-b", "counterfactual/opt-a/b"]


def test_the_label_mapping_is_made_and_read_where_an_order_goes_by_it():
    assert small_run().jobs_of("label_mapping") == []
    run = small_run(studies=counterfactual(orders=["bottom", "label_mapping"]))
    assert run.jobs_of("label_mapping") == [{"target": "optdigits"}]
    assert run.studies[OWN].evidence["mapping"] == "results/label_mapping/optdigits.h5"


def test_another_architecture_trains_the_same_rows_and_its_own_reference():
    run = small_run(studies={"reuse": {"architecture": OTHER}})
    again, reference = run.studies[f"reuse/{OWN}"], run.studies["reuse/reference"]
    assert again.architecture == reference.architecture
    assert run.architecture_of("reuse/reference").items() >= OTHER.items()
    assert (again.masks, again.rows) == (run.studies[OWN].masks, run.studies[OWN].rows)
    inputs = run.inputs("reuse", PAIR)
    assert inputs["summary"] == f"results/studies/reuse/{OWN}/summary/optdigits/fixed.h5"
    assert inputs["reference"] == "results/studies/reuse/reference/summary/optdigits/fixed.h5"
    assert ("reuse/reference", "optdigits", "fixed") in run.transfers
    assert run.jobs_of("reuse") == run.jobs_of("reuse_figures") == [PAIR]


def test_another_recipe_alone_transfers_the_same_source_models():
    same = small_run().settings.architecture.model_dump()
    run = small_run(studies={"reuse": {"architecture": same, "recipe": "full"}})
    assert not [name for name in run.studies if name.startswith("reuse/")]
    assert {(OWN, "optdigits", "full"), ("reference", "optdigits", "full")} < set(run.transfers)
    assert run.inputs("reuse", PAIR)["summary"] == f"results/studies/{OWN}/summary/optdigits/full.h5"


@pytest.mark.parametrize("without", ["counterfactual", "influence", "reference"])
def test_nothing_is_asked_for_without_the_studies_it_rests_on(without):
    run = small_run(studies={"reuse": {"architecture": OTHER}, without: None})
    assert not [name for name in run.studies if "counterfactual" in name or name.startswith("reuse/")]
    own = next(room for room in ROOMS if room.name == "counterfactual")
    assert {step.name: run.jobs_of(step.name) for step in own.steps} == {step.name: [] for step in own.steps}
    own.check_data(run)


def test_units_picked_by_hand_come_by_name_or_by_subtree():
    run = small_run()
    assert picked_units(run, None) is None
    assert picked_units(run, ["digit 1", "digit 0", "digit 1"]) == ["digit 1", "digit 0"]


def test_the_share_of_units_seen_is_the_mean_over_cells():
    """Of four random sets one has 2, one 10, and those between 5 and 7 classes: 6 in the mean."""
    given = {"orders": ["top", "random"], "ks": [2], "handpicked": ["digit 1", "digit 2", "digit 3"]}
    study = small_run(studies=counterfactual(**given, singles=1, subsets=4)).studies[OWN]
    assert study.rows == 3 * 8
    assert study.share_seen(20) == pytest.approx((18 + 18 + 3 + 19 + 4 * 14) / 8 / 20)


def test_lists_picked_by_hand_may_differ_by_target():
    picked = {"optdigits": ["digit 1"], "usps": ["digit 2", "digit 3"]}
    run = small_run(targets={"usps": {}, "mnist": {}}, studies=counterfactual(handpicked=picked))
    kept = {
        target: run.studies[f"counterfactual/{target}/fixed"].masks["handpicked"] for target in run.targets
    }
    assert kept == {**picked, "mnist": None}


def test_orders_that_users_wrote_down_are_evidence_for_their_target(tmp_path):
    files = {"mine": str(tmp_path / "{target}.csv")}
    run = small_run(studies=counterfactual(orders=["top"], ks=[1, 2], order_files=files))
    study = run.studies[OWN]
    assert (study.masks["orders"], study.rows) == (["top", "mine"], 3 * 4)
    assert study.evidence["order_mine"] == str(tmp_path / "optdigits.csv")
    room = next(room for room in ROOMS if room.name == "counterfactual")
    with pytest.raises(ConfigError, match="no such order of removal"):
        room.check_data(run)


def test_random_sets_are_set_against_the_label_mapping_too():
    run = small_run(studies=counterfactual(subsets=4))
    assert run.jobs_of("label_mapping") == [{"target": "optdigits"}]
    assert "mapping" not in run.studies[OWN].evidence
    assert run.inputs("counterfactual", PAIR)["mapping"] == "results/label_mapping/optdigits.h5"


def test_steps_are_checked_by_a_study_of_as_many_steps():
    assert not [name for name in small_run().studies if name.startswith("steps/")]
    given = counterfactual(orders=["top", "random", "bottom"], ks=[2, 4], step_check=4, subsets=4)
    run = small_run(studies=given)
    study = run.studies["steps/optdigits/fixed"]
    assert study.step_matched
    assert not run.studies[OWN].step_matched
    assert (study.masks["orders"], study.masks["ks"], study.rows) == (["bottom", "top"], [4], 6)
    assert ("steps/optdigits/fixed", "optdigits", "fixed") in run.transfers
    inputs = run.inputs("counterfactual", PAIR)
    assert inputs["steps"] == "results/studies/steps/optdigits/fixed/summary/optdigits/fixed.h5"


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        (counterfactual(repeats=9), "repeats is 9, but each .* studies.reference.repeats is 8; raise"),
        (counterfactual(output="correct"), "studies.counterfactual.output is 'correct', which is not among"),
        (counterfactual(ks=[2, 2]), "'studies.counterfactual.ks' is impossible: .2, 2.; each must stand"),
        (counterfactual(orders=["topp"]), "did you mean 'top'"),
        (counterfactual(order_files={"top": "o.csv"}), "an order 'top', which there is already"),
        (counterfactual(handpicked={"optdigit": ["digit 1"]}), "no target .did you mean 'optdigits'"),
        (counterfactual(subsets=3), "subsets is 3; use 0, or at least 4"),
        (counterfactual(step_check=3), "step_check is 3, but ks is .*; use one of these"),
        (counterfactual(step_check=2, orders=["random"]), "add bottom or top"),
        (counterfactual(step_check=2, step_matched=True), "step_matched is true: all removals"),
        ({"reuse": {"architecture": OTHER, "recipe": "ful"}}, "studies.reuse.recipe names 'ful'.*'full'"),
    ],
)
def test_settings_that_cannot_hold_are_refused(studies, message):
    with pytest.raises(ConfigError, match=message):
        small_run(studies=studies)


def test_removals_that_the_source_does_not_allow_are_refused():
    run = small_run(studies=counterfactual(ks=[1, 21]))
    with pytest.raises(ConfigError, match="ks contains 21, but the source has 20 classes"):
        next(room for room in ROOMS if room.name == "counterfactual").check_data(run)

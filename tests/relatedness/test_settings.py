"""What a run may ask of relatedness, and what it is refused in one line."""

from pathlib import Path

import pytest
import yaml

from transferlens.capabilities import run_of
from transferlens.core.errors import ConfigError, TransferlensError
from transferlens.relatedness.capability import CAPABILITY

REPOSITORY = Path(__file__).resolve().parents[2]


def given(**asked):
    return {"source": "digits-and-clothes", "targets": {"optdigits": {}}, "relatedness": asked}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"models": {"referense": 8}},
            "names 'referense', which is no study of this run (did you mean 'reference'?)",
        ),
        ({"models": {"encoders/mine": None}}, "names 'encoders/mine', which is no study of this run"),
        ({"models": {"reference": 0}}, "'relatedness.models.reference' is impossible: 0"),
        ({"references": {"one": {"classes": {"first": 1}}}}, "references.one.classes is one class"),
        ({"references": {"one": {"classes": {"names": ["digit 3"]}}}}, "references.one.classes is one class"),
        (
            {"references": {"a": {"targets": ["opdigits"]}}},
            "names 'opdigits', which is no target of this run (did",
        ),
        ({"references": {}}, "'relatedness.references' is impossible"),
        ({"references": {"two": {"classes": {"first": 2, "random": 2}}}}, "give one of them"),
        ({"transforms": ["LearnedB"]}, "'LearnedB' (did you mean 'Learned"),
        ({"transforms": ["FixedAll", "FixedAll"]}, "must not name anything twice"),
        ({"taus": [0]}, "impossible: 0"),
        ({"feature_map": "afine"}, "'afine' (did you mean 'affine'?)"),
        ({"mode": "rigourous"}, "(did you mean 'rigorous'?)"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(asked, message):
    with pytest.raises(ConfigError) as error:
        run_of(given(**asked))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({"other": {"dataset": "cifar11"}}, "unknown data set 'cifar11' (did you mean 'cifar10'?)"),
        (
            {"some": {"classes": {"names": ["digit 1", "digit 11"]}}},
            "references.some.classes names 'digit 11', which the set does not have (did you mean 'digit 1'?)",
        ),
        (
            {"many": {"dataset": "optdigits", "classes": {"first": 11}}},
            "relatedness.references.many.classes asks for 11 classes, but the set has 10",
        ),
    ],
)
def test_data_sets_and_classes_that_there_are_not_are_refused(references, message):
    with pytest.raises(TransferlensError) as error:
        run_of(given(references=references)).check_data()
    assert message in str(error.value)


def test_the_published_algorithm_takes_as_many_classes_of_both():
    run_of(given(mode="faithful", references={"ten": {"classes": {"random": 10}}})).check_data()
    with pytest.raises(ConfigError, match=r"source has 20 classes and optdigits 10; the published"):
        run_of(given(mode="faithful")).check_data()


def test_features_of_a_data_set_are_made_once_for_all_references_of_it():
    references = {"all": {}, "five": {"classes": {"first": 5}}, "letters": {"dataset": "emnist-letters"}}
    run = run_of(given(references=references, models={"reference": 6}))
    assert "emnist-letters" in run.dataset_names
    assert len(run.dataset_names) == 3
    asked = {(f.dataset, f.split): f.rows for f in CAPABILITY.features(run)}
    assert asked == {
        (name, split): 6
        for name in ("digits-and-clothes", "emnist-letters", "optdigits")
        for split in ("train", "val")
    }
    five, every = (
        run.inputs("relatedness", {"target": "optdigits", "reference": name, "study": "reference"})
        for name in ("five", "all")
    )
    assert five == every


def test_of_a_small_study_all_models_are_read():
    run = run_of(
        given(models={"reference": 40}) | {"studies": {"reference": {"repeats": 4}, "counterfactual": None}}
    )
    assert {asked.rows for asked in CAPABILITY.features(run)} == {8}


def test_only_references_of_the_source_are_read_with_influences():
    references = {"five": {"classes": {"first": 5}}, "letters": {"dataset": "emnist-letters"}}
    run = run_of(given(references=references))
    assert [w["reference"] for w in run.jobs_of("relatedness_reading")] == ["five"]
    groups = run_of(given() | {"studies": {"influence": {"units": "groups"}, "counterfactual": None}})
    assert groups.jobs_of("relatedness_reading") == []


def test_without_it_nothing_is_asked_for():
    run = run_of({**given(), "relatedness": None})
    assert not [
        step for step in ("relatedness", "relatedness_reading", "relatedness_figures") if run.jobs_of(step)
    ]
    assert all(dataset != "optdigits" or split != "val" for _, dataset, split, _ in run.features)


def test_the_published_small_scale_can_be_asked_for(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    asked = yaml.safe_load(Path("configs/relatedness-small.yaml").read_text(encoding="utf-8"))
    run = run_of(asked)
    run.check_networks()
    run.check_data()
    assert [w["target"] for w in run.jobs_of("relatedness")] == ["mnist", "fashion-mnist", "kmnist", "usps"]
    letters = {"references": {"source": {"classes": {"random": 10}}}}
    run_of(
        {**asked, "source": "emnist-letters", "relatedness": {**asked["relatedness"], **letters}}
    ).check_data()

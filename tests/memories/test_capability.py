"""What a run with memories trains, transfers and makes; and which settings of it are refused, and how."""

import json

import pytest

from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.memories.capability import CAPABILITY as MEMORIES
from transferlens.training.capability import CAPABILITY as TRAINING

CAPABILITIES = [DATA, TRAINING, INFLUENCE, MEMORIES]
REPEATS = 3


def run_with(memories, studies=None, **more):
    given = {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {}, "emnist-letters": {"recipes": ["full"]}},
        "recipes": {"fixed": {}, "full": {"kind": "full", "training": {"epochs": 2}}},
        "studies": {"reference": {"repeats": REPEATS, "shard_size": 2}, **(studies or {})},
        "memories": memories if memories is None else {"models": 1, "choosing": 1, **memories},
        **more,
    }
    return Run(given, CAPABILITIES)


def job(step, recipe="full", target="optdigits"):
    return step, {"target": target, "recipe": recipe}


def test_nothing_is_made_without():
    run = run_with(None)
    assert not [w for step in MEMORIES.steps if step.shown for w in run.jobs_of(step.name)]
    assert set(run.studies) == {"reference", "influence", "repeated"}
    assert not MEMORIES.recipes(run)


def test_the_first_pairs_are_adapted_and_read():
    run = run_with({"models": 2})
    transfer = run.transfers["reference", "optdigits", "full"]
    assert (transfer.rows, transfer.summarised) == (6, False)  # two pairs that report, one that chooses
    files = run.inputs(*job("probe_memories"))
    assert files["sources"] == [f"results/studies/reference/source/000{i}.h5" for i in range(3)]
    assert files["transfers"] == [
        f"results/studies/reference/transfer/optdigits/full/000{i}.h5" for i in range(3)
    ]
    assert "overlap" not in files
    assert run.inputs(*job("agreement"))["influence"] == "results/influence/optdigits/fixed.h5"
    of_letters = run.inputs(*job("agreement", target="emnist-letters"))
    assert of_letters["influence"] == "results/influence/emnist-letters/full.h5"


def test_a_remedy_is_a_recipe_made_of_another_and_of_what_distracts():
    run = run_with({"remedies": ["inside"], "remedy": {"weight": 0.5}})
    made = run.recipe("optdigits", "full+inside")
    assert (made["kind"], made["weight"], made["classes"]) == ("inside", 0.5, 10)
    assert made["training"] == run.recipe("optdigits", "full")["training"]
    wildcards = {"study": "reference", "target": "optdigits", "recipe": "full+inside", "shard": "0000"}
    files = run.inputs("transfer", wildcards)
    assert files["source_train"] == "results/data/digits-and-clothes/train.beton"
    assert files["interference"] == "results/memories/optdigits/full/interference.h5"
    material = json.loads(run.settings_of("transfer", wildcards))["material"]
    assert (material["side"], material["placement"]) == (0.45, "random")
    assert run.steps["transfer"].code(run, wildcards)[-1] == material["maker"]
    plain = {**wildcards, "recipe": "full"}
    assert "interference" not in run.inputs("transfer", plain)
    assert "material" not in json.loads(run.settings_of("transfer", plain))


def test_remedies_are_tried_on_the_same_composites_and_compared_in_order():
    run = run_with({"remedies": ["inside", "uniform"]})
    files = run.inputs(*job("composites", "full+uniform"))
    assert files["probes"] == "results/memories/optdigits/full+uniform/probes.h5"
    assert files["first_probes"] == "results/memories/optdigits/full/probes.h5"
    compared = run.inputs(*job("remedies"))
    recipes = ["full", "full+inside", "full+uniform"]
    assert compared["probes"] == [f"results/memories/optdigits/{r}/probes.h5" for r in recipes]
    # Of each the pairs that report: the others have chosen what the remedies are made of.
    assert [path.split("/")[-2] for path in compared["transfers"]] == recipes
    assert run.transfers["reference", "optdigits", "full"].rows == 4
    assert run.transfers["reference", "optdigits", "full+inside"].rows == 2
    assert json.loads(run.settings_of(*job("composites", "full+inside")))["choosing"] == 0
    assert not run_with({}).jobs_of("remedies")


def test_models_without_a_class_are_a_study_of_each_target_and_recipe():
    run = run_with({"models": 2, "without": 2, "repeats": 2})
    study = run.studies["without/optdigits/full"]
    assert (study.rows, study.shard_size) == (8, 2)
    assert study.evidence["interference"] == "results/memories/optdigits/full/interference.h5"
    assert study.name not in run.temporary_weights
    assert ("without/optdigits/full", "optdigits", "full") in run.transfers
    assert ("without/optdigits/full", "emnist-letters", "full") not in run.transfers
    assert run.transfers["reference", "optdigits", "full"].rows is None
    files = run.inputs(*job("rank_examples"))
    assert files["without"] == "results/studies/without/optdigits/full/summary/optdigits/full.h5"
    assert "reference" not in files
    compared = run.inputs(*job("seen"))
    folder = "results/studies/without/optdigits/full"
    assert compared["sources"] == [f"{folder}/source/000{i}.h5" for i in range(4)]
    assert compared["transfers"] == [f"{folder}/transfer/optdigits/full/000{i}.h5" for i in range(4)]
    assert len(compared["reference_sources"]) == len(compared["reference_transfers"]) == REPEATS
    assert compared["reference"] == "results/studies/reference/summary/optdigits/full.h5"
    assert not run_with({}).jobs_of("seen")


def test_all_classes_are_left_out_whatever_was_found():
    study = run_with({"models": 2, "without": "all", "repeats": 2}).studies["without/optdigits/full"]
    assert (study.rows, study.evidence) == (2 * 20, {})


def test_pretrained_weights_and_their_controls_are_a_study_of_their_own():
    """No model of the source is trained: nothing but what is given, and from scratch, twelve of each."""
    given = {"weights": "w.pt", "repeats": 12, "shard_size": 8}
    studies = {"pretrained": given, "reference": None, "influence": None, "repeated": None}
    run = run_with({"source": "pretrained", "models": 8, "choosing": 4}, studies)
    assert [(study.name, study.rows) for study in run.studies.values()] == [("pretrained", 24)]
    assert not run.jobs_of("train_source")
    assert len(run.jobs_of("load_pretrained")) == 3
    assert run.transfers["pretrained", "optdigits", "full"].rows == 24
    files = run.inputs(*job("probe_memories"))
    assert files["sources"] == [f"results/studies/pretrained/source/000{i}.h5" for i in range(3)]
    assert files["transfers"] == [
        f"results/studies/pretrained/transfer/optdigits/full/000{i}.h5" for i in range(3)
    ]


def test_published_weights_know_imagenets_classes_alone():
    """Before anything runs, and by name."""
    given = {"architecture": {"name": "efficientnet_lite0"}}
    named = {"weights": "efficientnet-lite0"}
    run = run_with(None, {"pretrained": named}, **given)
    with pytest.raises(ConfigError, match=r"weights: efficientnet-lite0 has .* 'digit 0' is none of them"):
        TRAINING.check_data(run)
    TRAINING.check_data(run_with(None, {"pretrained": named}, **given, source="tiny-imagenet-200"))
    TRAINING.check_data(run_with(None, {"pretrained": {**named, "head": "probe"}}, **given))


def test_without_influences_there_is_nothing_to_agree_with():
    run = run_with({}, {"influence": None, "repeated": None})
    assert not run.jobs_of("agreement")
    assert "agreement" not in run.inputs(*job("gallery"))
    assert run.jobs_of("gallery")


def test_tables_of_overlaps_are_inputs_of_their_target():
    table = "overlaps/{target}.csv"
    run = run_with({"overlap": table})
    assert run.inputs(*job("probe_memories"))["overlap"] == "overlaps/optdigits.csv"
    assert json.loads(run.settings_of(*job("probe_memories")))["overlap"] == "table"
    with pytest.raises(ConfigError, match=r"overlaps/optdigits\.csv: no such table"):
        MEMORIES.check_data(run)


def test_more_classes_than_there_are_cannot_be_left_out():
    with pytest.raises(ConfigError, match=r"without is 11: .* the source has 20; use at most 10"):
        MEMORIES.check_data(run_with({"without": 11, "repeats": 1}))


def test_recipes_that_keep_features_are_told_apart():
    run = run_with({"recipes": ["fixed", "full"]})
    frozen = [json.loads(run.settings_of(*job("probe_memories", r)))["frozen"] for r in ("fixed", "full")]
    assert frozen == [True, False]


@pytest.mark.parametrize(
    ("memories", "studies", "message"),
    [
        (
            {"recipes": ["ful"]},
            {},
            "memories.recipes names 'ful', which is no recipe (did you mean 'full'?)",
        ),
        ({"remedies": ["uniforn"]}, {}, "'memories.remedies.0' is 'uniforn' (did you mean 'uniform'?)"),
        ({"remedies": ["inside", "inside"]}, {}, "it must not name anything twice"),
        ({"recipes": []}, {}, "'memories.recipes' is impossible: []; it must have at least 1 item"),
        (
            {"recipes": ["fixed"], "remedies": ["inside"]},
            {},
            "recipe 'fixed' keeps the source's features; remedies change them",
        ),
        ({}, {"reference": None}, "studies.reference is null; set it, or set memories: null"),
        (
            {"models": 2, "choosing": 2},
            {},
            "memories.models is 2 and memories.choosing 2, pairs of different models, but "
            "studies.reference.repeats is 3; raise the latter to 4",
        ),
        ({"source": "pretrained"}, {}, "name its weights in studies.pretrained.weights"),
        (
            {"source": "pretrained", "without": 1},
            {"pretrained": {"weights": "w.pt"}},
            "which is not trained here; set memories.without: 0",
        ),
        (
            {"source": "pretrained", "models": 3},
            {"pretrained": {"weights": "w.pt", "repeats": 2}},
            "memories.choosing 1, pairs of different models, but studies.pretrained.repeats is 2; raise",
        ),
        ({"without": 1, "repeats": 5}, {}, "memories.repeats is 5, but models without a class share"),
        ({"without": "al"}, {}, "'memories.without"),
        (
            {"composites": {"per_cell": 10}},
            {},
            "memories.smallest_cell is 20, but a pair of classes gets 10 composites",
        ),
        ({"composites": {"sid": 0.5}}, {}, "unknown key 'memories.composites.sid' (did you mean 'side'?)"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(memories, studies, message):
    # One pair is fewer than there are, unless it is asked for.
    with pytest.raises(ConfigError) as caught:
        run_with(memories, studies)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

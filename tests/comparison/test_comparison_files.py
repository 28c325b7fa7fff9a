"""A comparison is made from the files of its contestants, and stored whole."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.comparison import planted
from tests.summaries import write_summary
from transferlens import open_results
from transferlens.comparison.compared import answers, stored
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.comparison.compared.artefacts import MEASURES as COMPARED
from transferlens.comparison.measures.artefacts import COST, MEASURES, PROBES_AFTER, SOURCE_PROBES
from transferlens.comparison.tuning.artefacts import CHOICE, PUBLISHED
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError
from transferlens.core.studies import FULL, SCRATCH, Rows

IMAGES, LABELS, HALVES = 40, np.arange(40) % 2, np.arange(40) // 2 % 2
ROWS = {"source": [0, 2], "scratch": [1, 3]}
ONES = [
    {"name": "full+tuned", "base": "full", "from_scratch": False},
    {"name": "full+scratch", "base": "full", "from_scratch": True},
]
SETTINGS = {"contestants": ONES, "rows": ROWS, "probed": ["source", "other"], "metric": "global", "seed": 0}


def rows():
    """Two repeats, and a third that chose."""
    repeat = np.repeat(np.arange(3), 2)
    return Rows(np.ones((6, 2), bool), np.arange(6), repeat, [FULL, SCRATCH] * 3, repeat, [""] * 6,
                np.zeros(6, np.int64), ["a", "b"], ["", ""])  # fmt: skip


def write_all(path, artefact, values, **attributes):
    """An artefact with values by field; what is not given of its attributes is zero."""
    with artefacts.create(path, artefact) as out:
        for name, value in values.items():
            out.write(name, value)
        for name in artefact.attributes or {}:
            out.attribute(name, attributes.get(name, 0))
    return path


def probes(path, artefact, right, train_images=50):
    ids = [str(i) for i in range(right.shape[1])]
    values = {"model": [0, 2], "example": ids, "example_class": ids, "correct": right}
    return write_all(path, artefact, values, train_images=train_images)


def measures(path, numbers, correct, examples):
    count = len(examples)
    values = {
        "model": numbers,
        "example": examples,
        "example_class": ["x"] * count,
        "correct": correct,
        "confidence": np.full(correct.shape, 0.75),
        "p_true": np.full(correct.shape, 0.5),
        "corruption": ["contrast"],
        "severity": [3],
        "corrupted_correct": correct[:, None, None],
        "source_example": ["s"],
        "source_example_class": ["a"],
        "retained": np.ones((2, 1), bool),
        "source_correct": np.ones((2, 1), bool),
        "moved": np.zeros((2, 1)),
        "moved_of": np.zeros((2, 1)),
        "layer": ["conv"],
    }
    return write_all(path, MEASURES, {field.name: values[field.name] for field in MEASURES.fields})


@pytest.fixture
def files(tmp_path):
    """Files of one recipe and of models from scratch, with answers drawn at random."""
    rng = np.random.default_rng(0)
    report = np.flatnonzero(HALVES)
    made = {name: [] for name in ("summaries", "measures", "costs", "before", "after")}
    right = {}
    for i, one in enumerate(ONES):
        right[i] = rng.random((6, IMAGES)) < 0.7
        prediction = np.where(right[i], LABELS, 1 - LABELS).astype(np.uint8)
        accuracy = np.stack([right[i][:, half == HALVES].mean(1) for half in (0, 1)], axis=1)
        path = tmp_path / f"summary-{i}.h5"
        made["summaries"].append(
            write_summary(path, rows(), LABELS, HALVES, ["x", "y"], accuracy, prediction=prediction)
        )
        numbers = ROWS["scratch" if one["from_scratch"] else "source"]
        ids = [f"x/{j}" for j in report]
        made["measures"].append(measures(tmp_path / f"m{i}.h5", numbers, right[i][numbers][:, report], ids))
    for name in SETTINGS["probed"]:
        before, after = rng.random((2, 2, 12)) < 0.6
        made["before"].append(probes(tmp_path / f"before-{name}.h5", SOURCE_PROBES, before))
        made["after"].append(probes(tmp_path / f"after-{name}.h5", PROBES_AFTER, after))
        right[name] = after.astype(float) - before
    cost = {
        "round": [0, 1],
        "seconds": [2.0, 4.0],
        "plain_seconds": [1.0, 1.0],
        "peak": 3.0,
        "plain_peak": 2.0,
    }
    made["costs"].append(write_all(tmp_path / "cost.h5", COST, cost, note="", memory=""))
    return made, right


def test_answers_are_those_of_the_reporting_models(files):
    made, right = files
    found = answers.read(made, SETTINGS)
    report = HALVES == 1
    np.testing.assert_array_equal(found.plain.correct["report"], right[0][[0, 2]][:, report])
    np.testing.assert_array_equal(found.plain.correct["select"], right[0][[0, 2]][:, ~report])
    np.testing.assert_array_equal(found.scratch.correct["report"], right[1][[1, 3]][:, report])
    np.testing.assert_array_equal(found.plain.forgetting["other"], right["other"])
    np.testing.assert_array_equal(found.labels["report"], LABELS[report])
    assert found.scratch.cost is None
    assert found.plain.cost.seconds.values.tolist() == [2, 4]


def test_files_that_do_not_fit_are_refused_by_name(files):
    made, _ = files
    with pytest.raises(ArtefactError, match=r"m1.h5: lacks the models of rows \[0, 2\]"):
        answers.read({**made, "measures": made["measures"][::-1]}, SETTINGS)
    other = measures(made["costs"][0].with_name("m9.h5"), [0, 2], np.ones((2, 3), bool), ["p", "q", "r"])
    with pytest.raises(ArtefactError, match="of other images than the report half"):
        answers.read({**made, "measures": [other, made["measures"][1]]}, SETTINGS)
    before = made["after"][0].with_name("more.h5")
    probes(before, SOURCE_PROBES, np.ones((2, 3), bool), train_images=60)
    probes(made["after"][0], PROBES_AFTER, np.ones((2, 3), bool))
    with pytest.raises(ArtefactError, match=r"of other images than .*more.h5"):
        answers.read({**made, "before": [before, made["before"][1]]}, SETTINGS)


def test_tuning_tells_what_the_published_protocol_would_print(tmp_path):
    trials = {
        "trial": [0, 1],
        "parameter": ["lr"],
        "value": [[1.0], [2.0]],
        "settings": ["{}", "{}"],
        "model": [4, 6],
        "accuracy": [[0.5, 0.6], [0.7, 0.9]],
        "loss": np.ones((2, 2)),
        "seconds": np.ones((2, 2)),
        "chosen": [False, True],
        "budget": [1, 2],
        "best_of": [0.6, 0.8],
    }
    fields = {field.name: trials[field.name] for field in CHOICE.fields}
    choice = write_all(tmp_path / "choice.h5", CHOICE, fields)
    accuracy = [[[0.5, 0.6], [0.7, 0.5], [0.6, 0.5]], [[0.5, 0.5], [0.5, 0.9], [0.8, 0.7]]]
    told = {"model": [0, 2], "epoch": [1, 2, 3], "head": ["own", "larger"], "accuracy": accuracy}
    published = write_all(tmp_path / "published.h5", PUBLISHED, told, metric="global")
    found = stored.read_tuned(choice, published)
    assert (found.held_out_accuracy, found.published) == pytest.approx((0.8, 0.8))  # .7 and .9
    assert found.optimism.value == pytest.approx(0.1)  # the last epochs reach .6 and .8
    nothing = stored.read_tuned(choice, None)
    assert np.isnan([nothing.published, nothing.optimism.value]).all()


def test_everything_is_stored_and_in_the_table(tmp_path):
    of = planted.study({"full": 0.7, "ema": 0.8}, models=3, images=60)
    place = tmp_path / COMPARISON.path.format(target="digits@5")
    place.parent.mkdir(parents=True)
    settings = planted.settings(of, left_out={"l2": "it has no strength"})
    stored.write(place, of, [stored.Tuned(0.6)] * 3, settings)
    made = open_results(tmp_path).comparison("digits@5")
    assert made.left_out_reason.values.tolist() == ["it has no strength"]
    assert made.recommended == "ema+tuned"
    assert (made.models, made.images, made.train_images) == (3, 60, 100)
    assert made.sel(measure="accuracy", recipe="full+tuned").value == pytest.approx(
        of.plain.correct["report"].mean()
    )
    np.testing.assert_allclose(
        made.mean_forgetting[:2], made.forgetting[:2].mean("probed"), rtol=1e-12, atol=1e-12
    )
    assert np.isnan(made.mean_forgetting[2])
    table = stored.table(made).set_index(["recipe", "measure"])
    assert len(table) == 3 * len(COMPARED)
    row = table.loc[("ema+tuned", "accuracy")]
    assert row.p_holm == made.difference_holm.sel(recipe="ema+tuned", measure="accuracy")
    assert row.low < row.value < row.high
    assert pd.isna(table.loc[("full+scratch", "retention")].value)


def test_a_bare_comparison_is_stored_too(tmp_path):
    """One recipe, no models from scratch, no corruptions, no other data sets."""
    full = planted.study({"full": 0.7}, models=2, images=12).plain
    bare = dataclasses.replace(
        full,
        measures=planted.measures(full.correct["report"], corruptions=()),
        forgetting={"source": full.forgetting["source"]},
    )
    place = tmp_path / COMPARISON.path.format(target="x")
    place.parent.mkdir(parents=True)
    stored.write(
        place, planted.compared([bare]), [stored.Tuned(0.6)], planted.settings(planted.compared([bare]))
    )
    made = open_results(tmp_path).comparison("x")
    assert made.recommended == "full+tuned"
    assert made.worst_class == ""
    assert made.sizes["corruption"] == made.sizes["left_out"] == 0

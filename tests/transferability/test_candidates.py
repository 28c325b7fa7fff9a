"""Which rows are candidates, what draws they are, and what orders them, as read from files."""

import h5py
import numpy as np
import pytest

from tests.summaries import write_summary
from transferlens.core import artefacts, studies
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.studies import FULL, PRETRAINED, REMOVAL, SCRATCH, SUBSET, Rows
from transferlens.training.reading import ModelFeatures
from transferlens.transferability import candidates, ceiling, scoring
from transferlens.transferability.artefacts import SCORED
from transferlens.transferability.candidates import Study

UNITS = ["a", "b", "c", "d"]


def rows(masks, roles, seeds, repeats) -> Rows:
    count = len(masks)
    return Rows(
        np.array(masks, bool), np.arange(count), np.array(seeds), list(roles), np.array(repeats),
        [""] * count, np.zeros(count, np.int64), UNITS, [""] * 4,
    )  # fmt: skip


ALL, NONE = [1, 1, 1, 1], [0, 0, 0, 0]
REFERENCE = rows([ALL, NONE, ALL, NONE], [FULL, SCRATCH] * 2, [5, 5, 6, 6], [0, 0, 1, 1])
PAIRS = rows([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 1, 1]], [SUBSET] * 4, range(4), [-1] * 4)
SINGLE = rows([[1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]], [SUBSET] * 3, range(3), [-1] * 3)
REMOVED = rows([[0, 1, 1, 1], [0, 0, 1, 1]] * 2, [REMOVAL] * 4, [5, 5, 6, 6], [0, 0, 1, 1])
GIVEN = rows([ALL, NONE, ALL, NONE], [PRETRAINED, SCRATCH] * 2, [5, 5, 6, 6], [0, 0, 1, 1])


def summary(folder, name, of, accuracy=None, other=0.0):
    """A summary whose accuracies on the halves are the given ones and `other` more."""
    path = folder / f"{name}.h5"
    accuracy = np.linspace(0.1, 0.9, len(of)) if accuracy is None else np.asarray(accuracy)
    return write_summary(
        path, of, [0, 1], [0, 1], ["x", "y"], accuracy=np.stack([accuracy, accuracy + other], 1)
    )


@pytest.mark.parametrize(
    ("study", "of", "draws"),
    [
        ("reference", REFERENCE, ["seed 5", "seed 6"]),
        ("influence", PAIRS, ["influence 0", "influence 0", "influence 1", "influence 1"]),
        ("influence", SINGLE, ["influence 0", "influence 1", "influence 2"]),
        ("counterfactual/t/r", REMOVED, ["seed 5", "seed 5", "seed 6", "seed 6"]),
        ("encoders/mine", GIVEN, ["encoders/mine", "encoders/mine"]),
    ],
)
def test_models_that_share_masks_seeds_or_weights_are_one_draw(tmp_path, study, of, draws):
    read = candidates.read_summary(summary(tmp_path, "s", of), 100)
    assert candidates.draws(study, read) == draws
    assert SCRATCH not in read.roles


def test_accuracy_is_the_mean_of_both_halves_of_the_first_models(tmp_path):
    path = summary(tmp_path, "s", REFERENCE, [0.5, 0.1, 0.7, 0.2], other=0.1)
    assert candidates.read_summary(path, 2).accuracy.tolist() == pytest.approx([0.55])
    assert candidates.read_summary(path, 4).accuracy.tolist() == pytest.approx([0.55, 0.75])


def write_scored(path, of, values, reasons):
    """Scores `leep` and `ncti` of a shard; ncti has three parts."""
    with artefacts.create(path, SCORED) as out:
        studies.write_rows(out, of)
        out.write("score", ["leep", "ncti"])
        out.write("part", ["leep", "ncti:spread", "ncti:discriminant", "ncti:collapse"])
        out.write("part_score", [0, 1, 1, 1])
        out.write("part_value", values)
        out.write("seconds", np.full((len(of), 2), 0.25))
        out.write("reason", reasons)
        out.write("parameters", [7] * len(of))
    return path


def test_scores_are_read_in_the_order_of_candidates_and_pooled_over_all(tmp_path):
    known = [Study("reference", "net", 4, 1), Study("influence", "net", 4, 1)]
    summaries = [summary(tmp_path, "r", REFERENCE), summary(tmp_path, "i", PAIRS)]
    transferred = [candidates.read_summary(path, 4) for path in summaries]
    first, second = np.arange(16.0).reshape(4, 4), 20 + np.arange(16.0).reshape(4, 4)
    second[1, 0] = np.nan
    reasons = [[["", ""]] * 4, [["", ""], ["no head", ""], ["", ""], ["", ""]]]
    paths = [
        write_scored(tmp_path / f"{name}-scores.h5", of, values, why)
        for name, of, values, why in (("r", REFERENCE, first, reasons[0]), ("i", PAIRS, second, reasons[1]))
    ]
    (leep, ncti), parameters = candidates.read_scores(known, paths, transferred)
    np.testing.assert_array_equal(leep.values, [0, 8, 20, np.nan, 28, 32])
    assert leep.reason == "known for 5 of 6 candidates: no head"
    assert (leep.title, leep.seconds, ncti.reason) == ("LEEP", 0.25, "")
    assert np.isfinite(ncti.values).all()
    assert parameters.tolist() == [7] * 6
    gathered = candidates.gather(known, transferred)
    assert gathered.name.tolist() == [
        *(f"reference/{i}" for i in (0, 2)),
        *(f"influence/{i}" for i in range(4)),
    ]


def test_static_rankers_do_not_know_what_given_weights_were_trained_on(tmp_path):
    transferred = [
        candidates.read_summary(summary(tmp_path, name, of), 4) for name, of in (("i", PAIRS), ("g", GIVEN))
    ]
    elsewhere = np.array([[0.1, 0.2, 0.3, 0.4, np.nan, np.nan]])
    made = {r.name: r for r in candidates.static_rankers(transferred, np.full(6, 3), elsewhere)}
    np.testing.assert_array_equal(made["source classes"].values, [2, 2, 1, 3, np.nan, np.nan])
    assert made["source classes"].reason.startswith("known for 4 of 6 candidates: what given weights")
    np.testing.assert_allclose(made["other targets"].values, [-1, -2 / 3, -1 / 3, 0, np.nan, np.nan])
    assert made["parameters"].reason == ""


def test_bounds_are_read_by_kind_for_the_models_that_have_one(tmp_path):
    dims = ("model", "tau", "transform", "draw")
    bounded = Artefact(
        kind="task relatedness",
        path="relatedness/{target}/{reference}/{study}.h5",
        fields=(
            Field("model", ("model",), np.int64, "row"),
            Field("transform", ("transform",), str, "transform"),
            Field("bound", dims, np.float64, "bound"),
        ),
    )
    values = np.zeros((2, 2, 3, 2))
    values[:, 0, 1] = [[1, 3], [4, 8]]
    with artefacts.create(tmp_path / "bounds.h5", bounded) as out:
        out.write("model", [3, 1])
        out.write("transform", ["FixedAll", "LearnedAll", "LearnedA"])
        out.write("bound", values)
    of = candidates.read_summary(summary(tmp_path, "i", PAIRS), 4)
    gathered = candidates.gather([Study("influence", "net", 4, 1)], [of])
    (made,) = candidates.bounds(gathered, [("digits", "influence", tmp_path / "bounds.h5")])
    np.testing.assert_array_equal(made.values, [np.nan, -6, np.nan, -2])
    assert (made.name, made.sort) == ("relatedness:digits", "bound")
    assert made.reason == "known for 2 of 4 candidates: others have no bound"


def test_a_head_counts_for_the_classes_that_its_model_saw():
    rng = np.random.default_rng(0)
    on_target = ModelFeatures(*(rng.random(s).astype(np.float32) for s in ((6, 3), (4, 3), (4,))))
    on_source = ModelFeatures(rng.random((8, 3)).astype(np.float32), on_target.weight, on_target.bias)
    labels, seen = np.array([0, 1, 2, 0, 1, 2]), np.array([True, False, True, True])
    one = scoring.candidate(on_target, labels, seen, (on_source, np.arange(8) % 4))
    np.testing.assert_allclose(one.logits, on_target.logits[:, [0, 2, 3]], rtol=1e-6)
    assert one.classes == 3
    assert one.source[1].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_allclose(one.source[0], on_source.features[[0, 2, 3, 4, 6, 7]], rtol=1e-6)
    scratch = scoring.candidate(on_target, labels, np.zeros(4, bool), (on_source, np.arange(8) % 4))
    assert scratch.logits is None
    assert scratch.source is None


def test_ceilings_follow_from_models_of_equal_classes_and_from_repeats(tmp_path):
    rng = np.random.default_rng(0)
    first = rng.random((20, 4)) < 0.5
    masks = np.stack([first, ~first], 1).reshape(-1, 4)
    of = rows(masks, [SUBSET] * 40, range(40), [-1] * 40)
    true = rng.normal(0, 1, 40)
    one, two = (
        candidates.read_summary(summary(tmp_path, n, of, true + rng.normal(0, 0.5, 40)), 40) for n in "ab"
    )
    told = ceiling.from_repeated(one, two)
    expected = np.sqrt(np.corrcoef(one.accuracy, two.accuracy)[0, 1])
    assert told.value == pytest.approx(expected)
    assert told.low < np.sqrt(0.8) < told.high
    noise = rng.normal(0, 0.5, 16)
    told = ceiling.from_reference(one.accuracy, noise)
    assert told.value == pytest.approx(np.sqrt(1 - noise.var(ddof=1) / one.accuracy.var(ddof=1)))
    assert told.low < np.sqrt(0.8) < told.high


def test_the_size_of_a_network_is_that_of_its_state(tmp_path):
    path = tmp_path / "models.h5"
    with h5py.File(path, "w") as file:
        file["weights/a"] = np.zeros((3, 10))
        file["weights/b"] = np.zeros((3, 5))
    with h5py.File(path) as file:
        assert scoring.state_size(file) == 15

"""Analyses find what was planted in influences, summaries and images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from sklearn.metrics import roc_auc_score

from transferlens.analyses import failure_files, failures, leakage, small_targets, subpopulations
from transferlens.analyses.artefacts import (
    FAILURES,
    FINER_COLUMNS,
    LEAKAGE,
    SMALL_TARGETS,
    SUBPOPULATIONS,
)
from transferlens.core import labelled
from transferlens.core.statistics import Interval
from transferlens.data.index import Examples, Index

SOURCES, TARGETS, EXAMPLES = ["cat", "cow", "car"], ["animal", "thing"], 80
OWN = ["cat", "cow", "car", "cup"]
CLASSES = np.arange(EXAMPLES) % 4
LABELS, HALVES = CLASSES // 2, (np.arange(EXAMPLES) // 4 % 2).astype(np.int8)


def influence_of(effect, se=0.05, df=100.0, by_fold=None):
    """By both folds alike, unless `by_fold` [fold, example, source_class] is given; False for no folds."""
    effect = np.asarray(effect, float)
    folds = np.stack([effect, effect]) if by_fold is None else by_fold
    fields = {
        "effect": (("example", "source_class"), effect),
        "effect_se": (("example", "source_class"), np.full(effect.shape, se)),
        "df": df,
    }
    if folds is not False:
        cells = ("fold", "example", "source_class")
        fields |= {"effect_by_fold": (cells, folds), "fold_df": ("fold", [df, df])}
        fields["effect_by_fold_se"] = (cells, np.full(folds.shape, se))
    return xr.Dataset(
        fields,
        {
            "source_class": SOURCES,
            "target_class": TARGETS,
            "example_class": ("example", np.array(TARGETS)[LABELS]),
            "example_half": ("example", np.array(["select", "report"])[HALVES]),
        },
        {"folds_missing": "there are 8 models"} if folds is False else {},
    )


@pytest.fixture
def target():
    val = Examples([f"x/{i}" for i in range(EXAMPLES)], LABELS, HALVES, LABELS, LABELS, CLASSES)
    return Index(TARGETS, ["", ""], val, val, OWN)


@pytest.fixture
def planted():
    """The source class `cat` helps the cats among the animals; nothing else differs by more than noise."""
    effect = np.random.default_rng(0).normal(0, 0.05, (EXAMPLES, 3))
    effect[CLASSES == 0, 0] += 0.5
    return influence_of(effect)


def test_the_pair_that_differs_between_examples_is_found_with_its_ends(planted, target):
    first, *rest = subpopulations.find_pairs(planted, pairs=3, examples=5)
    assert (first.target_class, first.source_class) == ("animal", "cat")
    assert first.spread == pytest.approx(0.25, abs=0.05)
    assert all(pair.spread < 0.05 for pair in rest)
    assert (HALVES[first.examples] == 1).all()
    assert (CLASSES[first.examples[0]] == 0).all()
    assert (CLASSES[first.examples[1]] == 1).all()
    assert (np.diff(first.effect[0]) <= 0).all()
    table = subpopulations.pair_table([first], target)
    assert table.query("end == 'most helped'").own_class.unique().tolist() == ["cat"]


def test_without_differences_beyond_noise_or_without_folds_there_is_no_pair(planted):
    assert subpopulations.find_pairs(influence_of(np.zeros((EXAMPLES, 3))), 3, 5) == []
    assert subpopulations.find_pairs(influence_of(planted.effect.values, by_fold=False), 3, 5) == []


def test_what_one_fold_chooses_the_other_one_reports():
    """Noise of the choosing fold alone looks like a subpopulation, and is nothing by the other fold."""
    rng = np.random.default_rng(1)
    folds = rng.normal(0, [[[0.5]], [[0.05]]], (2, EXAMPLES, 3))
    pairs = subpopulations.find_pairs(influence_of(folds.mean(0), by_fold=folds), 2, 5)
    assert len(pairs) == 2
    for pair in pairs:
        c = SOURCES.index(pair.source_class)
        np.testing.assert_array_equal(pair.effect, folds[1][pair.examples, c])
        assert (np.diff(folds[0][pair.examples[0], c]) <= 0).all()
        assert pair.spread < 0.05


def test_finer_classes_are_found_by_the_influence_of_their_name(planted, target):
    table = subpopulations.finer_classes(planted, target).set_index("source_class")
    assert table.index.tolist() == SOURCES  # `cup` is not in the source
    assert table.auroc["cat"] == 1
    assert table.low["cow"] < 0.5 < table.high["cow"]
    assert (table.examples == 20).all()
    assert (table.of_the_class == 10).all()
    report = planted.example_half.values == "report"
    cows, folds = CLASSES == 1, planted.effect_by_fold.values
    group = report & (LABELS == 0)
    area = roc_auc_score(cows[group], folds[0][group, 1])
    assert table.auroc_fold_0["cow"] == pytest.approx(area)
    without = influence_of(planted.effect.values, by_fold=False)
    assert subpopulations.finer_classes(without, target).auroc_fold_0.isna().all()


def test_auroc_agrees_with_scikit_learn_ties_included():
    rng = np.random.default_rng(0)
    values, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.3
    found = subpopulations.auroc(values, positive)
    assert found.value == pytest.approx(roc_auc_score(positive, values))
    assert found.low < found.value < found.high


def test_the_interval_of_an_auroc_draws_one_fewer_than_there_are():
    """Three of four: all below the rest in 1.6 % of the draws, two of them in 14 %."""
    found = subpopulations.auroc(np.r_[1.0, 3.0, 3.0, 3.0, np.full(40, 2.0)], np.arange(44) < 4)
    assert [found.low, found.value, found.high] == pytest.approx([1 / 3, 0.75, 1.0])


def summary_of(roles, removed_by, masks, p_true, prediction):
    """Rows of these roles, in the order of a study: repeat by repeat."""
    correct = prediction == LABELS
    return xr.Dataset(
        {
            "mask": (("model", "unit"), np.array(masks, bool)),
            "role": ("model", roles),
            "removed_by": ("model", removed_by),
            "p_true": (("model", "example"), p_true),
            "prediction": (("model", "example"), prediction),
            "correct": (("model", "example"), correct),
            "raw_margin": (("model", "example"), np.where(correct, 1.0, -1.0)),
        },
        {"unit": SOURCES, "model": np.arange(len(roles))},
    )


def full_models(p_true, prediction):
    """Full-source models and models from scratch by turns; the latter say nothing."""
    p, said = np.repeat(p_true, 2, axis=0), np.repeat(prediction, 2, axis=0)
    masks = [[1] * 3, [0] * 3] * len(p_true)
    return summary_of(["full", "scratch"] * len(p_true), [""] * len(p), masks, p, said)


@pytest.fixture
def failing():
    """Example 5 (report half) is wrong because of `cow`; models without it get it right.

    Two full-source models that removals are paired with are followed by two that choose. These get example 21
    wrong, too, and example 1 of the select half; the paired ones example 13.
    """
    effect = np.zeros((EXAMPLES, 3))
    effect[5, 1], effect[1, 1], effect[21, 0], effect[13, 1] = -0.4, -0.9, -0.3, -0.8
    predictions = np.tile(LABELS, (4, 1))
    predictions[:, 5] = 1 - LABELS[5]
    predictions[2:, [1, 21]] = 1 - LABELS[[1, 21]]
    predictions[:2, 13] = 1 - LABELS[13]
    p_full = np.full((4, EXAMPLES), 0.9)
    p_full[:, 5] = [0.2, 0.25, 0.0, 0.0]
    p_without = np.full((4, EXAMPLES), 0.9)
    p_without[:, 5] = [0.2, 0.6, 0.3, 0.7]
    wrong = LABELS.copy()
    wrong[5] = 1 - wrong[5]
    masks = [[0, 1, 1], [1, 0, 1]] * 2
    said = np.stack([wrong, LABELS, wrong, LABELS])
    removals = summary_of(["removal"] * 4, ["single"] * 4, masks, p_without, said)
    return effect, full_models(p_full, predictions), removals


def test_a_failure_is_chosen_by_some_models_and_tested_by_others(failing):
    effect, full, removals = failing
    found = failures.find_failures(influence_of(effect), full, removals, "p_true", count=5)
    first, second = found.failures
    assert (first.example, first.true, first.predicted, first.correct) == (5, "animal", "thing", 0)
    assert (second.example, second.correct) == (21, 1)
    assert first.classes[0] == first.removed == "cow"
    assert first.expected.value == pytest.approx(0.4)
    assert first.expected.low < 0.4 < first.expected.high
    assert first.change.value == pytest.approx(np.mean([0.6 - 0.2, 0.7 - 0.25]))
    assert (first.predicted_without, first.correct_without) == ("animal", 1)
    assert first.q[0] < 1e-4
    assert (found.choosing, found.reporting) == (2, 2)
    assert found.expected == pytest.approx((0.4 + 0.3) / 2)
    assert found.change.value == pytest.approx(first.change.value / 2)
    table = failure_files.table(found.failures, [f"x/{i}" for i in range(EXAMPLES)])
    assert table.example.unique().tolist() == ["x/5", "x/21"]


def test_harmful_classes_are_chosen_by_one_fold_and_their_influence_is_of_the_other(failing):
    effect, full, removals = failing
    folds = np.stack([effect, np.random.default_rng(0).normal(size=effect.shape)])
    found = failures.find_failures(influence_of(effect, by_fold=folds), full, removals, "p_true", 5)
    first = found.failures[0]
    assert first.removed == "cow"
    assert first.effect[0] == folds[1, 5, 1] == -first.expected.value


def test_of_several_most_frequent_predictions_the_margin_decides_on_the_true_one(failing):
    """One of two models is right about example 21: it is misclassified where the margins are below 0."""
    effect, full, removals = failing
    full.prediction[4, 21] = LABELS[21]
    for margin, examples in ((1.5, [5]), (0.5, [5, 21])):
        full.raw_margin[[4, 6], 21] = [margin, -1.0]
        found = failures.find_failures(influence_of(effect), full, removals, "p_true", count=5)
        assert [f.example for f in found.failures] == examples


def test_nothing_removed_changes_nothing_though_the_choosing_models_were_at_their_worst():
    """Outputs are noise: of the models that chose low ones, no other is low, nor does any change."""
    rng = np.random.default_rng(0)
    p = rng.normal(0, 1, (12, EXAMPLES))
    said = np.where(p > 0, LABELS, 1 - LABELS)
    masks = [[0, 1, 1]] * 6
    removals = summary_of(["removal"] * 6, ["single"] * 6, masks, rng.normal(0, 1, (6, EXAMPLES)), said[:6])
    found = failures.find_failures(
        influence_of(rng.normal(size=(EXAMPLES, 3))), full_models(p, said), removals, "p_true", 40
    )
    shown = [f.example for f in found.failures]
    assert p[6:, shown].mean() < -0.2
    odd, even = p[1:6:2, shown].mean(1), p[0:6:2, shown].mean(1)
    low, high = stats.ttest_ind(odd, even).confidence_interval()
    assert found.placebo.value == pytest.approx(odd.mean() - even.mean())
    assert (found.placebo.low, found.placebo.high) == pytest.approx((low, high))
    assert found.placebo.low < 0 < found.placebo.high
    assert found.change.low < 0 < found.change.high


def test_failures_without_single_removals_name_their_classes_only(failing):
    effect, full, _ = failing
    none = summary_of(["removal"], ["top"], [[0, 1, 1]], np.zeros((1, EXAMPLES)), LABELS[None])
    for removals in (none, None):
        found = failures.find_failures(influence_of(effect), full, removals, "p_true", count=5)
        assert [f.removed for f in found.failures] == [None, None]
        assert found.change is None


def test_without_folds_or_other_models_there_are_no_failures_but_a_reason(failing):
    effect, full, removals = failing
    by = influence_of(effect, by_fold=False)
    assert failures.find_failures(by, full, removals, "p_true", 5).missing == "there are 8 models"
    paired = full.isel(model=slice(4))
    found = failures.find_failures(influence_of(effect), paired, removals, "p_true", 5)
    assert found.failures == []
    assert found.missing.startswith("all 2 full-source models are paired with removals")


def sized(matrix, full, scratch):
    influence = xr.Dataset(
        {"class_effect": (("half", "t", "s"), np.stack([matrix * 0, matrix]))}, {"half": ["select", "report"]}
    )
    reference = xr.Dataset(
        {
            "accuracy": (
                ("model", "half"),
                np.column_stack([np.zeros(4), np.ravel(np.column_stack([full, scratch]))]),
            ),
            "role": ("model", ["full", "scratch"] * 2),
        },
        {"half": ["select", "report"]},
    )
    return influence, reference


def test_sizes_are_compared_with_the_whole_target(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(4, 6))
    whole, part = sized(matrix, [0.8, 0.9], [0.5, 0.7]), sized(-matrix, [0.6, 0.6], [0.2, 0.4])
    table = small_targets.compare(
        {"whole": 100, "part": 20},
        {"whole": whole[0], "part": part[0]},
        {"whole": whole[1], "part": part[1]},
        "whole",
    )
    assert table.target.tolist() == ["part", "whole"]
    assert table.agreement.tolist() == pytest.approx([-1, 1])
    assert table.gain.tolist() == pytest.approx([0.3, 0.25])
    assert table.gain_low[1] < 0.25 < table.gain_high[1]
    small_targets.write_small_targets(tmp_path / "s.h5", table)
    stored = labelled.read(tmp_path / "s.h5", SMALL_TARGETS)
    assert stored.gain.sel(target="part") == pytest.approx(0.3)
    assert stored.training_images.values.tolist() == [20, 100]


def test_a_planted_copy_is_found_and_flagged(textures, tmp_path):
    """The block that holds a target image's copy helps that image; the copy is pointed out."""
    made, train, val = textures
    blocks = [np.arange(start, start + 10) for start in range(0, 90, 10)]
    report = np.flatnonzero(made.val.halves == 1)
    rng = np.random.default_rng(0)
    effect = rng.normal(0, 0.05, (36, 9))
    effect[report[3], 4] = 2.0
    effect[report[5], 7] = -2.0
    effect[np.flatnonzero(made.val.halves == 0)[0], 0] = 9.0  # select half: must not be shown
    cells, folds = ("fold", "example", "source_class"), np.stack([effect, effect / 2])
    influence = xr.Dataset(
        {
            "effect_by_fold": (cells, folds),
            "effect_by_fold_se": (cells, np.full((2, 36, 9), 0.05)),
            "fold_df": ("fold", [100.0, 100.0]),
        },
        {
            "source_class": [f"block {b}" for b in range(9)],
            "example_half": ("example", np.array(["select", "report"])[made.val.halves]),
        },
    )
    same, _ = leakage.find_pairs(influence, 1, [np.arange(36)] * 9, val, val)
    assert [(p.end, p.block, p.example) for p in same] == [(0, 4, report[3]), (1, 7, report[5])]
    assert [p.effect for p in same] == [1.0, -1.0]  # by the fold that did not choose
    assert same[0].source_image == report[3]  # the image itself is in the "block"
    assert same[0].likeness == pytest.approx(1)
    other, baseline = leakage.find_pairs(influence, 2, blocks, train, val)
    table = leakage.table(other, influence, made, made, duplicate_from=0.999)
    assert table.block.tolist()[0] == "block 4"
    assert not table.near_duplicate.any()
    assert len(baseline) == 200
    assert other[0].source_image in blocks[4]
    leakage.write_leakage(tmp_path / "l.h5", baseline, table)
    stored = labelled.read(tmp_path / "l.h5", LEAKAGE)
    assert stored.block.values.tolist() == table.block.tolist()
    assert stored.effect_q.values.tolist() == table.q.tolist()
    assert stored.example.values[0] == made.val.ids[report[3]]
    assert stored.random_likeness.values.tolist() == baseline.tolist()
    assert isinstance(table, pd.DataFrame)


def test_pairs_are_stored_as_found_and_small_classes_leave_places_empty(textures, tmp_path):
    made, _, val = textures
    report = np.flatnonzero(made.val.halves == 1)
    pairs = [
        subpopulations.Pair("blobs", "cat", 0.5, *(np.array([report[:n], report[-n:]]) for _ in range(3)))
        for n in (3, 2)
    ]
    finer = pd.DataFrame([["blobs", "cat", 18, 6, 0.75, 0.5, 1.0, 0.7, 0.8]], columns=FINER_COLUMNS)
    path = tmp_path / "s.h5"
    subpopulations.write_subpopulations(path, pairs, finer, made, val)
    stored = labelled.read(path, SUBPOPULATIONS)
    assert stored.sizes["rank"] == 3
    for i, pair in enumerate(pairs):
        n = pair.examples.shape[1]
        cell = stored.isel(pair=i, rank=slice(n))
        assert (cell.position.values == pair.examples).all()
        assert cell.example.values.tolist() == [[made.val.ids[e] for e in end] for end in pair.examples]
        assert (cell.image.values == val.pick(pair.examples.ravel())[1].reshape(cell.image.shape)).all()
    assert stored.position[1, :, 2].values.tolist() == [-1, -1]
    assert stored.example[1, :, 2].values.tolist() == ["", ""]
    assert np.isnan(stored.effect_se[1, :, 2]).all()
    assert float(stored.finer_auroc.sel(finer_class="cat")) == 0.75
    subpopulations.draw(path, tmp_path / "s.png")
    assert stored.finer_auroc_by_fold.values.tolist() == [[0.7, 0.8]]
    subpopulations.write_subpopulations(tmp_path / "none.h5", [], finer[:0], made, val, "8 models")
    assert labelled.read(tmp_path / "none.h5", SUBPOPULATIONS).sizes["pair"] == 0
    assert labelled.read(tmp_path / "none.h5", SUBPOPULATIONS).attrs["missing"] == "8 models"
    subpopulations.draw(tmp_path / "none.h5", tmp_path / "none.png")
    assert (tmp_path / "s.png").stat().st_size > (tmp_path / "none.png").stat().st_size > 0


def test_failures_are_stored_as_found(textures, tmp_path):
    made, _, val = textures
    numbers = [np.array([-0.5, -0.25]), np.array([0.1, 0.2]), np.array([0.2, 0.4]), np.array([0.01, 0.5])]
    plain = failures.Failure(3, "blobs", "waves", 0.25, ["cat", "cow"], *numbers)
    interval, zero = Interval(0.4, 0.1, 0.7), Interval(0.0, -0.5, 0.5)
    tested = replace(plain, example=5, removed="cat", expected=Interval(0.5, 0.2, 0.8), change=interval)
    path, found = tmp_path / "f.h5", failures.Found([plain, tested], 4, 3, 0.5, interval, zero)
    failure_files.write_failures(path, found, made.val.ids, val)
    stored = labelled.read(path, FAILURES)
    assert stored.example.values.tolist() == [made.val.ids[3], made.val.ids[5]]
    assert stored.harmful.values.tolist() == [["cat", "cow"]] * 2
    assert stored.effect_q[1].values.tolist() == [0.01, 0.5]
    assert stored.removed.values.tolist() == ["", "cat"]
    assert np.isnan(stored.change[0])
    assert [float(stored[f"change{end}"][1]) for end in ("", "_low", "_high")] == [0.4, 0.1, 0.7]
    assert [float(stored[f"expected_change{end}"][1]) for end in ("", "_low", "_high")] == [0.5, 0.2, 0.8]
    assert [float(stored[n]) for n in ("mean_change", "placebo_change_high")] == [0.4, 0.5]
    assert (stored.attrs["choosing_models"], stored.attrs["reporting_models"]) == (4, 3)
    assert (stored.image.values == val.pick(np.array([3, 5]))[1]).all()
    failure_files.draw(found, path, tmp_path / "f.png", "margin")
    none = failures.Found([], missing="no models")
    failure_files.write_failures(tmp_path / "none.h5", none, made.val.ids, val)
    assert labelled.read(tmp_path / "none.h5", FAILURES).sizes["example"] == 0
    assert labelled.read(tmp_path / "none.h5", FAILURES).attrs["missing"] == "no models"
    failure_files.draw(none, tmp_path / "none.h5", tmp_path / "none.png", "margin")

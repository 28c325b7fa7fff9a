"""Analyses find what was planted in influences, summaries and images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from transferlens.analyses import failures, leakage, small_targets, subpopulations
from transferlens.analyses.artefacts import FAILURES, LEAKAGE, SMALL_TARGETS, SUBPOPULATIONS
from transferlens.core import labelled
from transferlens.core.statistics import Interval
from transferlens.data.index import Examples, Index

SOURCES, TARGETS, EXAMPLES = ["cat", "cow", "car"], ["animal", "thing"], 80
FINER = ["target_class", "source_class", "examples", "of_the_class", "auroc", "low", "high"]
OWN = ["cat", "cow", "car", "cup"]
CLASSES = np.arange(EXAMPLES) % 4
LABELS, HALVES = CLASSES // 2, (np.arange(EXAMPLES) // 4 % 2).astype(np.int8)


def influence_of(effect, se=0.05, df=100.0):
    effect = np.asarray(effect, float)
    return xr.Dataset(
        {
            "effect": (("example", "source_class"), effect),
            "effect_se": (("example", "source_class"), np.full(effect.shape, se)),
            "df": df,
        },
        {
            "source_class": SOURCES,
            "target_class": TARGETS,
            "example_class": ("example", np.array(TARGETS)[LABELS]),
            "example_half": ("example", np.array(["select", "report"])[HALVES]),
        },
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


def test_without_differences_beyond_noise_there_is_no_pair():
    assert subpopulations.find_pairs(influence_of(np.zeros((EXAMPLES, 3))), 3, 5) == []


def test_finer_classes_are_found_by_the_influence_of_their_name(planted, target):
    table = subpopulations.finer_classes(planted, target).set_index("source_class")
    assert table.index.tolist() == SOURCES  # `cup` is not in the source
    assert table.auroc["cat"] == 1
    assert table.low["cow"] < 0.5 < table.high["cow"]
    assert (table.examples == 20).all()
    assert (table.of_the_class == 10).all()


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
    return xr.Dataset(
        {
            "mask": (("model", "unit"), np.array(masks, bool)),
            "role": ("model", roles),
            "removed_by": ("model", removed_by),
            "p_true": (("model", "example"), p_true),
            "prediction": (("model", "example"), prediction),
            "correct": (("model", "example"), prediction == LABELS),
        },
        {"unit": SOURCES, "model": np.arange(len(roles))},
    )


def test_a_failure_is_traced_to_its_class_and_tested_by_the_models_without_it():
    """Example 5 (report half) is wrong because of `cow`; models without it get it right."""
    effect = np.zeros((EXAMPLES, 3))
    effect[5, 1], effect[1, 1] = -0.4, -0.9  # example 1 is of the select half
    wrong = LABELS.copy()
    wrong[[1, 5]] = 1 - wrong[[1, 5]]
    p_full = np.full((4, EXAMPLES), 0.9)
    p_full[:, 5] = [0.2, 0.3, 0.2, 0.3]
    full = summary_of(
        ["full", "scratch"] * 2, [""] * 4, [[1] * 3, [0] * 3] * 2, p_full, np.tile(wrong, (4, 1))
    )
    p_without = np.full((4, EXAMPLES), 0.9)
    p_without[:, 5] = [0.2, 0.6, 0.3, 0.7]
    predictions = np.stack([wrong, LABELS, wrong, LABELS])
    removals = summary_of(
        ["removal"] * 4,
        ["single"] * 4,
        [[0, 1, 1], [1, 0, 1]] * 2,
        p_without,
        predictions,
    )
    (found,) = failures.find_failures(influence_of(effect), full, removals, "p_true", count=5)
    assert (found.example, found.true, found.predicted, found.correct) == (5, "animal", "thing", 0)
    assert found.classes[0] == found.removed == "cow"
    assert found.expected == pytest.approx(0.4)
    assert found.change.value == pytest.approx(np.mean([0.6 - 0.2, 0.7 - 0.2]))
    assert (found.predicted_without, found.correct_without) == ("animal", 1)
    assert found.q[0] < 1e-4
    table = failures.table([found], [f"x/{i}" for i in range(EXAMPLES)])
    assert table.example.unique().tolist() == ["x/5"]


def test_failures_without_single_removals_name_their_classes_only():
    effect = np.zeros((EXAMPLES, 3))
    wrong = LABELS.copy()
    wrong[5] = 1 - wrong[5]
    full = summary_of(["full"], [""], [[1] * 3], np.full((1, EXAMPLES), 0.5), wrong[None])
    none = summary_of(["removal"], ["top"], [[0, 1, 1]], np.full((1, EXAMPLES), 0.5), wrong[None])
    for removals in (none, None):
        (found,) = failures.find_failures(influence_of(effect), full, removals, "p_true", count=5)
        assert found.removed is None
        assert found.change is None


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
    influence = xr.Dataset(
        {
            "effect": (("example", "source_class"), effect),
            "effect_se": (("example", "source_class"), np.full((36, 9), 0.05)),
            "df": 100.0,
        },
        {
            "source_class": [f"block {b}" for b in range(9)],
            "example_half": ("example", np.array(["select", "report"])[made.val.halves]),
        },
    )
    same, _ = leakage.find_pairs(influence, 1, [np.arange(36)] * 9, val, val)
    assert [(p.end, p.block, p.example) for p in same] == [(0, 4, report[3]), (1, 7, report[5])]
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
    finer = pd.DataFrame([["blobs", "cat", 18, 6, 0.75, 0.5, 1.0]], columns=FINER)
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
    subpopulations.write_subpopulations(tmp_path / "none.h5", [], finer[:0], made, val)
    assert labelled.read(tmp_path / "none.h5", SUBPOPULATIONS).sizes["pair"] == 0
    subpopulations.draw(tmp_path / "none.h5", tmp_path / "none.png")
    assert (tmp_path / "s.png").stat().st_size > (tmp_path / "none.png").stat().st_size > 0


def test_failures_are_stored_as_found(textures, tmp_path):
    made, _, val = textures
    numbers = [np.array([-0.5, -0.25]), np.array([0.1, 0.2]), np.array([0.2, 0.4]), np.array([0.01, 0.5])]
    plain = failures.Failure(3, "blobs", "waves", 0.25, ["cat", "cow"], *numbers)
    tested = replace(plain, example=5, removed="cat", expected=0.5, change=Interval(0.4, 0.1, 0.7))
    path = tmp_path / "f.h5"
    failures.write_failures(path, [plain, tested], made.val.ids, val)
    stored = labelled.read(path, FAILURES)
    assert stored.example.values.tolist() == [made.val.ids[3], made.val.ids[5]]
    assert stored.harmful.values.tolist() == [["cat", "cow"]] * 2
    assert stored.effect_q[1].values.tolist() == [0.01, 0.5]
    assert stored.removed.values.tolist() == ["", "cat"]
    assert np.isnan(stored.change[0])
    assert [float(stored[f"change{end}"][1]) for end in ("", "_low", "_high")] == [0.4, 0.1, 0.7]
    assert (stored.image.values == val.pick(np.array([3, 5]))[1]).all()
    failures.draw([plain, tested], path, tmp_path / "f.png", "margin")
    failures.write_failures(tmp_path / "none.h5", [], made.val.ids, val)
    assert labelled.read(tmp_path / "none.h5", FAILURES).sizes["example"] == 0

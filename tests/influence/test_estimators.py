"""Influence estimates against hand computation, scipy, and planted truths."""

from itertools import combinations

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from transferlens.errors import DataError
from transferlens.influence import estimators
from transferlens.statistics import t_interval

MASKS = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)


def random_case(models=40, classes=6, outputs=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((models, classes)) < 0.5, rng.normal(size=(models, outputs))


def test_four_models_by_hand():
    found = estimators.difference_of_means(MASKS, np.array([[1.0], [5.0], [2.0], [0.0]]))
    # Class 0: means 3 and 1, variances 8 and 2; class 1: means 3.5 and 0.5, variances 4.5 and 0.5.
    np.testing.assert_allclose(found.effect, [[2.0, 3.0]], rtol=1e-6)
    np.testing.assert_allclose(found.se, np.sqrt([[8 / 2 + 2 / 2, 4.5 / 2 + 0.5 / 2]]), rtol=1e-6)


def test_agrees_with_welchs_test():
    masks, outputs = random_case()
    found = estimators.difference_of_means(masks, outputs)
    for c in range(masks.shape[1]):
        expected = stats.ttest_ind(outputs[masks[:, c]], outputs[~masks[:, c]], equal_var=False)
        np.testing.assert_allclose(found.effect[:, c] / found.se[:, c], expected.statistic, rtol=1e-4)
        np.testing.assert_allclose(found.df[:, c], expected.df, rtol=1e-4)
        np.testing.assert_allclose(found.p()[:, c], expected.pvalue, rtol=1e-3)


def test_order_of_models_does_not_matter():
    masks, outputs = random_case()
    order = np.random.default_rng(1).permutation(len(masks))
    one = estimators.difference_of_means(masks, outputs)
    other = estimators.difference_of_means(masks[order], outputs[order])
    np.testing.assert_allclose(one.effect, other.effect, atol=1e-6)
    np.testing.assert_allclose(one.se, other.se, atol=1e-6)


def test_a_large_offset_does_not_cancel():
    masks, outputs = random_case()
    plain = estimators.difference_of_means(masks, outputs)
    shifted = estimators.difference_of_means(masks, (outputs + 1e4).astype(np.float32))
    np.testing.assert_allclose(shifted.effect, plain.effect, atol=2e-3)  # float32 resolves 1e-3 at 1e4
    np.testing.assert_allclose(shifted.se, plain.se, rtol=1e-2)


def test_blocks_give_what_the_whole_gives(tmp_path, monkeypatch):
    masks, outputs = random_case(outputs=23)
    monkeypatch.setattr(estimators, "_MODELS_A_BLOCK", 7)
    monkeypatch.setattr(estimators, "_EXAMPLES_A_BLOCK", 5)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = file.create_dataset("x", data=outputs.astype(np.float32))
        blocks = list(estimators.blockwise(masks, stored))
        labels, halves = np.arange(23) % 3, np.arange(23) % 2
        by_class, overall = estimators.model_means(stored, labels, halves, 3)
    whole = estimators.difference_of_means(masks, outputs)
    np.testing.assert_allclose(np.concatenate([e.effect for _, e in blocks]), whole.effect, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([e.se for _, e in blocks]), whole.se, atol=1e-5)
    table = pd.DataFrame(outputs.T).groupby([halves, labels]).mean()
    np.testing.assert_allclose(by_class.reshape(len(masks), 6).T, table, atol=1e-5)
    np.testing.assert_allclose(overall.T, pd.DataFrame(outputs.T).groupby(halves).mean(), atol=1e-5)


def test_fixed_size_influences_sum_to_zero_over_all_subsets():
    masks = np.array([[c in kept for c in range(6)] for kept in combinations(range(6), 3)])
    anything = np.random.default_rng(0).normal(size=(len(masks), 4))
    found = estimators.difference_of_means(masks, anything)
    np.testing.assert_allclose(found.effect.sum(1), 0, atol=1e-5)


def test_all_subsets_recover_additive_effects_exactly():
    masks = np.array(np.meshgrid(*[[False, True]] * 5)).reshape(5, -1).T
    weights = np.array([[0.5, -2.0, 0.0, 1.0, 3.0]])
    found = estimators.difference_of_means(masks, masks @ weights.T)
    np.testing.assert_allclose(found.effect, weights, atol=1e-5)


def test_intervals_cover_the_truth_at_their_level():
    """Bernoulli masks and unequal noise: 400 repetitions of 6 classes cover 95 % within binomial reach."""
    rng, weights, hits = np.random.default_rng(0), np.array([0.4, -0.3, 0.0, 1.0, 0.0, 0.2]), 0
    for _ in range(400):
        masks = rng.random((64, 6)) < 0.5
        noise = rng.normal(size=64) * np.where(masks[:, 0], 2.0, 0.5)
        found = estimators.difference_of_means(masks, (masks @ weights + noise)[:, None])
        interval = t_interval(found.effect, found.se, found.df)
        hits += int(((interval.low < weights) & (weights < interval.high)).sum())
    assert 0.935 < hits / 2400 < 0.965


def test_a_constant_output_has_no_evidence():
    masks, outputs = random_case(outputs=1)
    found = estimators.difference_of_means(masks, np.ones_like(outputs))
    assert (found.effect == 0).all()
    assert (found.p() == 1).all()


def test_a_class_seen_by_one_model_is_named():
    masks = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 0]], bool)
    with pytest.raises(DataError, match="influence of 'bag' cannot be estimated: 1 of 5"):
        estimators.check_masks(masks, ["digit", "bag"])

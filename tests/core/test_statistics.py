"""Tests and bootstraps against scipy and closed forms."""

import numpy as np
import pytest
from scipy import stats

from transferlens.core import statistics


def test_a_permutation_counts_the_observed_one():
    permuted = np.array([[1.0], [2.0], [3.0]])
    assert statistics.permutation_p(np.array([2.0]), permuted) == 3 / 4
    assert statistics.permutation_p(np.array([9.0]), permuted) == 1 / 4


def test_an_roc_area_counts_pairs_in_order_and_ties_half():
    place = statistics.dense_ranks(np.array([0.1, 0.4, 0.4, 0.8]))
    failed = np.array([False, True, False, True])
    assert statistics.roc_area(place, failed, np.ones(4)) == pytest.approx((1.5 + 2) / 4)
    # A weight counts an example so many times, as a bootstrap does.
    assert statistics.roc_area(place, failed, np.array([1, 2, 0, 1])) == pytest.approx(1.0)


def test_an_roc_area_is_mann_and_whitneys():
    rng = np.random.default_rng(0)
    values, positive = rng.integers(0, 9, 80), rng.random(80) < 0.4
    u = stats.mannwhitneyu(values[positive], values[~positive]).statistic
    area = statistics.roc_area(statistics.dense_ranks(values), positive, np.ones(80))
    assert area == pytest.approx(u / (positive.sum() * (~positive).sum()))


def test_rank_correlations_are_spearmans():
    first, second = np.random.default_rng(0).integers(0, 6, (2, 4, 30)).astype(float)
    first[3] = 1.0
    expected = [stats.spearmanr(*pair).statistic for pair in zip(first[:3], second, strict=False)]
    found = statistics.rank_correlations(first, second)
    np.testing.assert_allclose(found[:3], expected)
    assert np.isnan(found[3])


@pytest.mark.parametrize("units", [2, 3, 8, 50])
def test_a_bootstrap_of_few_units_has_the_unbiased_standard_error(units):
    values = np.random.default_rng(units).normal(size=units)
    counts = statistics.bootstrap_counts(units, 20_000, np.random.default_rng(0))
    means = counts @ values / counts.sum(1)
    assert means.std() == pytest.approx(values.std(ddof=1) / np.sqrt(units), rel=0.03)
    assert means.mean() == pytest.approx(values.mean(), abs=4 * means.std() / np.sqrt(20_000))


def test_a_bootstrap_of_one_unit_draws_it():
    assert statistics.bootstrap_counts(1, 3, np.random.default_rng(0)).tolist() == [[1], [1], [1]]


@pytest.mark.parametrize("replicates", [1, 4])
def test_replicates_do_not_depend_on_how_many_are_drawn_at_once(replicates):
    rng = np.random.default_rng(0)
    drawn = np.concatenate([statistics.bootstrap_counts(7, replicates, rng) for _ in range(8 // replicates)])
    np.testing.assert_array_equal(drawn, statistics.bootstrap_counts(7, 8, np.random.default_rng(0)))


def test_cells_that_were_not_tested_do_not_count_in_the_correction():
    p = np.array([[0.01, np.nan], [0.04, 0.03]])
    expected = stats.false_discovery_control([0.01, 0.04, 0.03])
    found = statistics.q_values(p)
    np.testing.assert_allclose([found[0, 0], found[1, 0], found[1, 1]], expected)
    assert np.isnan(found[0, 1])
    assert np.isnan(statistics.q_values(np.full(3, np.nan))).all()

"""Tests and bootstraps against scipy and closed forms."""

import numpy as np
import pytest
from scipy import stats

from transferlens.core import statistics


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 5), (9, 2), (0, 8), (31, 14)])
def test_mcnemar_is_the_binomial_test(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert statistics.mcnemar_p(np.array(first), np.array(second)) == pytest.approx(expected)


def test_sign_flips_of_few_values_are_exact():
    values, rng = np.array([0.5, 1.1, -0.2, 0.9, 0.7]), np.random.default_rng(0)
    exact = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert statistics.sign_flip_p(values, 100, rng) == pytest.approx(exact.pvalue)
    assert statistics.sign_flip_p(np.ones(6), 64, rng) == 2 / 64


def test_sign_flips_of_many_values_agree_with_the_exact_ones():
    values = np.random.default_rng(1).normal(0.4, 1, 16)
    exact = statistics.sign_flip_p(values, 2**16, np.random.default_rng(2))
    drawn = statistics.sign_flip_p(values, 20_000, np.random.default_rng(2))
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert statistics.sign_flip_p(np.ones(40), 999, np.random.default_rng(3)) == 1 / 1000


def test_a_permutation_counts_the_observed_one():
    permuted = np.array([[1.0], [2.0], [3.0]])
    assert statistics.permutation_p(np.array([2.0]), permuted) == 3 / 4
    assert statistics.permutation_p(np.array([9.0]), permuted) == 1 / 4


def bootstrap_se(values, factors):
    weights = statistics.pigeonhole_weights(factors, 4000, np.random.default_rng(0))
    return ((weights @ values) / weights.sum(1)).std()


def test_images_used_once_are_drawn_once():
    values = np.random.default_rng(1).normal(size=200)
    closed = values.std() / np.sqrt(200)
    once = np.arange(200)
    assert bootstrap_se(values, [once, once[::-1]]) == pytest.approx(closed, rel=0.05)
    # Pairs of values on one background: its clusters alone are drawn, whatever is pasted on it.
    pairs, of_pairs = once // 2, values.reshape(-1, 2).mean(1)
    assert bootstrap_se(values, [pairs, once]) == pytest.approx(of_pairs.std() / 10, rel=0.05)


def test_crossed_images_are_drawn_separately():
    """Backgrounds and overlays that vary: the error of the mean has a part of each."""
    rng = np.random.default_rng(2)
    rows, columns = np.divmod(np.arange(30 * 20), 20)
    row_effects, column_effects = rng.normal(size=30), rng.normal(size=20)
    values = row_effects[rows] + column_effects[columns]
    closed = np.sqrt(row_effects.var() / 30 + column_effects.var() / 20)
    assert bootstrap_se(values, [rows, columns]) == pytest.approx(closed, rel=0.07)


def test_cells_that_were_not_tested_do_not_count_in_the_correction():
    p = np.array([[0.01, np.nan], [0.04, 0.03]])
    expected = stats.false_discovery_control([0.01, 0.04, 0.03])
    found = statistics.q_values(p)
    np.testing.assert_allclose([found[0, 0], found[1, 0], found[1, 1]], expected)
    assert np.isnan(found[0, 1])
    assert np.isnan(statistics.q_values(np.full(3, np.nan))).all()

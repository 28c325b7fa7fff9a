"""Means and correlations over models, against plain computations."""

import numpy as np
import pytest
import scipy

from transferlens.relatedness.means import correlation, over_models


def test_without_images_it_is_students_interval_of_the_models():
    values = np.array([1.0, 2.0, 4.0])
    found = over_models(values, np.zeros(3))
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(7 / 3)


def test_one_model_or_equal_ones_have_the_interval_of_the_images():
    for models in (1, 3):
        found = over_models(np.full(models, 2.0), np.full(models, 0.3))
        assert (found.low, found.high) == pytest.approx((1.7, 2.3))


def test_what_neither_models_nor_images_vary_has_no_interval():
    found = over_models(np.zeros((4, 2)), np.zeros((4, 2)))
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_an_interval_covers_means_of_other_models_on_other_images():
    """Models of spread 1, an error of .5 of the images that all share, none of their own."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        values = rng.normal(0, 1, 6) + rng.normal(0, 0.5)
        found = over_models(values, np.full(6, 0.5 * 1.96))
        covered += found.low <= 0 <= found.high
    assert 930 <= covered <= 980


def test_a_correlation_is_told_of_five_models_or_more():
    x = np.array([1.0, 2, 3, 4, 5, 6])
    value, low, high = correlation(x, np.array([1.0, 3, 2, 5, 4, 6]))
    assert value == pytest.approx(np.corrcoef(x, [1, 3, 2, 5, 4, 6])[0, 1])
    assert low < value < high <= 1
    assert np.isnan(correlation(x[:4], x[:4])).all()
    assert np.isnan(correlation(x, np.ones(6))).all()

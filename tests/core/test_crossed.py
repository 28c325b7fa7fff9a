"""Means over models and images: exact small cases, and what their intervals cover."""

import numpy as np
import pytest
from scipy import stats

from transferlens.core.crossed import centred_class_means, crossed_mean, crossed_ratio


def images(count):
    return [np.arange(count)]


def ones(values):
    return np.ones(values.shape)


@pytest.mark.parametrize("models", [2, 3, 7])
def test_where_only_models_matter_it_is_the_t_test_of_their_means(models):
    of_models = np.random.default_rng(0).normal(size=models)
    values = np.repeat(of_models[:, None], 9, axis=1)
    found = crossed_mean(values, ones(values), images(9))
    expected = stats.ttest_1samp(of_models, 0)
    interval = expected.confidence_interval()
    assert (found.value, found.df, found.models) == (pytest.approx(of_models.mean()), models - 1, models)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.p == pytest.approx(expected.pvalue)


def test_where_only_images_matter_it_is_the_t_test_of_their_means():
    of_images = np.random.default_rng(1).normal(size=9)
    values = np.repeat(of_images[None], 40, axis=0)
    found = crossed_mean(values, ones(values), images(9))
    assert found.p == pytest.approx(stats.ttest_1samp(of_images, 0).pvalue, rel=0.1)
    # Images that lie within another factor's levels, and are alike there, are counted by these.
    values = np.repeat(of_images[None, :3], 40, axis=0).repeat(3, axis=1)
    inside = crossed_mean(values, ones(values), [np.arange(9), np.arange(9) // 3])
    by_three = of_images[:3]
    assert inside.se == pytest.approx(by_three.std(ddof=1) / np.sqrt(3), rel=0.02)


def test_the_variance_is_that_of_crossed_clusters():
    """By hand: of models, of images, minus of both, each with its correction for few clusters."""
    values = np.random.default_rng(2).normal(size=(4, 6)) + 3 * np.arange(4)[:, None] + 4 * np.arange(6)
    share = (values - values.mean()) / values.size
    parts = [share.sum(1), share.sum(0), share.ravel()]
    expected = [len(p) / (len(p) - 1) * (p**2).sum() for p in parts]
    found = crossed_mean(values, ones(values), images(6))
    assert found.se**2 == pytest.approx(expected[0] + expected[1] - expected[2])


def test_values_of_no_weight_are_not_looked_at():
    rng = np.random.default_rng(3)
    values, weights = rng.normal(size=(5, 8)), (rng.random((5, 8)) < 0.7).astype(float)
    again = np.where(weights > 0, values, np.nan)
    found, other = (crossed_mean(v, weights, images(8)) for v in (values, again))
    assert found == other
    assert found.value == pytest.approx(values[weights > 0].mean())
    weights[3] = 0
    assert crossed_mean(values, weights, images(8)).models == 4


def test_a_ratio_has_the_error_of_the_mean_it_is():
    rng = np.random.default_rng(4)
    values, weights = rng.normal(size=(5, 8)), rng.integers(1, 4, (5, 8)).astype(float)
    assert crossed_ratio(values * weights, weights, images(8)) == crossed_mean(values, weights, images(8))
    nothing = crossed_ratio(values, 0 * values, images(8))
    assert np.isnan([nothing.value, nothing.se, nothing.p]).all()


def test_too_few_tell_no_error():
    values = np.random.default_rng(5).normal(size=(3, 4))
    for few in (values[:1], values[:, :1]):
        found = crossed_mean(few, ones(few), images(few.shape[1]))
        assert found.value == pytest.approx(few.mean())
        assert np.isnan([found.se, found.df, found.low, found.high, found.p]).all()
    for value in (0.25, 0.0):
        alike = crossed_mean(np.full((3, 4), value), np.ones((3, 4)), images(4))
        assert alike.value == value
        assert np.isnan([alike.se, alike.low, alike.p]).all()


@pytest.mark.parametrize("models", [2, 3, 12])
def test_p_is_below_one_in_twenty_exactly_where_the_interval_leaves_zero_out(models):
    rng = np.random.default_rng(models)
    for _ in range(300):
        values = rng.normal(rng.normal(), rng.random(), (models, 6)) + rng.normal(size=(models, 1))
        found = crossed_mean(values, (rng.random((models, 6)) < 0.8) * 1.0, [np.arange(6), np.arange(6) % 3])
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_class_means_are_those_of_the_images_of_a_class_minus_their_mean():
    rng, labels = np.random.default_rng(6), np.repeat([0, 1, 2], [4, 6, 5])
    values = rng.normal(size=(4, 15, 2))
    found = centred_class_means(values, labels, 3)
    means = np.stack([values[:, labels == c].mean(1) for c in range(3)], axis=1)  # [models, classes, columns]
    centred = means - means.mean(1, keepdims=True)
    np.testing.assert_allclose(found.value, centred.mean(0))
    # Of one model after another without any spread between images, the t-test of models.
    flat = np.repeat(means, [4, 6, 5], axis=1)
    alike = centred_class_means(flat, labels, 3)
    expected = stats.ttest_1samp(centred, 0)
    np.testing.assert_allclose(alike.p, expected.pvalue)
    np.testing.assert_allclose(alike.low, expected.confidence_interval().low)


def test_the_error_of_a_class_mean_is_that_of_its_images_and_a_little_of_all_others():
    labels = np.repeat(np.arange(5), 12)
    of_images = np.random.default_rng(7).normal(size=(1, 60, 1)) * (1 + labels)[None, :, None]
    found = centred_class_means(np.repeat(of_images, 6, axis=0), labels, 5)
    own = np.array([of_images[0, labels == c, 0].var(ddof=1) / 12 for c in range(5)])
    expected = own * (1 - 1 / 5) ** 2 + (own.sum() - own) / 25
    np.testing.assert_allclose(found.se[:, 0] ** 2, expected)


def crossed(rng, models, units, of_models, of_images, noise):
    """Values [models, units] of mean zero, by variances of models, of images and of what both do together."""
    return (
        rng.normal(0, of_models**0.5, (models, 1))
        + rng.normal(0, of_images**0.5, units)
        + rng.normal(0, noise**0.5, (models, units))
    )


@pytest.mark.parametrize(
    ("models", "variances", "most"),
    [
        (3, (0.015, 0.007, 0.056), 0.97),
        (4, (0.015, 0.007, 0.056), 0.97),
        (12, (0.015, 0.007, 0.056), 0.97),
        (4, (0.03, 0, 0.02), 0.97),
        (4, (0, 0.03, 0.02), 0.97),
        (4, (0, 0, 0.05), 1),  # noise alone makes them too wide
        (2, (0.03, 0, 0.02), 1),
    ],
)
def test_intervals_cover_the_mean_of_other_models_and_images(models, variances, most):
    """The first variances are those of interference in the default study; .93 to .97, plus two errors."""
    rng, covered, runs = np.random.default_rng(0), 0, 1000
    for _ in range(runs):
        values = crossed(rng, models, 20, *variances)
        weights = (rng.random((models, 20)) < 0.8) * 1.0
        found = crossed_mean(values, weights, [np.arange(20), rng.permutation(20)])
        covered += found.low <= 0 <= found.high
    assert 0.93 - 0.015 < covered / runs < most + 0.015

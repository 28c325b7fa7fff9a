"""Scores of the digits against numbers that the published implementations give."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from tests.scores.candidates import digits
from transferlens.scores import etran, fisher, gbc, knn, ncti, nleep, otce, pactran, parc, ped, transrate
from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import class_sums
from transferlens.scores.nce import conditional_entropy
from transferlens.scores.registry import SCORES

IMAGES = 1797

GOLDEN = {  # name: (value or parts, relative tolerance)
    "leep": (-1.8516827541291467, 1e-9),
    "nce": (-1.5669537744141326, 1e-9),
    "hscore": (5.917909336695526, 1e-6),
    "hscore_regularised": (5.851432997953625, 1e-6),
    "logme": (0.2702776269748767, 1e-5),
    "transrate": (29.83988507202541, 1e-8),
    "transrate_normalised": (0.4443362617506008, 1e-8),
    "sfda": (0.8032411162790368, 1e-4),
    "parc": (27.094201244626042, 1e-2),
    "pactran_gauss": (-0.42778, 1e-2),
    "pactran_dirichlet": (-0.1760723045682313, 1e-6),
    "pactran_gamma": (-1.1679921394338513, 1e-6),
    "energy": (3.971657826384055, 1e-9),
    "knn_1": (1776 / IMAGES, 1e-12),
    "knn_5": (1775 / IMAGES, 1e-12),
    "knn_20": (1762 / IMAGES, 1e-12),
    "knn_1_cosine": (1777 / IMAGES, 1e-12),
    "knn_5_cosine": (1775 / IMAGES, 1e-12),
    "knn_20_cosine": (1756 / IMAGES, 1e-12),
    "knn_20_weighted": (0.9827490262, 1e-9),
    "ped_logme": (0.3098164628, 1e-6),
    "ped_sfda": (0.8353223534, 1e-6),
    "etran": ((0.9587802552, 4.4476628593), 1e-9),
    "etran_released": ((0.4326735078, 4.4476628593), 1e-9),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_score_is_the_published_one(name):
    expected, tolerance = GOLDEN[name]
    assert SCORES[name].measure(digits()) == pytest.approx(expected, rel=tolerance)


def test_sfda_shrinks_as_published():
    assert fisher.discriminant(digits()).shrinkage == pytest.approx(0.20034213373576215, rel=1e-9)


def test_entropy_of_soft_source_classes():
    theta = np.exp(digits().logits) / np.exp(digits().logits).sum(1, keepdims=True)
    joint = class_sums(theta, digits().labels, 10).T / IMAGES
    assert -conditional_entropy(joint) == pytest.approx(-2.0025954496808565, rel=1e-6)


def test_transrate_with_classes_weighing_the_same():
    reduction = transrate.total_rate(digits(), 1.0) - transrate.class_rates(digits(), 1.0).mean()
    assert reduction == pytest.approx(29.82833309052097, rel=1e-8)


@pytest.mark.parametrize(
    ("spherical", "expected"), [(True, 0.04573179842457058), (False, 0.0027073507794912626)]
)
def test_overlap_of_classes_in_pixels(spherical, expected):
    means, variances = gbc.class_gaussians(digits().features, digits().labels, 10)
    variances = gbc.alike(variances) if spherical else variances
    assert gbc.overlap(means, variances) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("metric", "k", "correct"),
    [("euclidean", 10, 1770), ("cosine", 10, 1771), ("euclidean", 100, None)],
)
def test_neighbours_of_other_numbers(metric, k, correct):
    near = knn.neighbours(digits().features, k, metric)
    right = int((knn.vote(digits().labels[near.rows]) == digits().labels).sum())
    assert right == correct if correct else 1617 < right < 1762  # between those of 200 and 20


def test_parc_with_the_published_projection():
    projected = PCA(32, svd_solver="randomized", random_state=1919).fit_transform(digits().features)
    found = 100 * parc.spearman(projected / projected.std(0), digits().labels)
    assert found == pytest.approx(27.094201244626042, rel=1e-2)


@pytest.mark.parametrize(
    ("prior", "least", "bound"), [(10, 0.06472, 0.32765), (1, 0.19953, 0.42778), (0.1, 0.57168, 0.76392)]
)
def test_pactran_at_all_published_priors(prior, least, bound):
    found = pactran.gauss_bound(digits().moments, digits().labels, prior, 10 * prior)
    assert found == pytest.approx((bound, least), rel=1e-2)


@pytest.mark.large
def test_nleep_by_mean_probability_is_in_the_published_range():
    theta = nleep.memberships(digits())
    joint = class_sums(theta, digits().labels, 10)
    likelihood = (theta * (joint / joint.sum(0))[digits().labels]).sum(1)
    assert 0.88 < likelihood.mean() < 0.95


def test_ncti_and_its_pool():
    pixels, labels = digits().features, digits().labels
    head = np.sin(0.7 * np.outer(np.arange(1, 65), np.arange(1, 97)))
    bent = np.tanh((pixels - pixels.mean(0)) @ head / 4)
    both = np.hstack([pixels > 0.5, np.cos(pixels @ head[:, :32])])
    parts = np.array([ncti.ncti(Candidate(x, labels, 10)) for x in (pixels, bent, both)])
    expected = [
        [666.4843245585, 0.9599181919, 5.1077069717],
        [722.4280026001, 0.9537479098, 5.1494713228],
        [654.7819897468, 0.9357495331, 5.1994973962],
    ]
    np.testing.assert_allclose(parts, expected, rtol=1e-5)
    np.testing.assert_allclose(ncti.pooled(parts), [1.1729937, 1.2897022, -1], rtol=1e-5)


def test_etran_energy_of_all_images():
    assert np.logaddexp.reduce(digits().features, axis=1).mean() == pytest.approx(4.5396842092, rel=1e-9)
    assert etran.energy(digits().features) == pytest.approx(4.4476628593, rel=1e-9)


def test_the_first_push_and_a_reach_at_which_nothing_touches():
    source = digits().source[0]
    scaled = (digits().features - source.mean(0)) / np.maximum(source.std(0), 1e-3)
    first = ped.push(*ped.balls(scaled, digits()), 0.6)
    assert np.abs(first).sum() == pytest.approx(2.8662989490, rel=1e-9)
    still = ped.pushed_apart(digits(), 0.3)
    np.testing.assert_array_equal(still.features, digits().features)


def test_transport_between_two_parts_of_the_digits():
    x, y = digits().features, digits().labels
    found = otce.differences(x[:600], y[:600], x[600:1200], y[600:1200])
    assert found.domain == pytest.approx(2.3734830729166667, rel=1e-8)
    assert found.task == pytest.approx(0.568152184304799, rel=1e-3)

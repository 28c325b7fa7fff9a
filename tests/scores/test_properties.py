"""Scores in cases whose answer is known, under changes that must not matter, and against other libraries."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment, minimize
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from tests.scores.candidates import gaussian
from transferlens.scores import (
    fisher,
    hscore,
    knn,
    leep,
    logme,
    mixture,
    moments,
    nce,
    otce,
    pactran,
    parc,
    sfda,
)
from transferlens.scores.candidate import Candidate
from transferlens.scores.pooling import minmax
from transferlens.scores.registry import SCORES

ONE_HOT = np.eye(3)[np.arange(30) % 3]


def score(name, candidate):
    return np.atleast_1d(SCORES[name].measure(candidate))


def test_source_classes_that_are_the_target_classes():
    certain = Candidate(ONE_HOT, np.arange(30) % 3, 3, logits=1e4 * ONE_HOT)
    assert nce.nce(certain) == leep.leep(certain) == 0


def test_source_classes_that_know_nothing():
    ignorant = Candidate(ONE_HOT, np.arange(30) % 3, 3, logits=np.zeros((30, 5)))
    assert nce.nce(ignorant) == pytest.approx(-np.log(3))
    assert leep.leep(ignorant) == pytest.approx(-np.log(3))


def test_a_source_class_without_any_mass_changes_nothing():
    candidate = gaussian()
    empty = np.full((len(candidate.labels), 1), -1e6)
    more = replace(candidate, logits=np.hstack([candidate.logits, empty]))
    assert leep.leep(more) == pytest.approx(leep.leep(candidate), rel=1e-12)


def test_hscore_of_features_that_are_the_classes():
    collapsed = Candidate(ONE_HOT, np.arange(30) % 3, 3)
    assert hscore.hscore(collapsed) == pytest.approx(2)


@pytest.mark.parametrize("name", ["gbc", "gbc_diagonal"])
def test_overlap_of_the_same_and_of_distant_classes(name):
    cloud = np.random.default_rng(0).normal(size=(20, 5))
    labels = np.repeat(np.arange(3), 20)
    assert score(name, Candidate(np.tile(cloud, (3, 1)), labels, 3)) == pytest.approx(-6)
    distant = np.tile(cloud, (3, 1)) + 1e3 * labels[:, None]
    assert score(name, Candidate(distant, labels, 3)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, s in SCORES.items()
        if s.reads_features and not s.pooled and n not in ("f_otce", "otce_domain")
    ],
)
def test_better_features_score_higher(name):
    assert score(name, gaussian(apart=3.0)) > score(name, gaussian(apart=0.0))


_BY_SEED = {"nleep"}  # k-means starts at images by their place


@pytest.mark.parametrize("name", sorted(SCORES.keys() - _BY_SEED))
def test_the_order_of_images_and_the_names_of_classes_do_not_matter(name):
    candidate = gaussian()
    rng = np.random.default_rng(1)
    rows, classes = rng.permutation(len(candidate.labels)), rng.permutation(candidate.classes)
    changed = Candidate(
        candidate.features[rows], classes[candidate.labels[rows]], 4, candidate.logits[rows], candidate.source
    )
    assert score(name, changed) == pytest.approx(score(name, candidate), rel=1e-6)


_TURNED = [
    "hscore", "hscore_regularised", "logme", "transrate", "transrate_normalised", "gbc", "gbc_diagonal",
    "knn_1", "knn_5_cosine", "pactran_gauss", "ncti",
]  # fmt: skip


@pytest.mark.parametrize("name", _TURNED)
def test_turned_features_score_the_same(name):
    candidate = gaussian()
    turn = stats.ortho_group.rvs(12, random_state=0)
    turned = replace(candidate, features=candidate.features @ turn)
    assert score(name, turned) == pytest.approx(score(name, candidate), rel=1e-5)


@pytest.mark.parametrize(
    "name", ["hscore", "logme", "transrate", "gbc_diagonal", "knn_20", "parc", "etran_released"]
)
def test_more_features_than_images_by_the_other_gram_matrix(name):
    """Features that are always 0 say nothing, but make more features than images."""
    candidate = gaussian(images=40)
    wide = np.hstack([candidate.features, np.zeros((40, 50))])
    found = score(name, replace(candidate, features=wide, source=None))
    assert found[0] == pytest.approx(score(name, candidate)[0], rel=1e-6)


@pytest.mark.parametrize("dimensions", [12, 90])
def test_sfda_by_two_discriminants_of_another_library(dimensions):
    candidate = gaussian(images=60, dimensions=dimensions)
    x, y = candidate.features, candidate.labels
    shrinkage = fisher.discriminant(candidate).shrinkage
    within = np.cov((x - np.stack([x[y == c].mean(0) for c in range(4)])[y]).T, bias=True)
    assert shrinkage == pytest.approx(published_shrinkage(within), rel=1e-8)
    first = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(fisher.discriminant(candidate).probabilities, first, atol=1e-9)
    sure = (np.exp(first) / np.exp(first).sum(1, keepdims=True))[np.arange(60), y][:, None]
    means = np.stack([x[y == c].mean(0) for c in range(4)])
    others = np.stack([np.delete(means, c, axis=0).mean(0) for c in range(4)])
    moved = sure * x + (1 - sure) * others[y]
    second = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(moved, y)
    assert sfda.sfda(candidate) == pytest.approx(second.predict_proba(moved)[np.arange(60), y].mean())


def published_shrinkage(covariance):
    ahead = covariance.sum(1)
    for _ in range(6):
        behind = covariance @ ahead / np.linalg.norm(covariance @ ahead)
        ahead, behind = behind, ahead / np.linalg.norm(ahead)
    return max(np.exp(-5 * ahead @ covariance @ behind), 1e-10)


def test_logme_is_the_largest_evidence_of_the_model():
    candidate = gaussian(images=40, dimensions=5, apart=3.0)
    x, y = candidate.features, np.eye(4)[candidate.labels]

    def minus_evidence(logs, c):
        covariance = x @ x.T / np.exp(logs[0]) + np.eye(40) / np.exp(logs[1])
        return -stats.multivariate_normal(np.zeros(40), covariance).logpdf(y[:, c])

    best = [-minimize(minus_evidence, [0, 1], args=(c,), method="Nelder-Mead").fun for c in range(4)]
    assert logme.logme(candidate) == pytest.approx(np.mean(best) / 40, abs=1e-5)


def test_shrinkage_of_the_covariance():
    candidate = gaussian()
    assert hscore.ledoit_wolf(candidate) == pytest.approx(LedoitWolf().fit(candidate.features).shrinkage_)


def test_coding_rates_by_the_definition():
    candidate = gaussian(images=30)
    centred = candidate.features - candidate.features.mean(0)

    def rate(rows):
        return np.linalg.slogdet(np.eye(12) + rows.T @ rows / (len(rows) * 1e-4))[1] / 2

    classes = [centred[candidate.labels == c] for c in range(4)]
    expected = rate(centred) - sum(len(rows) / 30 * rate(rows) for rows in classes)
    assert score("transrate", candidate) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_of_another_library(metric):
    candidate = gaussian(images=200)
    fitted = KNeighborsClassifier(metric=metric, algorithm="brute").fit(candidate.features, candidate.labels)
    expected = fitted.kneighbors(n_neighbors=7, return_distance=False)  # without the image itself
    np.testing.assert_array_equal(knn.neighbours(candidate.features, 7, metric).rows, expected)


def test_neighbours_among_duplicates_and_ties():
    features = np.array([[0.0], [0.0], [1.0], [-1.0], [5.0]])
    near = knn.neighbours(features, 3, "euclidean")
    np.testing.assert_array_equal(near.rows, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [2, 0, 1]])
    np.testing.assert_array_equal(near.distances[4], [16, 25, 25])
    votes = np.array([[2, 0, 0, 2, 1], [1, 0, 2, 0, 2]])
    np.testing.assert_array_equal(knn.vote(votes), [2, 0])


def test_the_mixture_of_another_library():
    features = gaussian(images=200).features
    expected = GaussianMixture(15, random_state=0).fit(features)
    found = mixture.fit(features, 15, 0)
    assert found.steps == expected.n_iter_
    np.testing.assert_allclose(found.memberships, expected.predict_proba(features), atol=1e-9)


def test_rank_correlation_of_pairs():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(300, 6)), rng.integers(0, 3, 300)
    upper = np.triu_indices(300, 1)
    unlike = (1 - np.corrcoef(rows))[upper]
    expected = stats.spearmanr(unlike, labels[upper[0]] != labels[upper[1]]).statistic
    assert parc.spearman(rows, labels) == pytest.approx(expected, abs=1e-5)


def test_the_head_of_pactran_is_a_penalised_logistic_regression():
    candidate = gaussian()
    centred = candidate.features - candidate.features.mean(0)
    fitted = LogisticRegression(C=120 / 120, tol=1e-8).fit(centred, candidate.labels)  # variance l N
    p = fitted.predict_proba(centred)[np.arange(120), candidate.labels]
    expected = -np.log(p).mean() + (fitted.coef_**2).sum() / (2 * 120)
    found, _ = pactran.fitted_head(centred, candidate.labels, 4, 120.0)
    assert found == pytest.approx(expected, rel=1e-4)


def test_transport_of_as_many_images_is_an_assignment():
    candidate = gaussian(images=60)
    source, labels = candidate.source
    costs = ((source[:, None] - candidate.features[None]) ** 2).sum(2)
    pairs = linear_sum_assignment(costs)
    found = otce.differences(source, labels, candidate.features, candidate.labels)
    assert found.domain == pytest.approx(costs[pairs].mean())
    together = nce.joint(labels[pairs[0]], candidate.labels[pairs[1]])
    assert found.task == pytest.approx(nce.conditional_entropy(together))


@pytest.mark.parametrize("dimensions", [8, 50])
def test_several_models_at_once_are_each_alone(dimensions):
    labels = gaussian(images=30).labels
    stack = np.random.default_rng(0).normal(size=(5, 30, dimensions))
    for module, name in ((logme, "logme"), (hscore, "hscore")):
        alone = [score(name, Candidate(features, labels, 4)).item() for features in stack]
        np.testing.assert_allclose(module.batched(stack, labels, 4), alone, rtol=1e-9)


def test_an_even_sample_keeps_every_class():
    labels = np.repeat([0, 1, 2], [100, 10, 890])
    kept = moments.spread(labels, 100)
    assert len(np.unique(kept)) == 100
    np.testing.assert_allclose(np.bincount(labels[kept]), [10, 1, 89], atol=1)


def test_pools():
    parts = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, np.nan], [5.0, 5.0]])
    np.testing.assert_array_equal(minmax(parts)[:, 0], [0, 0.5, 0.25, 1])
    assert np.isnan(minmax(parts)[:, 1]).all()  # the same for all candidates

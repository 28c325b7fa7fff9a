"""Influence estimates against hand computation, other libraries, brute force, and planted truths."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import h5py
import numpy as np
import pytest
from scipy import stats

from transferlens.core.errors import ConfigError, DataError
from transferlens.core.statistics import t_interval
from transferlens.estimation import designs, estimators

MASKS = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)


def random_case(models=40, classes=6, outputs=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((models, classes)) < 0.5, rng.normal(size=(models, outputs))


def estimate(name, masks, outputs):
    return estimators.make(name, masks, outputs).effects(outputs)


def difference(masks, outputs):
    return estimators.DifferenceOfMeans(masks).effects(outputs)


def test_four_models_by_hand():
    found = difference(MASKS, np.array([[1.0], [5.0], [2.0], [0.0]]))
    # Class 0: means 3 and 1, variances 8 and 2; class 1: means 3.5 and 0.5, variances 4.5 and 0.5.
    np.testing.assert_allclose(found.effect, [[2.0, 3.0]], rtol=1e-6)
    np.testing.assert_allclose(found.se, np.sqrt([[8 / 2 + 2 / 2, 4.5 / 2 + 0.5 / 2]]), rtol=1e-6)


def test_differences_agree_with_welchs_test():
    masks, outputs = random_case()
    found = difference(masks, outputs)
    for c in range(masks.shape[1]):
        expected = stats.ttest_ind(outputs[masks[:, c]], outputs[~masks[:, c]], equal_var=False)
        np.testing.assert_allclose(found.effect[:, c] / found.se[:, c], expected.statistic, rtol=1e-4)
        np.testing.assert_allclose(found.df[:, c], expected.df, rtol=1e-4)
        np.testing.assert_allclose(found.p()[:, c], expected.pvalue, rtol=1e-3)


def test_differences_within_pairs_agree_with_the_paired_test():
    _, outputs = random_case()
    masks = designs.draw_masks("complementary", 6, 0.5, 0, range(40))
    found = estimate("difference_of_means", masks, outputs)
    np.testing.assert_allclose(found.effect, difference(masks, outputs).effect, atol=1e-6)
    for c in range(6):
        signed = np.where(masks[0::2, c, None], 1, -1) * (outputs[0::2] - outputs[1::2])
        expected = stats.ttest_1samp(signed, 0)
        np.testing.assert_allclose(found.effect[:, c] / found.se[:, c], expected.statistic, rtol=1e-4)
        np.testing.assert_allclose(found.p()[:, c], expected.pvalue, rtol=1e-3)


def test_least_squares_agrees_with_numpy_and_the_robust_formula():
    masks, outputs = random_case()
    found = estimate("least_squares", masks, outputs)
    x = np.column_stack([np.ones(40), masks])
    coefficients = np.linalg.lstsq(x, outputs, rcond=None)[0]
    np.testing.assert_allclose(found.effect, coefficients[1:].T, atol=1e-5)
    inverse = np.linalg.inv(x.T @ x)
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    for j in range(outputs.shape[1]):
        noise = (outputs[:, j] - x @ coefficients[:, j]) ** 2 / (1 - leverage)
        covariance = inverse @ (x.T * noise) @ x @ inverse
        np.testing.assert_allclose(found.se[j], np.sqrt(np.diag(covariance))[1:], rtol=1e-4)
    np.testing.assert_allclose(found.df, np.broadcast_to(expected_df(x), found.df.shape), rtol=1e-4)


def expected_df(x):
    """Bell and McCaffrey's for HC2, from its definition: twice the squared mean over the variance of the
    error's estimate, a quadratic form of residuals, under equal normal noise.
    """
    inverse = np.linalg.inv(x.T @ x)
    maker = np.eye(len(x)) - x @ inverse @ x.T
    found = []
    for weight in (x @ inverse).T[1:]:
        form = maker @ np.diag(weight**2 / np.diag(maker)) @ maker
        found.append(np.trace(form) ** 2 / np.trace(form @ form))
    return np.array(found)


def test_pairs_give_the_same_fit_as_their_models_and_their_own_errors():
    _, outputs = random_case(models=80)
    masks = designs.draw_masks("hadamard", 6, 0.5, 0, range(80))
    found = estimate("least_squares", masks, outputs)
    by_models = estimators.LinearFit(estimators.Factorisation(masks), 0.0).effects(outputs)
    np.testing.assert_allclose(found.effect, by_models.effect, atol=1e-6)
    assert 30 < found.df.min() <= found.df.max() <= 34 + 1e-3 < by_models.df.min()
    # What pairs share is no error of an effect; what sets them apart at random is all of it.
    shared = np.repeat(np.random.default_rng(1).normal(size=(40, 5)) * 9, 2, axis=0)
    np.testing.assert_allclose(estimate("least_squares", masks, outputs + shared).se, found.se, rtol=1e-4)


@pytest.mark.parametrize("shape", [(30, 6), (30, 50)])
def test_ridge_chooses_the_penalty_that_leaving_models_out_one_by_one_does(shape):
    models, classes = shape
    rng = np.random.default_rng(1)
    masks = rng.random(shape) < 0.5
    outputs = masks @ rng.normal(size=(classes, 3)) * 0.5 + rng.normal(size=(models, 3))

    def fit(x, y, penalty):
        centre = x.mean(0)
        gram = (x - centre).T @ (x - centre) + penalty * np.eye(classes)
        return centre, np.linalg.solve(gram, (x - centre).T @ (y - y.mean(0)))

    def left_out_error(penalty):
        errors = []
        for m in range(models):
            rest = np.arange(models) != m
            centre, beta = fit(masks[rest].astype(float), outputs[rest], penalty)
            errors.append(outputs[m] - outputs[rest].mean(0) - (masks[m] - centre) @ beta)
        return float(np.mean(np.square(errors) / outputs.var(0)))

    factors = estimators.Factorisation(masks)
    chosen = factors.best_penalty(outputs)
    assert chosen == pytest.approx(min(factors.penalties(), key=left_out_error))
    _, beta = fit(masks.astype(float), outputs, chosen)
    found = estimators.LinearFit(factors, chosen)
    np.testing.assert_allclose(found.effects(outputs).effect, beta.T, atol=1e-4)
    np.testing.assert_allclose(found.coefficients(outputs), beta.T, atol=1e-4)


def test_lasso_agrees_with_scikit_learn_and_leaves_nothing_in_of_pure_noise():
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(0)
    masks = rng.random((80, 12)) < 0.5
    outputs = np.column_stack(
        [masks @ np.r_[3.0, -2.0, np.zeros(10)] + rng.normal(size=80) * 0.3, np.ones(80)]
    )
    fitted = estimators.make("lasso", masks, outputs)
    found = fitted.effects(outputs)
    penalty = fitted._best_path(outputs[:, 0])[-1]
    expected = Lasso(alpha=penalty, tol=1e-8).fit(masks, outputs[:, 0]).coef_
    np.testing.assert_allclose(found.effect[0], expected, atol=1e-3)
    assert np.abs(found.effect[0, :2] - [3, -2]).max() < 0.3
    assert (found.effect[1] == 0).all()
    assert found.se[0, 0] > 0


@pytest.mark.parametrize("name", ["difference_of_means", "least_squares", "ridge"])
def test_order_of_models_does_not_matter(name):
    masks, outputs = random_case()
    order = np.random.default_rng(1).permutation(len(masks))
    one, other = estimate(name, masks, outputs), estimate(name, masks[order], outputs[order])
    np.testing.assert_allclose(one.effect, other.effect, atol=1e-5)
    np.testing.assert_allclose(one.se, other.se, atol=1e-5)


@pytest.mark.parametrize("name", ["difference_of_means", "least_squares"])
@pytest.mark.parametrize("design", ["bernoulli", "complementary"])
def test_a_large_offset_does_not_cancel(name, design):
    masks, outputs = designs.draw_masks(design, 6, 0.5, 0, range(40)), random_case()[1]
    plain = estimate(name, masks, outputs)
    shifted = estimate(name, masks, (outputs + 1e4).astype(np.float32))
    np.testing.assert_allclose(shifted.effect, plain.effect, atol=2e-3)  # float32 resolves 1e-3 at 1e4
    np.testing.assert_allclose(shifted.se, plain.se, rtol=1e-2)


def test_blocks_are_whole_chunks_and_cover_every_column(tmp_path, monkeypatch):
    outputs = np.random.default_rng(0).normal(size=(12, 47)).astype(np.float32)
    monkeypatch.setattr(estimators, "_BLOCK_BYTES", 12 * 4 * 21)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = file.create_dataset("x", data=outputs, chunks=(4, 10))
        with ThreadPoolExecutor(1) as disk:
            found = list(estimators.blocks(stored, disk))
        sample = estimators.sample_columns(stored, 5)
    assert [(b.start, b.stop) for b, _ in found] == [(0, 20), (20, 40), (40, 47)]
    np.testing.assert_array_equal(np.concatenate([part for _, part in found], axis=1), outputs)
    np.testing.assert_array_equal(sample, outputs[:, ::10])


@pytest.mark.parametrize("name", ["difference_of_means", "least_squares", "ridge"])
def test_fixed_size_influences_sum_to_zero_over_all_subsets(name):
    masks = np.array([[c in kept for c in range(6)] for kept in combinations(range(6), 3)])
    anything = np.random.default_rng(0).normal(size=(len(masks), 4))
    np.testing.assert_allclose(estimate(name, masks, anything).effect.sum(1), 0, atol=1e-5)


@pytest.mark.parametrize("name", ["difference_of_means", "least_squares"])
def test_all_subsets_recover_additive_effects_exactly(name):
    masks = np.array(np.meshgrid(*[[False, True]] * 5)).reshape(5, -1).T
    weights = np.array([[0.5, -2.0, 0.0, 1.0, 3.0]])
    found = estimate(name, masks, masks @ weights.T)
    np.testing.assert_allclose(found.effect, weights, atol=1e-5)


@pytest.mark.parametrize(
    ("design", "name"),
    [
        ("bernoulli", "difference_of_means"),
        ("bernoulli", "least_squares"),
        ("complementary", "difference_of_means"),
        ("hadamard", "least_squares"),
    ],
)
def test_intervals_cover_the_truth_at_their_level(design, name):
    """Unequal noise: 400 repetitions of 6 classes cover 95 % within binomial reach."""
    rng, weights, hits = np.random.default_rng(0), np.array([0.4, -0.3, 0.0, 1.0, 0.0, 0.2]), 0
    for repetition in range(400):
        masks = designs.draw_masks(design, 6, 0.5, repetition, range(64))
        noise = rng.normal(size=64) * np.where(masks[:, 0], 2.0, 0.5)
        found = estimate(name, masks, (masks @ weights + noise)[:, None])
        interval = t_interval(found.effect, found.se, found.df)
        hits += int(((interval.low < weights) & (weights < interval.high)).sum())
    assert 0.935 < hits / 2400 < 0.965


@pytest.mark.parametrize("models", [56, 64, 128])
@pytest.mark.parametrize("order", [2, 3])
def test_intervals_cover_whatever_classes_do_together(order, models):
    """Strong interactions of two and of three of 20 classes, few pairs: what the sum of effects leaves open
    is shared by a pair, so that models taken one by one would seem to know more than they do.
    """
    rng, hits, cells = np.random.default_rng(0), 0, 0
    effects = rng.normal(0, 0.5, (20, 4))
    for repetition in range(100):
        masks = designs.draw_masks("hadamard", 20, 0.5, repetition, range(models))
        signs = np.where(masks, 1, -1)
        together = signs[:, np.array([rng.choice(20, order, replace=False) for _ in range(60)])].prod(2)
        outputs = signs @ effects + together @ rng.normal(0, 0.25, (60, 4)) + rng.normal(size=(models, 4))
        found = estimate("least_squares", masks, outputs)
        interval = t_interval(found.effect, found.se, found.df)
        hits += int(((interval.low < 2 * effects.T) & (interval.high > 2 * effects.T)).sum())
        cells += effects.size
    assert 0.93 < hits / cells < 0.97


def test_hadamard_masks_keep_other_classes_out_of_an_effect():
    """With no noise, a whole block estimates additive effects exactly; random masks of the same
    number do not.
    """
    weights = np.random.default_rng(0).normal(size=(1, 20))
    for design, exact in (("hadamard", True), ("bernoulli", False)):
        masks = designs.draw_masks(design, 20, 0.5, 0, range(40))
        found = estimate("difference_of_means", masks, masks @ weights.T)
        assert np.allclose(found.effect, weights, atol=1e-5) == exact


@pytest.mark.parametrize("name", estimators.ESTIMATORS)
def test_a_constant_output_has_no_evidence(name):
    masks, outputs = random_case(outputs=1)
    found = estimate(name, masks, np.ones_like(outputs))
    assert (found.effect == 0).all()
    assert (found.p() == 1).all()


def test_a_class_seen_by_one_model_is_named():
    masks = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [0, 0]], bool)
    with pytest.raises(DataError, match="influence of 'bag' cannot be estimated: 1 of 5"):
        estimators.check_masks(masks, ["digit", "bag"])


def test_too_few_models_for_least_squares_are_refused_with_the_cure():
    with pytest.raises(ConfigError, match=r"'least_squares' needs at least 49 models for 40 units.* ridge"):
        estimators.make("least_squares", *random_case(classes=40))
    pairs = designs.draw_masks("hadamard", 40, 0.5, 0, range(96))
    estimators.make("least_squares", pairs, np.zeros((96, 1)))
    with pytest.raises(ConfigError, match="needs at least 96 models for 40 units, but there are 94"):
        estimators.make("least_squares", pairs[:94], np.zeros((94, 1)))


def test_masks_that_do_not_tell_units_apart_are_refused():
    masks, outputs = random_case()
    masks[:, 5] = masks[:, 4]
    with pytest.raises(ConfigError, match=r"40 masks do not tell 6 units apart .rank 5"):
        estimators.make("least_squares", masks, outputs)


def test_complements_share_their_fold():
    fold = estimators.fold_of_rows(designs.draw_masks("hadamard", 6, 0.5, 0, range(40)), 5)
    np.testing.assert_array_equal(fold[0::2], fold[1::2])
    np.testing.assert_array_equal(np.bincount(fold), [8] * 5)
    singles = estimators.fold_of_rows(random_case()[0], 5)
    assert (singles[0::2] != singles[1::2]).any()

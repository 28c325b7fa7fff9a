"""Harm by recipe: what is planted is found, what is not is not, and who chooses does not report."""

import numpy as np
import pytest
from scipy import stats

from transferlens.comparison.harm import effects, interference
from transferlens.comparison.harm.interference import Answered
from transferlens.core.errors import ConfigError
from transferlens.estimation import crossfit, designs, estimators
from transferlens.estimation.contributions import Contributions, of_differences

UNITS = 12


def masks_of(design, models, seed=0):
    return designs.draw_masks(design, UNITS, 0.5, seed, range(models))


def right(rng, masks, effect, images=40, base=0.7):
    """Whether images are right, float[models, images], of models that each unit makes so much better."""
    chance = base + (masks - 0.5) @ effect
    return (rng.random((len(masks), images)) < chance[:, None]).astype(float)


def planted(harm):
    effect = np.zeros(UNITS)
    effect[[2, 7]] = -harm
    return effect


def told(masks, rng, of_recipes, count=2, estimator="difference_of_means", images=40):
    """Choose and report, of recipes with these effects of units."""
    folds = crossfit.divide(masks, estimator)
    select = right(rng, masks, of_recipes[0], images).mean(1)
    classes = effects.choose(masks, select, folds, count)
    report = [right(rng, masks, effect, images) for effect in of_recipes]
    return effects.report(masks, report, np.ones(images), folds, classes)


@pytest.mark.parametrize(
    ("design", "name", "models"),
    [
        ("complementary", "difference_of_means", 48),
        ("bernoulli", "difference_of_means", 40),
        ("hadamard", "least_squares", 64),
        ("bernoulli", "least_squares", 40),
    ],
)
def test_the_mean_of_contributions_is_the_estimators_effect_and_their_spread_its_error(design, name, models):
    masks, outputs = masks_of(design, models), np.random.default_rng(0).normal(size=(models, 5))
    found = estimators.make(name, masks, outputs).effects(outputs)
    made = Contributions(name, masks)
    parts = np.stack([made.of(outputs, unit) for unit in range(UNITS)], axis=2)
    np.testing.assert_allclose(parts.mean(0), found.effect, atol=1e-6)
    np.testing.assert_allclose(made.df, np.mean(found.df), rtol=0.15)  # Welch's: of unequal noise
    observations = len(parts)
    error = np.sqrt(np.square(parts - parts.mean(0)).sum(0)) / observations
    if name == "least_squares" or design == "bernoulli":
        np.testing.assert_allclose(error, found.se, rtol=1e-3)
    else:
        np.testing.assert_allclose(error * np.sqrt(observations / (observations - 1)), found.se, rtol=1e-3)


def test_seen_minus_unseen_of_four_models_by_hand():
    seen = np.array([[True, False], [False, True], [True, True], [False, False]])
    outputs = np.array([[4.0, 1.0], [1.0, 3.0], [2.0, 5.0], [3.0, 1.0]])
    by_pairs = of_differences(seen, outputs, by_pairs=True)
    np.testing.assert_array_equal(by_pairs, [[3, 2], [-1, 4]])
    np.testing.assert_allclose(of_differences(seen, outputs, by_pairs=False).mean(0), [1, 3])


def test_each_fold_is_told_by_the_models_of_the_other():
    masks, rng = masks_of("complementary", 48), np.random.default_rng(0)
    folds = crossfit.divide(masks, "difference_of_means")
    classes = np.array([[2, 7], [4, 5]])
    outputs = rng.random((48, 30))
    before = effects.report(masks, [outputs], np.ones(30), folds, classes).of_class
    changed = np.where((folds.of_model == 0)[:, None], rng.random((48, 30)), outputs)
    after = effects.report(masks, [changed], np.ones(30), folds, classes).of_class
    np.testing.assert_array_equal(before[:, :, 0], after[:, :, 0])  # chosen by fold 0, told by fold 1
    assert (before[:, :, 1] != after[:, :, 1]).all()
    accuracy = rng.random(48)
    chosen = effects.choose(masks, accuracy, folds, 3)
    accuracy[folds.of_model == 1] = rng.random(24)
    np.testing.assert_array_equal(chosen[0], effects.choose(masks, accuracy, folds, 3)[0])


def test_a_class_that_harms_under_the_plain_recipe_alone_is_found():
    found = told(
        masks_of("hadamard", 96), np.random.default_rng(1), [planted(0.1), planted(0.1), np.zeros(UNITS)]
    )
    assert [set(classes) for classes in found.classes.tolist()] == [{2, 7}, {2, 7}]
    np.testing.assert_allclose(found.mean.value[0], [-0.1, -0.1, 0], atol=0.03)
    assert (found.mean.high[0, :2] < 0).all()
    assert found.mean.low[1, 2] > 0
    assert found.mean.low[1, 1] < 0 < found.mean.high[1, 1]
    assert found.mean.p[1, 2] < 0.01 < found.mean.p[0, 2]
    assert np.isnan([getattr(found.mean, name)[1, 0] for name in ("value", "low", "high", "p")]).all()


@pytest.mark.parametrize("harm", [0, 0.05])
def test_choosing_makes_no_bias_and_intervals_cover(harm):
    """Also where there is nothing: the most harmful of twelve nothings reports nothing."""
    rng, errors, hits = np.random.default_rng(2), [], []
    for seed in range(120):
        masks = masks_of("complementary", 48, seed)
        found = told(masks, rng, [planted(harm), planted(harm / 2)], count=3)
        chosen = [[planted(h)[classes].mean() for h in (harm, harm / 2)] for classes in found.classes]
        truth = np.mean(chosen, axis=0)
        truth = np.stack([truth, truth - truth[0]])
        errors.append(found.mean.value - truth)
        hits.append((found.mean.low < truth) & (truth < found.mean.high))
    errors, hits = np.array(errors), np.array(hits)
    for row, recipe in ((0, 0), (0, 1), (1, 1)):
        mean, error = errors[:, row, recipe].mean(), errors[:, row, recipe].std() / np.sqrt(len(errors))
        assert abs(mean) < 3 * error
        assert hits[:, row, recipe].mean() > 0.93  # the folds' errors are taken as one: rather too wide


def test_two_folds_err_alike_by_no_more_than_is_taken():
    """The largest f(p)^2 / p; and the correlation of two folds that choose among nothings."""
    p = np.linspace(0.01, 0.99, 981)
    most = (stats.norm.pdf(stats.norm.ppf(p)) ** 2 / p).max()
    assert most < effects._ALIKE < most + 0.01
    noise = np.random.default_rng(0).normal(size=(2, 10_000, 20))
    chosen = np.argsort(noise, axis=2)[::-1, :, :5]  # each by the other fold
    first, second = np.take_along_axis(noise, chosen, 2).mean(2)
    assert 0.35 < np.corrcoef(first, second)[0, 1] < effects._ALIKE


def test_the_models_that_chose_would_report_harm_where_there_is_none():
    """What the folds are for."""
    rng, own = np.random.default_rng(3), []
    for seed in range(40):
        masks = masks_of("complementary", 48, seed)
        folds = crossfit.divide(masks, "difference_of_means")
        noise = rng.normal(0, 0.05, 48)  # shared by both halves of the images, as most of it is
        classes = effects.choose(masks, noise, folds, 3)
        same = effects.report(masks, [noise[:, None] + np.zeros(2)], np.ones(2), folds, classes[::-1])
        other = effects.report(masks, [noise[:, None] + np.zeros(2)], np.ones(2), folds, classes)
        own.append([same.mean.value[0, 0], other.mean.value[0, 0]])
    same, other = np.array(own).T
    assert same.mean() < -0.015
    assert abs(other.mean()) < 3 * other.std() / np.sqrt(40)


def test_too_few_models_for_two_folds_are_refused():
    with pytest.raises(ConfigError, match=r"raise studies\.influence\.models"):
        crossfit.divide(masks_of("bernoulli", 12), "difference_of_means")


def composites_of(rng, masks, effect, design_pairs, composites=60):
    """Answers to composites of models in which seeing the background's class makes such a drop."""
    classes = np.arange(composites) % UNITS
    seen = masks[:, classes]
    background, overlay = rng.integers(0, 30, composites), rng.integers(0, 40, composites)
    shared = rng.normal(0, 0.02, (len(masks), 1)) + rng.normal(0, 0.02, 30)[background]
    drops = [
        shared + rng.normal(0, 0.05, seen.shape) + seen * (e + rng.normal(0, 0.02, 40)[overlay])
        for e in effect
    ]
    return interference.compare(Answered(seen, drops, background, overlay), design_pairs)


@pytest.mark.parametrize(("design", "pairs"), [("complementary", True), ("bernoulli", False)])
def test_interference_is_found_where_it_is_planted_only(design, pairs):
    found = composites_of(np.random.default_rng(0), masks_of(design, 40), [0.05, 0.05, 0], pairs)
    np.testing.assert_allclose(found.value[0], [0.05, 0.05, 0], atol=0.02)
    assert (found.low[0, :2] > 0).all()
    assert found.low[0, 2] < 0 < found.high[0, 2]
    assert found.high[1, 2] < 0
    assert found.low[1, 1] < 0 < found.high[1, 1]


def test_intervals_of_interference_cover():
    hits = []
    rng = np.random.default_rng(4)
    for seed in range(150):
        found = composites_of(rng, masks_of("complementary", 32, seed), [0.03, 0.01], True)
        truth = np.array([[0.03, 0.01], [np.nan, -0.02]])
        hits.append((found.low < truth) & (truth < found.high))
    coverage = np.mean(hits, axis=0)
    assert (coverage.ravel()[[0, 1, 3]] > 0.9).all()


def test_a_composite_whose_class_nearly_all_models_saw_does_not_count():
    rng, masks = np.random.default_rng(0), masks_of("bernoulli", 16)
    classes = np.arange(24) % UNITS
    seen, images = masks[:, classes], np.arange(24)
    seen[:, 0] = True
    drops = rng.normal(size=seen.shape)
    found = interference.compare(Answered(seen, [drops], images, images), False)
    rest = Answered(seen[:, 1:], [drops[:, 1:]], images[1:], images[1:])
    np.testing.assert_array_equal(found.value[0], interference.compare(rest, False).value[0])

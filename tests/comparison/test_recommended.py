"""What is recommended: of planted recipes, of copies, and how sure that is."""

import numpy as np
import pytest

from tests.comparison import planted
from transferlens.comparison.compared import estimates, words
from transferlens.comparison.compared.recommended import recommend
from transferlens.comparison.compared.surer import MOST_MODELS, Components, needed
from transferlens.core.crossed import crossed_mean
from transferlens.core.statistics import holm


def said(of, seed=0):
    """The recommendation and its sentences."""
    made = recommend(of, seed)
    return made, words.why(of, estimates.compare(of), made), words.surer(of, made)


def copies(of, names):
    """The plain recipe under several names, then models from scratch."""
    first, scratch = of.contestants[0], of.contestants[-1]
    ones = [planted.Contestant(**{**vars(first), "name": f"{name}+tuned", "base": name}) for name in names]
    return planted.compared([*ones, scratch])


def test_a_recipe_that_is_better_by_a_tenth_is_recommended_and_told_apart():
    of = planted.study({"full": 0.7, "fixed": 0.68, "ema": 0.8})
    made, why, _ = said(of)
    assert made.best == 2
    assert made.told_apart.tolist() == [True, True, False, False]
    assert made.best_share[2] > 0.99
    assert np.isnan(made.best_share[3])
    assert made.chosen_by_others.tolist() == [0, 0, 5, 0]
    # All others rank it first: what choosing gains is its own difference to the plain recipe.
    difference = estimates.compare(of).differences[2][0]
    assert (made.chosen_gain.value, made.chosen_gain.p) == (difference.value, difference.p)
    assert why.startswith("ema is recommended: of 3 recipes it ranks first on the select half, and in 100 %")
    assert "told apart from every other recipe" in why


def test_copies_share_the_first_place_and_nothing_is_gained():
    of = copies(planted.study({"full": 0.7}), ["full", "copy", "again"])
    made, why, surer = said(of)
    assert made.best == 0
    np.testing.assert_allclose(made.best_share[:3], 1 / 3)
    assert not made.told_apart.any()
    assert (made.chosen_gain.value, made.chosen_gain.missing != "") == (0, True)
    assert "not told apart from it (p < .05, Holm): copy, again" in why
    assert surer.startswith("No other recipe answers differently")


def test_it_ranks_by_the_select_half_and_never_recommends_scratch():
    of = planted.study({"full": 0.6, "ema": 0.6}, scratch=0.9)
    right, wrong = np.ones((5, 300)), np.zeros((5, 300))
    ones = [planted.contestant("full", right, wrong), planted.contestant("ema", wrong, right)]
    made, why, _ = said(planted.compared([*ones, of.scratch]))
    assert made.best == 0
    assert made.order.tolist() == [0, 1]
    assert "the source does not help here" not in why
    made, why, _ = said(of)
    assert made.best in (0, 1)
    assert "models from scratch are better on the select half" in why


def test_p_of_the_first_place_is_corrected_for_all_pairs_of_recipes():
    of = planted.study({"a": 0.70, "b": 0.73, "c": 0.76, "d": 0.78})
    made = recommend(of, 0)
    correct = [one.correct["report"] for one in of.contestants[:4]]
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    raw = [crossed_mean(correct[i] - correct[j], np.ones((5, 300)), [np.arange(300)]).p for i, j in pairs]
    corrected = dict(zip(pairs, holm(np.array(raw)), strict=True))
    best = made.best
    expected = [corrected[min(i, best), max(i, best)] for i in range(4) if i != best]
    np.testing.assert_allclose(np.delete(made.ahead_holm[:4], best), expected)
    assert np.isnan(made.ahead_holm[[best, 4]]).all()


def test_each_model_is_given_what_the_other_models_choose():
    """Model 0 is right by `b` alone, the others by `a`: those of 0 choose a, those of 1 and 2 are even."""
    answers = {"full": [[0.0], [0.0], [0.0]], "a": [[0.0], [1.0], [1.0]], "b": [[1.0], [0.0], [0.0]]}
    ones = [planted.contestant(n, np.tile(v, (1, 6)), np.tile(v, (1, 6))) for n, v in answers.items()]
    made = recommend(planted.compared(ones), 0)
    assert made.chosen_by_others.tolist() == [0, 3, 0]  # of equals the first
    assert made.chosen_gain.value == pytest.approx(2 / 3)
    assert made.best == 1


def test_one_recipe_alone_is_recommended_without_a_test():
    made, why, surer = said(planted.study({"full": 0.7}))
    assert np.isnan(made.ahead_holm).all()
    assert made.best_share[0] == 1
    assert "told apart" not in why
    assert surer.startswith("No other recipe")


def test_areas_are_ranked_without_intervals():
    of = planted.study({"full": 0.7, "ema": 0.8})
    made, why, surer = said(planted.compared(of.contestants, metric="auroc"))
    assert made.best == 1
    assert not made.told_apart.any()
    assert "resamples of models;" in why
    assert "no interval: an area under the ROC curve" in why
    assert surer.startswith("What would make it surer is not known")


def test_components_are_those_that_were_planted_and_tell_how_far_an_interval_reaches():
    rng = np.random.default_rng(0)
    values = 0.3 * rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=400) + rng.normal(size=(200, 400))
    found = Components.of(values, np.ones(400))
    np.testing.assert_allclose([found.models, found.images, found.both], [0.09, 0.25, 1], rtol=0.15)
    mean = crossed_mean(values, np.ones(values.shape), [np.arange(400)])
    assert found.reach(200, 400) == pytest.approx((mean.high - mean.low) / 2, rel=0.01)
    scaled = Components.of(values, np.full(400, 7.0))
    assert (scaled.models, scaled.both) == pytest.approx((found.models, found.both))


def test_few_images_cannot_be_made_up_for_by_models():
    parts = Components(models=0.0, images=1.0, both=0.0)
    found = needed(parts, 5, 100, 0.1)
    assert found.models is None
    assert parts.reach(5, found.images) <= 0.1 < parts.reach(5, found.images - 1)
    found = needed(Components(models=0.01, images=0.0, both=0.0), 5, 100, 0.05)
    assert found.images is None
    assert 10 < found.models < MOST_MODELS


def test_what_would_make_it_surer_says_which_of_both_can():
    rng = np.random.default_rng(1)
    images = rng.random((1, 60)) < 0.5  # what one recipe gains on some images, all models gain
    plain = (rng.random((4, 60)) < 0.5) * np.ones((4, 1))
    better = np.maximum(plain, images * (rng.random((1, 60)) < 0.3))
    of = planted.compared(
        [planted.contestant("full", plain, plain), planted.contestant("ema", better, better)]
    )
    _, _, surer = said(of)
    assert surer.startswith("ema minus full is +")
    assert "not even 1,000 models would do with these 60 report images" in surer

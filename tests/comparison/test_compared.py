"""Recipes by measures: exact small cases, what is paired with what, and what has no number."""

import numpy as np
import pytest
from scipy import stats

from tests.comparison import planted
from transferlens.comparison.compared import estimates
from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.quantities import (
    A_RATIO,
    ITSELF,
    NO_SPREAD,
    SAME,
    Mean,
    OfModels,
    Ratio,
    Rounds,
)
from transferlens.core.crossed import crossed_mean
from transferlens.core.statistics import holm

PLACE = {name: i for i, name in enumerate(MEASURES)}
S, F = [1, 1, 0, 0, 1, 1], [1, 0, 1, 0, 0, 1]


def told(made, recipe, measure):
    return made.told[recipe][PLACE[measure]], made.differences[recipe][PLACE[measure]]


def of(report, scratch, models=1, **more):
    """One recipe and models from scratch that all answer alike."""
    ones = [np.tile(answers, (models, 1)) for answers in (report, scratch)]
    return planted.compared(
        [
            planted.contestant("full", ones[0], ones[0]),
            planted.contestant("full", ones[1], ones[1], from_scratch=True),
        ],
        **more,
    )


def test_transfer_is_what_is_right_from_scratch_alone_or_after_fine_tuning_alone():
    made = estimates.compare(of(F, S, models=2))
    negative, positive = (told(made, 0, name)[0].value for name in ("negative_transfer", "positive_transfer"))
    assert (negative, positive) == (pytest.approx(1 / 3), pytest.approx(1 / 6))
    gained = told(made, 0, "accuracy")[0].value - told(made, 1, "accuracy")[0].value
    assert positive - negative == pytest.approx(gained) == pytest.approx(-1 / 6)


@pytest.mark.parametrize("metric", ["global", "per_class"])
def test_transfers_differ_by_the_accuracy_gained_and_pair_models_of_a_repeat(metric):
    made = planted.study({"full": 0.8}, models=3, images=40)
    labels = {half: np.sort(np.arange(40) % 5).clip(max=2) for half in ("select", "report")}
    made = planted.compared(made.contestants, labels, metric)
    tuned, scratch = (one.correct["report"] for one in made.contestants)
    found = estimates.compare(made)
    negative, positive = (
        told(found, 0, name)[0].value for name in ("negative_transfer", "positive_transfer")
    )
    weights = made.weights("report")
    assert positive - negative == pytest.approx(np.average((tuned - scratch).mean(0), weights=weights))
    expected = np.mean([np.average(scratch[r] > tuned[r], weights=weights) for r in range(3)])
    assert negative == pytest.approx(expected)
    if metric == "per_class":
        assert told(found, 0, "accuracy")[0].value == told(found, 0, "class_mean_accuracy")[0].value


def test_the_floor_is_over_all_pairs_of_models_from_scratch():
    correct = np.random.default_rng(0).integers(0, 2, (4, 7)).astype(float)
    pairs = {(i, j): correct[i] * (1 - correct[j]) for i in range(4) for j in range(4) if i != j}
    values = estimates.disagreement(correct)
    mean = np.mean(list(pairs.values()), axis=0)
    np.testing.assert_allclose(values.mean(0), mean)
    # A model is in two pairs of every four: it moves the mean twice as much as its own pairs differ from it.
    own = np.array([np.mean([v for pair, v in pairs.items() if r in pair], axis=0) for r in range(4)])
    np.testing.assert_allclose(values - mean, 2 * (own - mean), atol=1e-12)


def test_means_are_told_over_models_and_images_and_differences_in_pairs():
    made = planted.study({"full": 0.7, "ema": 0.75}, models=4, images=50)
    found = estimates.compare(made)
    plain, ema = (one.correct["report"] for one in made.contestants[:2])
    own, paired = (
        crossed_mean(values, np.ones(values.shape), [np.arange(50)]) for values in (ema, ema - plain)
    )
    value, difference = told(found, 1, "accuracy")
    assert (value.value, value.low, value.high) == pytest.approx((own.value, own.low, own.high))
    assert (difference.value, difference.low, difference.p) == pytest.approx(
        (paired.value, paired.low, paired.p)
    )
    p = [row[PLACE["accuracy"]].p for row in found.differences]
    np.testing.assert_array_equal(found.holm[:, PLACE["accuracy"]], holm(np.array(p)))
    assert found.differences[0][0].missing == ITSELF
    right = told(found, 1, "corrupted_accuracy")[0].value
    dropped = told(found, 1, "corruption_drop")[0].value
    assert dropped == pytest.approx(1 - right / value.value)


def test_recipes_that_answer_alike_do_not_differ_and_are_not_tested():
    first = planted.study({"full": 0.7}, models=3).contestants
    copy = planted.Contestant(**{**vars(first[0]), "name": "copy+tuned", "base": "copy"})
    made = estimates.compare(planted.compared([first[0], copy, first[1]]))
    for name in MEASURES:
        value, difference = told(made, 1, name)
        if name in ("seconds", "memory"):
            assert difference.missing == A_RATIO
        else:
            assert (difference.value, difference.missing) == (0, SAME)
            assert np.isnan(difference.p)
            assert value.value == told(made, 0, name)[0].value


def test_what_forgets_nothing_has_a_change_of_zero_and_no_interval():
    found = estimates.compare(planted.study({"fixed": 0.6, "full": 0.7}))
    value, _ = told(found, 0, "forgetting_source")
    assert (value.value, value.missing) == (0, NO_SPREAD)
    assert np.isnan(value.low)
    lost, difference = told(found, 1, "forgetting_others")
    assert lost.high < 0
    assert difference.value == lost.value


def test_other_data_sets_count_alike_and_how_they_differ_is_no_error():
    """Sets of 10 and of 40 images: the mean of their means, and the same interval if one of them moves."""
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(5, n)) for n in (10, 40)]
    moved = [sets[0], sets[1] + 3]
    first, second = (estimates._over_sets(of).told() for of in (sets, moved))
    assert first.value == pytest.approx((sets[0].mean() + sets[1].mean()) / 2)
    assert second.value == pytest.approx(first.value + 1.5)
    assert second.high - second.low == pytest.approx(first.high - first.low)


def test_the_worst_class_is_chosen_on_the_select_half():
    select = np.array([[1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])  # of class b one is wrong
    report = np.array([[0, 1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 1]])  # of class a all are
    made = planted.compared(
        [
            planted.contestant("full", select, report),
            planted.contestant("full", select, report, from_scratch=True),
        ]
    )
    assert made.worst_class() == 1
    assert told(estimates.compare(made), 0, "worst_class_accuracy")[0].value == 1


def test_one_image_of_a_class_has_an_accuracy_without_an_interval():
    labels = {half: np.array([0, 0, 0, 1, 1, 2]) for half in ("select", "report")}
    made = of(F, S, models=2, labels=labels)
    classes = list(estimates.by_class(made.plain, made))
    assert [one.value for one in classes] == pytest.approx([2 / 3, 0, 1])
    assert "one image" in classes[2].missing
    assert np.isnan(classes[2].low)


def test_two_models_have_one_degree_of_freedom():
    found = OfModels(np.array([0.1, 0.3])).told()
    assert found.low == pytest.approx(0.2 - stats.t.ppf(0.975, 1) * 0.1)
    assert np.isnan(OfModels(np.array([0.1])).told().low)


def test_ratios_differ_by_model_and_rounds_have_the_interval_of_their_median():
    top, bottom = np.array([[1.0, 0, 1], [1, 1, 1]]), np.ones((2, 3))
    other = Ratio(np.array([[1.0, 1, 1], [1, 0, 0]]), bottom)
    expected = stats.ttest_1samp([2 / 3 - 1, 1 - 1 / 3], 0)
    assert Ratio(top, bottom).minus(other).p == pytest.approx(expected.pvalue)
    rounds = Rounds(np.arange(1.0, 11)).told()
    assert (rounds.value, rounds.low, rounds.high) == (5.5, 2, 9)  # P(1 < binomial < 9 of 10) = .979
    assert "needs 6" in Rounds(np.arange(1.0, 6)).told().missing


def test_areas_under_the_roc_curve_have_no_interval_and_no_test():
    made = planted.study({"full": 0.7, "ema": 0.8})
    made = planted.compared(made.contestants, metric="auroc")
    value, difference = told(estimates.compare(made), 1, "accuracy")
    assert value.value == pytest.approx(made.contestants[1].accuracy["report"].mean())
    assert value.missing == difference.missing == estimates.AN_AREA
    assert np.isnan([value.low, difference.p]).all()


def test_what_was_not_asked_for_has_its_reason():
    made = planted.study({"full": 0.7, "ema": 0.8}, models=2)
    full = made.plain
    bare = planted.Contestant(
        **{
            **vars(full),
            "measures": planted.measures(full.correct["report"], corruptions=()),
            "forgetting": {"source": full.forgetting["source"]},
            "cost": full.cost.isel(round=slice(0)).assign(peak=np.nan).assign_attrs(note="it has no steps"),
        }
    )
    found = estimates.compare(planted.compared([bare]))
    reasons = {name: told(found, 0, name)[0].missing for name in MEASURES}
    assert "comparison.corruptions" in reasons["corrupted_accuracy"]
    assert "comparison.others" in reasons["forgetting_others"]
    assert reasons["seconds"] == reasons["memory"] == "it has no steps"
    assert "no models from scratch" in reasons["negative_transfer"]
    assert estimates.by_corruption(bare, planted.compared([bare])).shape == (0, 2)


def test_means_of_images_that_do_not_count_are_none():
    assert Mean(np.ones((2, 3)), np.zeros(3)).told().missing == "there is no such image"

"""What one fold chooses, the other reports without a bias, and with an interval that covers."""

import numpy as np
import pytest

from transferlens.core.errors import ConfigError
from transferlens.estimation import crossfit, designs, estimators


def masks_of(design, models, units=20):
    return designs.draw_masks(design, units, 0.5, 0, range(models))


@pytest.mark.parametrize(
    ("design", "models", "reported", "estimator"),
    [
        ("hadamard", 128, "least_squares", "least_squares"),
        ("hadamard", 128, "difference_of_means", "least_squares"),  # half blocks would lean opposite ways
        ("hadamard", 80, "least_squares", "difference_of_means"),  # two whole blocks
        ("complementary", 128, "ridge", "least_squares"),
        ("complementary", 48, "least_squares", "difference_of_means"),
        ("bernoulli", 128, "difference_of_means", "difference_of_means"),
        ("fixed_size", 64, "lasso", "least_squares"),
    ],
)
def test_folds_share_no_draw_and_use_what_half_of_the_models_allow(design, models, reported, estimator):
    masks = masks_of(design, models)
    folds = crossfit.divide(masks, reported)
    assert folds.estimator == estimator
    assert np.bincount(folds.of_model).tolist() == [models // 2] * 2
    if design in designs.FOLD_OVER:
        np.testing.assert_array_equal(folds.of_model[0::2], folds.of_model[1::2])
    for f in range(2):
        estimators.make(folds.estimator, masks[folds.of_model == f], np.zeros((models // 2, 1)))


def test_differences_of_means_take_whole_blocks():
    masks = masks_of("hadamard", 64)
    folds = crossfit.divide(masks, "difference_of_means")
    np.testing.assert_array_equal(folds.of_model, np.repeat([0, 1], [40, 24]))


@pytest.mark.parametrize(("design", "models"), [("hadamard", 48), ("complementary", 24), ("bernoulli", 14)])
def test_too_few_models_for_two_folds_are_told(design, models):
    with pytest.raises(ConfigError, match=f"{models} models do not make two folds of at least 8"):
        crossfit.divide(masks_of(design, models), "least_squares")


@pytest.mark.parametrize(("units", "block"), [(20, 20), (17, 20), (3, 4)])
def test_blocks_are_known_by_their_masks_alone(units, block):
    for models in (2 * block, 30):
        assert crossfit.draws_a_block(masks_of("hadamard", models, units)) == block
    assert crossfit.draws_a_block(masks_of("complementary", 60, units)) == 1
    assert crossfit.draws_a_block(masks_of("bernoulli", 60, units)) == 1


def test_the_average_adds_variances_and_one_choice_of_both_adds_errors():
    value, se, df = crossfit.average(
        np.array([[1.0, 1.0], [3.0, 3.0]]), np.full((2, 2), 0.5), np.array([9, 9]), np.array([False, True])
    )
    np.testing.assert_allclose(value, 2)
    np.testing.assert_allclose(se, [0.5 / np.sqrt(2), 0.5])
    np.testing.assert_allclose(df, 18)
    unequal = crossfit.average(np.zeros(2), np.array([1.0, 2.0]), np.array([5.0, 10.0]))[2]
    assert unequal == pytest.approx(25 / (1 / 5 + 16 / 10))

"""Masks are pure functions of (seed, design, row), and keep what their design promises."""

import numpy as np
import pytest

from transferlens.core.errors import ConfigError
from transferlens.data.units import Units
from transferlens.estimation import designs

UNITS = Units([f"c{i}" for i in range(20)], [""] * 20, np.arange(20))
ALL = ("bernoulli", "fixed_size", "complementary", "hadamard")


def rows_of(study, design, rows, seed=0):
    """Rows of a study of that name."""
    settings = {"study": study, "design": design, "keep": 0.5, "seed": seed}
    return designs.RandomMasks.draw(settings, UNITS, rows, {}, None)


def draw(design, rows, seed=0, keep=0.5, units=20):
    return designs.draw_masks(design, units, keep, seed, rows)


@pytest.mark.parametrize("design", ALL)
def test_a_row_does_not_depend_on_the_others(design):
    whole = rows_of("influence", design, range(0, 90), seed=3)
    part = rows_of("influence", design, range(37, 53), seed=3)
    np.testing.assert_array_equal(whole.masks[37:53], part.masks)
    np.testing.assert_array_equal(whole.training_seeds[37:53], part.training_seeds)
    assert (whole.masks != draw(design, range(0, 90), seed=4)).any()


def test_a_repeated_study_has_the_same_masks_and_other_seeds():
    first, again = (rows_of(study, "hadamard", range(8)) for study in ("influence", "repeated"))
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not set(first.training_seeds) & set(again.training_seeds)


def test_fixed_size_keeps_exactly_its_share():
    masks = draw("fixed_size", range(200), keep=0.3)
    assert (masks.sum(1) == 6).all()
    assert masks.mean(0).min() > 0.15  # every class gets its turn


def test_bernoulli_keeps_its_share_on_average_and_classes_independently():
    masks = draw("bernoulli", range(2000), keep=0.3)
    assert abs(masks.mean() - 0.3) < 4 * np.sqrt(0.21 / masks.size)
    correlation = np.corrcoef(masks.T.astype(float)) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("design", designs.FOLD_OVER)
@pytest.mark.parametrize("units", [1, 3, 20, 21])
def test_rows_of_a_fold_over_come_with_their_complements(design, units):
    masks = draw(design, range(60), units=units)
    np.testing.assert_array_equal(masks[0::2], ~masks[1::2])
    assert len(np.unique(masks[0::2], axis=0)) > 1


@pytest.mark.parametrize(("units", "order"), [(20, 20), (17, 20), (7, 8)])
def test_a_hadamard_block_balances_classes_and_makes_them_orthogonal(units, order):
    masks = draw("hadamard", range(2 * order), units=units)
    signs = np.where(masks, 1, -1)
    np.testing.assert_array_equal(signs.T @ signs, 2 * order * np.eye(units))
    np.testing.assert_array_equal(masks.sum(0), order)
    following = draw("hadamard", range(2 * order, 4 * order), units=units)
    assert (masks != following).any()


@pytest.mark.parametrize(
    ("design", "keep", "models", "message"),
    [
        ("hadamard", 0.4, 16, "keep is 0.4, but design 'hadamard' pairs every mask with its complement"),
        ("bernoulli", 0.5, 17, "design 'bernoulli' has only 16 distinct masks of 4 units"),
        ("fixed_size", 0.5, 7, "has only 6 distinct masks"),
    ],
)
def test_what_a_design_cannot_give_is_refused(design, keep, models, message):
    with pytest.raises(ConfigError, match=message):
        designs.check_design(design, 4, keep, models)
    designs.check_design("hadamard", 4, 0.5, 16)

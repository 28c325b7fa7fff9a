"""Masks are pure functions of (seed, design, row)."""

import numpy as np
import pytest

from transferlens.influence import designs

CLASSES = [f"c{i}" for i in range(20)]


@pytest.mark.parametrize("design", ["bernoulli", "fixed_size"])
def test_a_row_does_not_depend_on_the_others(design):
    whole = designs.influence_rows(design, 0.5, CLASSES, range(0, 40), seed=3)
    part = designs.influence_rows(design, 0.5, CLASSES, range(17, 23), seed=3)
    np.testing.assert_array_equal(whole.masks[17:23], part.masks)
    np.testing.assert_array_equal(whole.training_seeds[17:23], part.training_seeds)
    other = designs.influence_rows(design, 0.5, CLASSES, range(0, 40), seed=4)
    assert (whole.masks != other.masks).any()


def test_fixed_size_keeps_exactly_its_share():
    masks = designs.influence_rows("fixed_size", 0.3, CLASSES, range(200), seed=0).masks
    assert (masks.sum(1) == 6).all()
    assert masks.mean(0).min() > 0.15  # every class gets its turn


def test_bernoulli_keeps_its_share_on_average_and_classes_independently():
    masks = designs.influence_rows("bernoulli", 0.3, CLASSES, range(2000), seed=0).masks
    assert abs(masks.mean() - 0.3) < 4 * np.sqrt(0.21 / masks.size)
    correlation = np.corrcoef(masks.T.astype(float)) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)

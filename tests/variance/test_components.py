"""Variance components: exact where nothing is random, unbiased and covered where all is."""

import numpy as np
import pytest

from transferlens.variance import components
from transferlens.variance.components import Spread


def test_parts_that_only_add_up_are_found_exactly():
    """Without parts of single images, components follow from variances of the planted numbers."""
    source, transfer = np.array([0.1, -0.2, 0.4]), np.array([[0.1, 0.3], [0.0, -0.1], [0.2, 0.2]])
    image = np.array([1.0, 3.0, 2.0, 0.5, 0.0])
    models = source[:, None] + transfer
    parts = components.estimate(models[:, :, None] + image)
    within = transfer.var(1, ddof=1).mean()
    assert parts.transfer.value == pytest.approx(within)
    assert parts.source.value == pytest.approx(models.mean(1).var(ddof=1) - within / 2)
    assert parts.models.value == pytest.approx(parts.source.value + within)
    assert parts.images.value == pytest.approx(image.var(ddof=1) / 5)
    assert parts.both.value == pytest.approx(0, abs=1e-12)


def test_squares_add_up_to_all_there_is():
    values = np.random.default_rng(0).normal(size=(4, 3, 6))
    squares = components._mean_squares(values)
    as_sums = (
        3 * squares.source
        + 4 * 2 * squares.transfer
        + 5 * squares.image.mean()
        + 3 * 5 * squares.source_image.mean()
        + 4 * 2 * 5 * squares.transfer_image.mean()
    )
    assert as_sums == pytest.approx(np.square(values - values.mean()).sum())


def test_planted_parts_are_found_without_bias_and_covered():
    """Images of two kinds, and parts of models on single images that are larger on one of them."""
    rng, shape = np.random.default_rng(1), (6, 2, 60)
    truth = {"source": 0.3**2, "transfer": 0.2**2, "images": 4 / 60, "both": 2.5 * 2 / 60}
    truth["models"] = truth["source"] + truth["transfer"] + truth["both"]
    found, covered = {name: [] for name in truth}, {name: [] for name in truth}
    for _ in range(400):
        image = 2 * rng.choice([-1.0, 1.0], 60)
        width = np.where(image > 0, 1.0, 2.0)
        own = rng.normal(size=(6, 1, 60)) + rng.normal(size=shape)
        values = rng.normal(0, 0.3, (6, 1, 1)) + rng.normal(0, 0.2, (6, 2, 1)) + image + width * own
        parts = components.estimate(values)
        for name, value in truth.items():
            interval = getattr(parts, name)
            found[name].append(float(interval.value))
            covered[name].append(interval.low <= value <= interval.high)
    for name, value in truth.items():
        error = np.std(found[name]) / np.sqrt(400)
        assert abs(np.mean(found[name]) - value) < 3 * error, name
        assert 0.91 < np.mean(covered[name]) < 0.985, name


def test_a_design_that_tells_nothing_is_refused():
    with pytest.raises(ValueError, match="1 transfers"):
        components.estimate(np.zeros((4, 1, 9)))


def test_repeats_to_halve_is_the_least_number_that_does():
    spread = Spread(models=1.0, images=0.005, count=500)
    wanted = int(spread.repeats_to_halve(8))
    assert spread.reach(wanted) <= spread.reach(8) / 2 < spread.reach(wanted - 1)
    # Of images that matter nothing, Student's quantiles alone decide.
    assert Spread(1.0, 0.0, 500).repeats_to_halve(8) == 25
    assert Spread(1.0, 0.1, 500).repeats_to_halve(8) == np.inf
    assert np.isnan(Spread(0.0, 0.0, 500).repeats_to_halve(8))
    # More degrees of freedom make no claim surer that says more.
    assert Spread(1.0, 0.01, 500).reach(4) == Spread(1.0, 0.01, 500).reach_on_these(4)
    assert spread.left() == pytest.approx(1.965 * np.sqrt(0.005), rel=1e-3)


def test_with_more_variance_between_models_fewer_repeats_halve_an_interval():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.5, (8, 1, 1)) + rng.normal(size=(8, 2, 300))
    interval = components.repeats_to_halve(components.estimate(values), 300, 8)
    assert 25 <= interval.low <= interval.value <= interval.high
    few = components.repeats_to_halve(components.estimate(values[:3]), 300, 3)
    assert np.isnan([few.value, few.low, few.high]).all()

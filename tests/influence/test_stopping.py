"""When models are enough: looks are planned, share their level, and can be made again from more models."""

from typing import get_args

import numpy as np
import pytest
import scipy

from tests.summaries import subset_rows, write_summary
from transferlens.core.errors import ConfigError
from transferlens.core.statistics import Interval
from transferlens.estimation import designs
from transferlens.influence import stopping
from transferlens.influence.settings import Design
from transferlens.influence.stopping import RELIABILITY, Quantity, Wanted

UNITS = [f"class {i}" for i in range(6)]
ASKED = [Quantity("class 1", "b"), Quantity("class 2"), RELIABILITY]


@pytest.fixture
def seen(tmp_path):
    """96 models in pairs; the report half has the outputs, the other one noise of its own."""
    rng = np.random.default_rng(0)
    masks = designs.draw_masks("complementary", len(UNITS), 0.5, 0, range(96))
    labels, halves = np.arange(12) % 2, np.arange(12) // 2 % 2
    values = masks @ rng.normal(0, 0.1, (len(UNITS), 12)) + rng.normal(0, 0.1, (96, 12))
    rows = subset_rows(masks, UNITS, [""] * len(UNITS))
    path = write_summary(tmp_path / "summary.h5", rows, labels, halves, ["a", "b"], p_true=values)
    found = stopping.read_seen(path, "p_true")
    np.testing.assert_allclose(found.of("b"), values[:, (labels == 1) & (halves == 1)].mean(1), atol=1e-6)
    np.testing.assert_allclose(found.of(""), values[:, halves == 1].mean(1), atol=1e-6)
    return found


@pytest.mark.parametrize(
    ("first", "most", "step", "looks"),
    [
        (128, 128, 16, [128]),
        (128, 1024, 16, [128, 256, 512, 1024]),
        (128, 320, 16, [128, 208, 320]),
        (64, 80, 16, [64, 80]),
        (16, 48, 16, [16, 32, 48]),
    ],
)
def test_looks_are_as_few_as_doublings_allow(first, most, step, looks):
    assert stopping.planned(first, most, step) == looks


@pytest.mark.parametrize(("looks", "quantities"), [(1, 1), (4, 1), (3, 5)])
def test_what_may_miss_is_shared_by_all_intervals(looks, quantities):
    missing = 1 - stopping.confidence_of_each(looks, quantities)
    assert looks * quantities * missing == pytest.approx(0.05)


@pytest.mark.parametrize("design", get_args(Design))
def test_more_models_keep_the_first_ones(design):
    fewer, more = (designs.draw_masks(design, 11, 0.5, 3, range(models)) for models in (48, 96))
    np.testing.assert_array_equal(fewer, more[:48])


def test_a_look_is_the_same_from_any_larger_summary(seen):
    first = stopping.Seen(seen.masks[:48], seen.by_class[:48], seen.overall[:48], seen.units, seen.classes)
    looks = [stopping.intervals(s, 48, ASKED, "least_squares", 0.99) for s in (first, seen)]
    assert looks[0] == looks[1]


def test_intervals_have_the_confidence_that_is_asked(seen):
    plain, wide = (
        stopping.intervals(seen, 96, ASKED, "difference_of_means", confidence) for confidence in (0.95, 0.99)
    )
    for one, other in zip(plain[:2], wide[:2], strict=True):
        quantiles = scipy.stats.t.ppf([0.975, 0.995], 47)  # 48 pairs
        assert (other.high - other.low) / (one.high - one.low) == pytest.approx(np.divide(*quantiles[::-1]))
        assert one.value == other.value
    assert wide[2].low < plain[2].low < plain[2].value


@pytest.mark.parametrize(
    ("wanted", "quantity", "low", "high", "reached"),
    [
        (Wanted(reliability=0.8), RELIABILITY, 0.81, 0.9, True),
        (Wanted(reliability=0.8), RELIABILITY, 0.79, 0.99, False),
        (Wanted(reliability=0.8), RELIABILITY, np.nan, np.nan, False),
        (Wanted(within=0.1), ASKED[0], -0.1, 0.09, True),
        (Wanted(within=0.1), ASKED[0], -0.1, 0.11, False),
        (Wanted(sign=True), ASKED[0], -0.3, -0.1, True),
        (Wanted(sign=True), ASKED[0], -0.1, 0.3, False),
        (Wanted(within=0.1, sign=True), ASKED[0], 0.1, 0.4, False),
        (Wanted(within=0.1), ASKED[0], 0.0, 0.0, False),  # an output that never varied is not known at all
    ],
)
def test_enough_is_what_the_whole_interval_says(wanted, quantity, low, high, reached):
    assert wanted.is_reached(quantity, Interval((low + high) / 2, low, high)) is reached


@pytest.mark.parametrize(
    ("estimator", "design", "asked"),
    [
        ("ridge", "bernoulli", ASKED[:1]),
        ("lasso", "hadamard", ASKED[:1]),
        ("difference_of_means", "hadamard", ASKED),
    ],
)
def test_estimators_whose_intervals_promise_too_much_are_refused(estimator, design, asked):
    with pytest.raises(ConfigError, match=r"use least_squares"):
        stopping.require_estimator(estimator, design, asked)


def test_others_are_taken():
    stopping.require_estimator("difference_of_means", "hadamard", ASKED[:2])
    stopping.require_estimator("least_squares", "hadamard", ASKED)

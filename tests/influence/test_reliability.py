"""Reliability is the squared correlation of estimates with the truth, under every design and estimator."""

import numpy as np
import pytest

from transferlens.core.statistics import Interval
from transferlens.estimation import designs, estimators
from transferlens.influence import reliability
from transferlens.influence.resampling import Outputs

UNITS, TARGETS, MODELS, REPETITIONS = 20, 8, 128, 60
DESIGNS = ("hadamard", "complementary", "bernoulli", "fixed_size")


def centred(effects):
    return effects - effects.mean(-1, keepdims=True)


@pytest.mark.parametrize("design", DESIGNS)
def test_reliability_is_right_within_five_percent(design):
    """The truth is what many studies' estimates have in common, as a share of their spread."""
    rng = np.random.default_rng(0)
    effects = 0.25 * rng.normal(0.3, 1, (TARGETS, UNITS))
    names = ("least_squares", "difference_of_means", "ridge")
    estimates, found = {name: [] for name in names}, {name: [] for name in names}
    for seed in range(4 * REPETITIONS):
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(MODELS))
        values = masks @ effects.T + 0.3 * rng.normal(size=(MODELS, 1)) + rng.normal(size=(MODELS, TARGETS))
        for name in names:
            fitted = estimators.make(name, masks, values)
            estimates[name].append(centred(fitted.coefficients(values).astype(float)))
            if seed < REPETITIONS:
                above, below = told(Outputs(masks, values), name)
                found[name].append(above / below)
    for name in names:
        spread = np.square(estimates[name]).sum((1, 2)).mean()
        truth = 1 - np.var(estimates[name], axis=0, ddof=1).sum() / spread
        assert np.mean(found[name]) == pytest.approx(truth, rel=0.05)


def told(means, name):
    """The value alone, without refits for its interval."""
    unbiased = reliability.unbiased(means.masks, name)
    return reliability.passed_on(means, unbiased, name)


def test_the_interval_holds_the_value_and_is_that_of_the_unbiased_estimates_for_the_others():
    rng = np.random.default_rng(0)
    masks = designs.draw_masks("hadamard", UNITS, 0.5, 0, range(MODELS))
    values = masks @ rng.normal(0, 0.3, (UNITS, TARGETS)) + rng.normal(size=(MODELS, TARGETS))
    by_name = {
        name: reliability.reliability(Outputs(masks, values), name, MODELS)
        for name in ("least_squares", "difference_of_means", "ridge")
    }
    for found in by_name.values():
        assert found.low < found.value < found.high <= 1
    odds = [f.value / (1 - f.value) * (1 - f.low) / f.low for f in by_name.values()]
    np.testing.assert_allclose(odds, odds[0])


def test_intervals_cover():
    rng, found = np.random.default_rng(0), []
    effects = 0.3 * rng.normal(size=(TARGETS, UNITS))
    error = TARGETS * (UNITS - 1) * 4 * 1.09 / MODELS  # of 128 models of three whole blocks and a bit
    spread = np.square(centred(effects)).sum()
    for seed in range(100):
        masks = designs.draw_masks("hadamard", UNITS, 0.5, seed, range(MODELS))
        values = masks @ effects.T + 0.3 * rng.normal(size=(MODELS, 1)) + rng.normal(size=(MODELS, TARGETS))
        found.append(reliability.reliability(Outputs(masks, values), "least_squares", MODELS))
    truth = spread / (spread + error)
    assert np.mean([f.low < truth < f.high for f in found]) > 0.92


def test_balanced_blocks_with_no_pair_to_spare_do_not_tell():
    """Two models a class: differences of means count other classes as noise, and nothing else is left."""
    masks = designs.draw_masks("hadamard", UNITS, 0.5, 0, range(40))
    values = np.random.default_rng(0).normal(size=(40, TARGETS))
    for name in ("least_squares", "difference_of_means", "ridge"):
        assert np.isnan(reliability.reliability(Outputs(masks, values), name, 40).value)


@pytest.mark.parametrize("design", DESIGNS)
def test_as_many_models_as_are_needed_reach_what_is_wanted(design):
    """Judged by the odds of the reliability, which are as the number of models."""
    rng = np.random.default_rng(0)
    effects = 0.25 * rng.normal(0.3, 1, (TARGETS, UNITS))

    def study(models, seed):
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
        return Outputs(masks, masks @ effects.T + rng.normal(size=(models, TARGETS)))

    for name in ("least_squares", "difference_of_means", "ridge"):
        told = [reliability.models_needed(study(MODELS, seed), name).value for seed in range(20)]
        models = int(np.mean(told)) // 2 * 2
        estimates = [
            estimators.make(name, s.masks, s.values).coefficients(s.values).astype(float)
            for s in (study(models, 1000 + seed) for seed in range(60))
        ]
        errors = np.var([centred(e) for e in estimates], axis=0, ddof=1).sum()
        common = np.square(np.mean([centred(e) for e in estimates], axis=0)).sum() - errors / 60
        assert common / errors == pytest.approx(9, rel=0.1)


def test_no_number_of_models_is_enough_where_nothing_is_there():
    masks = designs.draw_masks("bernoulli", UNITS, 0.5, 0, range(64))
    values = np.random.default_rng(0).normal(size=(64, TARGETS))
    needed = reliability.models_needed(Outputs(masks, values), "difference_of_means")
    assert needed.high == np.inf


def test_an_interval_that_reaches_one_stays_there_when_it_is_rescaled():
    """The odds of a reliability of one are infinite."""
    found = reliability._rescaled(Interval(0.8, 0.5, 1.0), 0.9)
    np.testing.assert_allclose((found.low, found.high), (9 / 13, 1.0))

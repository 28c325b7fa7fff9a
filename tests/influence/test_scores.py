"""Scores of influence estimates, where the right answer is known."""

import numpy as np
import pytest

from transferlens.core.statistics import Interval
from transferlens.estimation import designs
from transferlens.influence import scores

MODELS, CLASSES, EXAMPLES = 320, 20, 200


def simulate(noise, models=MODELS, seed=0):
    """Additive outputs with effects of unit variance: signal variance CLASSES / 4; and a repetition
    of all rows.
    """
    rng = np.random.default_rng(seed)
    masks = designs.draw_masks("hadamard", CLASSES, 0.5, seed, range(models))
    effects = rng.normal(size=(CLASSES, EXAMPLES))
    signal = masks @ (effects * np.sqrt(CLASSES / (effects**2).sum(0)))
    first, again = (signal + noise * rng.normal(size=signal.shape) for _ in range(2))
    return scores.Outputs(masks, first.astype(np.float32)), again


def test_score_and_ceiling_meet_their_closed_forms():
    """With noise variance s2 and signal variance v: the ceiling is sqrt(v / (v + s2)); the score
    comes near.
    """
    outputs, again = simulate(noise=2.0)
    highest = np.sqrt(5 / (5 + 4))
    found = scores.ceiling(outputs, again[:160])
    assert found.low < highest < found.high
    assert found.high - found.low < 0.04
    # 256 models estimate each effect with error variance 4 s2 / 256: the prediction has 20 such errors / 4.
    expected = highest * np.sqrt(1 / (1 + 4 * 4 / 256))
    for name in ("least_squares", "ridge"):
        score = scores.score(outputs, name, 1.0, only_whole=False)
        assert score.value == pytest.approx(expected, abs=0.015)
        assert score.low < score.value < score.high
    fewer = scores.score(outputs, "ridge", 0.25, only_whole=False)
    assert fewer.high < score.low


def test_noise_predicts_nothing():
    rng = np.random.default_rng(0)
    masks = designs.draw_masks("bernoulli", CLASSES, 0.5, 0, range(200))
    outputs = scores.Outputs(masks, rng.normal(size=(200, 300)).astype(np.float32))
    found = scores.score(outputs, "difference_of_means", 1.0, only_whole=False)
    assert abs(found.value) < 0.06
    assert scores.ceiling(outputs, rng.normal(size=(100, 300))).value < 0.2
    assert abs(scores.reliability(outputs, "difference_of_means", 200).value) < 0.2


def test_constant_outputs_have_no_score():
    masks = designs.draw_masks("hadamard", CLASSES, 0.5, 0, range(80))
    outputs = scores.Outputs(masks, np.ones((80, 5), np.float32))
    assert np.isnan(scores.score(outputs, "ridge", 1.0, only_whole=False).value)


def test_too_few_models_for_an_estimator_have_no_score():
    outputs, _ = simulate(noise=1.0, models=40)
    assert np.isnan(scores.score(outputs, "least_squares", 0.25, only_whole=False).value)
    assert np.isnan(scores.reliability(outputs, "least_squares", 16).value)


def test_reliability_is_the_share_of_variance_that_is_not_error():
    """Bernoulli masks, difference of means: error variance is 4 (signal + noise) / models, at each
    half twice it.
    """
    rng, models = np.random.default_rng(0), 800
    masks = designs.draw_masks("bernoulli", CLASSES, 0.5, 0, range(models))
    values = masks @ rng.normal(size=(CLASSES, 60)) + 6 * rng.normal(size=(models, 60))
    found = scores.reliability(scores.Outputs(masks, values), "difference_of_means", models)
    expected = 1 / (1 + 4 * (5 + 36) / models)
    assert found.value == pytest.approx(expected, abs=0.03)
    assert found.low <= found.value <= found.high


def test_models_needed_follow_spearman_and_brown():
    needed = scores.models_needed(Interval(0.8, 0.75, 0.85), 100)
    assert needed.value == pytest.approx(225)  # odds of .9 are 9, of .8 are 4
    assert needed.low == pytest.approx(900 * 0.15 / 0.85)
    assert needed.high == pytest.approx(300)
    assert scores.models_needed(Interval(0.1, -0.1, 0.3), 100).high == np.inf


def test_correlations_ignore_columns_without_spread_and_leave_out_draws():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 3))
    x, y = x - x.mean(0), y - y.mean(0)
    x[:, 2] = 0
    found = scores.mean_correlation(x, y, np.arange(30))
    expected = np.mean([np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(2)])
    assert found.value == pytest.approx(expected)
    pairs = scores.mean_correlation(x, y, np.arange(30) // 2)
    assert pairs.value == pytest.approx(expected)
    assert pairs.low != found.low

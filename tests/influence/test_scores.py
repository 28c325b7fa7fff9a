"""Scores of influence estimates, where the right answer is known."""

import numpy as np
import pytest

from transferlens.estimation import designs
from transferlens.influence import reliability, scores

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
        score = scores.score(outputs, name, 1.0, slow=False)
        assert score.value == pytest.approx(expected, abs=0.015)
        assert score.low < score.value < score.high
    fewer = scores.score(outputs, "ridge", 0.25, slow=False)
    assert fewer.high < score.low


def test_noise_predicts_nothing():
    rng = np.random.default_rng(0)
    masks = designs.draw_masks("bernoulli", CLASSES, 0.5, 0, range(200))
    outputs = scores.Outputs(masks, rng.normal(size=(200, 300)).astype(np.float32))
    found = scores.score(outputs, "difference_of_means", 1.0, slow=False)
    assert abs(found.value) < 0.06
    assert scores.ceiling(outputs, rng.normal(size=(100, 300))).value < 0.2
    assert abs(reliability.reliability(outputs, "difference_of_means", 200).value) < 0.2


def test_constant_outputs_have_no_score():
    masks = designs.draw_masks("hadamard", CLASSES, 0.5, 0, range(80))
    outputs = scores.Outputs(masks, np.ones((80, 5), np.float32))
    assert np.isnan(scores.score(outputs, "ridge", 1.0, slow=False).value)


def test_too_few_models_for_an_estimator_have_no_score():
    outputs, _ = simulate(noise=1.0, models=40)
    assert np.isnan(scores.score(outputs, "least_squares", 0.25, slow=False).value)
    assert np.isnan(reliability.reliability(outputs, "least_squares", 40).value)


def test_lasso_is_scored_without_an_interval():
    outputs, _ = simulate(noise=1.0, models=80)
    few = scores.Outputs(outputs.masks, outputs.values[:, :3])
    whole, part = (scores.score(few, "lasso", share, slow=True) for share in (1.0, 0.5))
    assert 0 < whole.value <= 1
    assert np.isnan([whole.low, whole.high, part.value]).all()


@pytest.mark.parametrize("repeated", [16, 32])
def test_the_ceiling_of_few_repeated_models_is_unbiased_and_covered(repeated):
    """Examples differ in their ceilings, as real ones do; the mean of their roots would be another number."""
    rng, found = np.random.default_rng(0), []
    signal = rng.gamma(1.0, 0.3, 100)
    truth = np.sqrt(np.mean(signal / (signal + 1)))
    effects = rng.normal(size=(CLASSES, 100))
    effects *= np.sqrt(4 * signal / (effects**2).sum(0))
    for seed in range(200):
        masks = designs.draw_masks("hadamard", CLASSES, 0.5, seed, range(128))
        shared = 0.5 * rng.normal(size=(2, 128, 1))  # models differ in all examples at once
        first, again = masks @ effects + shared + np.sqrt(0.75) * rng.normal(size=(2, 128, 100))
        found.append(scores.ceiling(scores.Outputs(masks, first.astype(np.float32)), again[:repeated]))
    assert np.mean([f.value for f in found]) == pytest.approx(truth, abs=0.01)
    assert 0.9 < np.mean([f.low < truth < f.high for f in found]) < 0.985


@pytest.mark.parametrize(
    ("design", "name"), [("hadamard", "least_squares"), ("bernoulli", "difference_of_means")]
)
def test_intervals_of_scores_know_that_other_models_would_have_been_learnt_from(design, name):
    """Of held-out models alone, they would hold the expected score in 68 to 78 of 100 studies."""
    rng, found = np.random.default_rng(0), []
    effects = 0.6 * rng.normal(size=(CLASSES, 30))
    for seed in range(60):
        masks = designs.draw_masks(design, CLASSES, 0.5, seed, range(80))
        values = masks @ effects + rng.normal(size=(80, 1)) + 2 * rng.normal(size=(80, 30))
        found.append(scores.score(scores.Outputs(masks, values.astype(np.float32)), name, 1.0, slow=False))
    expected = np.mean([f.value for f in found])
    assert np.mean([f.low < expected < f.high for f in found]) > 0.88

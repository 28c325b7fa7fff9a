"""The strongest classes are reported as strong as they are."""

import numpy as np
import pytest

from transferlens.estimation import crossfit, designs, estimators
from transferlens.influence import extremes

UNITS, TARGETS, REPETITIONS = 20, 6, 120


def reports(design, models, effects, rng):
    """Extremes of either end of each target class, from models whose noise both halves of images share."""
    masks = designs.draw_masks(design, UNITS, 0.5, int(rng.integers(1 << 30)), range(models))
    shared = masks @ effects.T + rng.normal(size=(models, TARGETS))
    halves = [shared + 0.2 * rng.normal(size=shared.shape) for _ in range(2)]
    folds = crossfit.divide(masks, "least_squares")
    found = []
    for f in range(crossfit.FOLDS):
        chosen = folds.of_model == f
        outputs = np.concatenate([half[chosen] for half in halves], axis=1)
        found.append(
            estimators.make(folds.estimator, masks[chosen], outputs).effects(outputs, exact_df=False)
        )
    effect, se = (
        np.stack([getattr(fold, part) for fold in found]).reshape(2, 2, TARGETS, UNITS)
        for part in ("effect", "se")
    )
    df = np.array([fold.df for fold in found])
    ends = [extremes.choose(effect[:, 0], effect[:, 1], se[:, 1], df, sign) for sign in (1, -1)]
    naive = [sign * (sign * effect[0, 1]).max(1) for sign in (1, -1)]
    return ends, naive


@pytest.mark.parametrize(
    ("design", "models"), [("hadamard", 128), ("complementary", 48), ("bernoulli", 64), ("fixed_size", 64)]
)
def test_extremes_are_unbiased_and_their_intervals_cover(design, models):
    """Noise that both halves of images share is as large as the spread of effects, as in real studies."""
    rng = np.random.default_rng(0)
    effects = 0.3 * rng.normal(size=(TARGETS, UNITS))
    effects -= effects.mean(1, keepdims=True)  # what masks of a fixed size can tell
    errors, told, covered, winners = [], [], [], []
    for _ in range(REPETITIONS):
        ends, naive = reports(design, models, effects, rng)
        for sign, end, largest in zip((1, -1), ends, naive, strict=True):
            truth = effects[np.arange(TARGETS), end.classes[:, :, 0]].mean(0)
            errors.append(sign * (end.value[:, 0] - truth))
            told.append(end.se[:, 0])
            covered.append((end.low[:, 0] < truth) & (truth < end.high[:, 0]))
            winners.append(sign * largest - (sign * effects).max(1))
    assert abs(np.mean(errors)) < 0.1 * np.mean(told)
    assert 0.925 < np.mean(covered) < 0.985
    assert np.mean(winners) > 0.1  # what the choosing models themselves would report


def test_places_are_ranked_and_q_is_over_all_that_is_reported():
    choosing = np.array([[[3.0, 1.0, 2.0]], [[3.0, 2.0, 1.0]]])
    found = extremes.choose(choosing, choosing, np.full((2, 1, 3), 0.1), np.array([20, 20]), 1, places=2)
    units = np.array(["a", "b", "c"])
    assert [found.names(0, place, units) for place in range(2)] == ["a", "c / b"]
    np.testing.assert_allclose(found.value, [[3.0, 1.0]])
    both = extremes.joint_q([found, found])
    assert [q.shape for q in both] == [(1, 2)] * 2
    assert (both[0] >= found.p).all()

"""Influences of classes on scores: planted ones are found, chance that models share is not taken for them."""

import numpy as np
import pytest

from tests.conftest import rows_of
from tests.transferability.planted import score, static
from transferlens.core import labelled
from transferlens.estimation import fold_correlations
from transferlens.transferability import class_effects
from transferlens.transferability.artefacts import CLASS_EFFECTS
from transferlens.transferability.candidates import Transferred
from transferlens.transferability.class_effects import Outputs

CLASSES = 12
SETTINGS = {"estimator": "least_squares", "permutations": 400, "seed": 0}


def masks_of(rng, pairs=24):
    first = rng.random((pairs, CLASSES)) < 0.5
    return np.stack([first, ~first], axis=1).reshape(-1, CLASSES)


def transferred(masks, accuracy) -> Transferred:
    rows = rows_of(masks, unit_names=[f"class {i}" for i in range(CLASSES)])
    nothing = np.zeros(len(masks))
    return Transferred(rows, np.arange(len(masks)), accuracy, nothing, nothing)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A score that sees the classes, one that sees the chance of models only, one known for a part."""
    rng = np.random.default_rng(0)
    masks, effects = masks_of(rng, 48), np.linspace(-1, 1, CLASSES)
    chance = rng.normal(0, 0.3, len(masks))
    accuracy = masks @ effects + chance
    seeing, blind = masks @ effects + rng.normal(0, 0.3, len(masks)), chance + rng.normal(0, 0.1, len(masks))
    partly = np.where(np.arange(len(masks)) < 5, np.nan, accuracy)
    rankers = [score(seeing, "seeing"), score(blind, "blind"), score(partly, "partly"), static(accuracy, "a")]
    path = tmp_path_factory.mktemp("effects") / "influences.h5"
    units = [f"class {i}" for i in range(CLASSES)]
    class_effects.write_effects(path, rankers, transferred(masks, accuracy), SETTINGS, units)
    return labelled.read(path, CLASS_EFFECTS), masks, seeing


def test_a_score_that_sees_classes_agrees_and_one_that_sees_chance_does_not(stored):
    made, _, _ = stored
    seeing, blind = made.sel(ranker="seeing"), made.sel(ranker="blind")
    assert seeing.correlation > 0.9
    assert seeing.p_holm < 0.05
    assert seeing.correlation_low > 0.7
    assert blind.p_holm > 0.05
    assert blind.correlation_low < 0 < blind.correlation_high
    assert float(made.ceiling) > 0.9


def test_effects_are_in_standard_deviations_of_the_score(stored):
    made, masks, seeing = stored
    signs, difference = np.where(masks[0::2], 1, -1), seeing[0::2] - seeing[1::2]
    expected = np.linalg.lstsq(signs, difference, rcond=None)[0] / seeing.std(ddof=1)
    np.testing.assert_allclose(made.effect.sel(ranker="seeing"), expected, atol=1e-5)
    assert float(made.effect_q.sel(ranker="seeing", unit="class 11")) < 0.001


def test_a_score_with_unknown_values_is_left_out_with_its_reason(stored):
    made, _, _ = stored
    partly = made.sel(ranker="partly")
    assert str(partly.missing.item()) == "unknown for 5 of 96 models"
    assert partly.effect.isnull().all()
    assert np.isnan(partly.correlation)
    assert np.isnan(made.p_holm.sel(ranker="a"))
    assert len(class_effects.table(made)) == 4 * CLASSES


def test_what_follows_from_masks_has_no_effects():
    rankers = [static(np.zeros(3), name) for name in ("source classes", "source images", "source accuracy")]
    assert [r.name for r in class_effects.with_effects(rankers)] == ["source accuracy"]


def test_crossing_folds_takes_away_what_models_share():
    """Chance that score and accuracy share, without any effect of classes: over many studies."""
    crossed, same, low = [], [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        masks = masks_of(rng)
        chance = rng.normal(size=len(masks))
        values = chance[:, None] + 0.1 * rng.normal(size=(len(masks), 2))
        folds, _, _ = class_effects.effects_by_fold(Outputs(masks, values, "difference_of_means"))
        crossed.append(fold_correlations.correlation(folds[:, 1], folds[:, 0]))
        same.append(fold_correlations.correlation(folds[:, 1], folds[::-1, 0]))
        null = fold_correlations.exchanged(folds[:, 1], folds[:, 0], 100, rng)
        low.append((null >= crossed[-1]).mean() < 0.05)
    assert abs(np.mean(crossed)) < 0.08
    assert np.mean(same) > 0.9
    assert np.mean(low) < 0.12


def test_few_models_have_effects_but_no_folds(tmp_path):
    rng = np.random.default_rng(3)
    masks = masks_of(rng, 6)
    accuracy = rng.random(12)
    path, units = tmp_path / "influences.h5", [f"class {i}" for i in range(CLASSES)]
    class_effects.write_effects(path, [score(accuracy)], transferred(masks, accuracy), SETTINGS, units)
    made = labelled.read(path, CLASS_EFFECTS)
    assert made.attrs["estimator"] == "difference_of_means"
    assert "12 models do not make two folds" in made.attrs["folds_missing"]
    assert np.isnan(made.correlation).all()
    assert np.isfinite(made.effect).all()

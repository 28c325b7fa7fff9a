"""Drift by source class: what is planted is found, and models that err alike mislead no one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.dynamics.drifting import (
    ADDED,
    AXES,
    CLASSES,
    LAYERS,
    MOVED,
    MOVING,
    UNITS,
    masks_of,
    paired,
    planted,
    write_shard,
)
from transferlens.core import labelled
from transferlens.core.errors import ArtefactError, DataError
from transferlens.dynamics.drift import correlations, retrained, stored
from transferlens.dynamics.drift.artefacts import DRIFT_INFLUENCE, OUTCOMES
from transferlens.dynamics.drift.chosen import strongest
from transferlens.dynamics.drift.effects import effects_of, own
from transferlens.dynamics.drift.read import read_drifts
from transferlens.estimation import crossfit, estimators

NONE = "there are none"


def told_of(path, drifts, removed=NONE, estimator="least_squares"):
    stored.write(path, drifts, removed, estimator, 0)
    return labelled.read(path, DRIFT_INFLUENCE)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    rng = np.random.default_rng(0)
    return told_of(tmp_path_factory.mktemp("drift") / "a.h5", planted(rng, masks_of()))


def test_the_class_that_moves_a_layer_is_found_where_and_when_it_does(told):
    q = told.drift_effect_q
    moved = {"layer": LAYERS[MOVED], "step": 40, "source_class": CLASSES[MOVING]}
    assert (q.sel(moved) < 1e-6).all()  # on both domains
    assert ((told.drift_effect_low.sel(moved) < ADDED) & (told.drift_effect_high.sel(moved) > ADDED)).all()
    others = q.where((q.layer != LAYERS[MOVED]) | (q.step != 40) | (q.source_class != CLASSES[MOVING]))
    assert others.min() > 0.01
    assert strongest(told, "digits", 2).classes[:, 0].tolist() == [MOVING, MOVING]


def test_the_class_is_told_by_models_that_did_not_choose_it(tmp_path):
    rng, masks = np.random.default_rng(1), masks_of()
    drifts = planted(rng, masks)
    folds = crossfit.divide(masks, "least_squares")
    before = strongest(told_of(tmp_path / "a.h5", drifts), "digits", 3)
    drifts.drift[folds.of_model == 1] += rng.normal(0, 0.02, drifts.drift[folds.of_model == 1].shape)
    after = strongest(told_of(tmp_path / "b.h5", drifts), "digits", 3)
    np.testing.assert_array_equal(before.classes[0], after.classes[0])  # chosen by fold 0, told by fold 1
    assert (before.effect[0] != after.effect[0]).all()
    told = effects_of(masks, drifts.drift[:, 0, :, -1], "least_squares", folds).by_fold[1]
    np.testing.assert_allclose(after.effect[0], told[:, after.classes[0]].T, rtol=1e-6)


@pytest.mark.parametrize(
    ("design", "models", "name"),
    [
        ("complementary", 64, "least_squares"),
        ("bernoulli", 40, "difference_of_means"),
        ("hadamard", 64, "ridge"),
    ],
)
def test_effects_are_the_estimators_of_influences(design, models, name):
    masks = masks_of(design, models)
    outputs = np.random.default_rng(0).normal(size=(models, 2, 3))
    found = effects_of(masks, outputs, name, None)
    oracle = estimators.make(name, masks, outputs.reshape(models, 6)).effects(outputs.reshape(models, 6))
    np.testing.assert_allclose(found.effect.reshape(6, UNITS), oracle.effect, rtol=1e-6)
    np.testing.assert_allclose(found.p.reshape(6, UNITS), oracle.p(), rtol=1e-6)
    low = oracle.effect - stats.t.ppf(0.975, oracle.df) * oracle.se
    np.testing.assert_allclose(found.low.reshape(6, UNITS), low, rtol=1e-5)


def test_undefined_drift_is_nan_and_spoils_nothing_else_and_layers_that_rest_have_no_effect():
    masks, rng = masks_of(), np.random.default_rng(0)
    outputs = rng.normal(size=(64, 4))
    clean = effects_of(masks, outputs, "least_squares", None)
    outputs[5, 1], outputs[:, 2] = np.nan, 0
    folds = crossfit.divide(masks, "least_squares")
    found = effects_of(masks, outputs, "least_squares", folds)
    for part in ("effect", "se", "low", "high", "p"):
        assert np.isnan(getattr(found, part)[1]).all()
        np.testing.assert_allclose(getattr(found, part)[[0, 3]], getattr(clean, part)[[0, 3]], rtol=1e-5)
    assert (found.effect[2] == 0).all()
    assert (found.p[2] == 1).all()
    np.testing.assert_array_equal(
        np.isnan(found.by_fold_p[:, 1]).all(1), [folds.of_model[5] == fold for fold in range(2)]
    )


def test_intervals_of_drift_effects_cover():
    rng, hits, false = np.random.default_rng(0), [], []
    for seed in range(60):
        masks = masks_of(seed=seed)
        found = effects_of(masks, planted(rng, masks, shared=1).drift, "least_squares", None)
        truth = np.zeros(found.effect.shape)
        truth[:, MOVED, -1, MOVING] = ADDED
        hits.append((found.low < truth) & (truth < found.high))
        false.append(found.p[:, 0] < 0.05)
    assert 0.935 < np.mean(hits) < 0.965
    assert 0.035 < np.mean(false) < 0.065


def test_models_that_err_alike_correlate_effects_and_folds_that_share_no_model_do_not(monkeypatch):
    """No class does anything: the same models' effects on drift and accuracy go together all the same."""
    monkeypatch.setattr(correlations, "PERMUTATIONS", 19)
    rng, same, crossed = np.random.default_rng(0), [], []
    for seed in range(40):
        masks = masks_of(seed=seed)
        drifts, folds = planted(rng, masks, added=0, shared=2), crossfit.divide(masks, "least_squares")
        drift, accuracy = (
            effects_of(masks, of, "least_squares", folds)
            for of in (drifts.drift[:, 0, 0, 0], drifts.accuracy[:, 0])
        )
        same.append(stats.spearmanr(drift.effect, accuracy.effect).statistic)
        crossed.append(correlations.across_folds(drift.by_fold, accuracy.by_fold, rng).value)
    assert np.mean(same) > 0.6
    assert abs(np.mean(crossed)) < 3 * np.std(crossed) / np.sqrt(len(crossed))


def test_correlations_by_hand():
    """Against SciPy, one way and the other; leaving out a class, and exchanging classes."""
    rng = np.random.default_rng(0)
    drift, outcome = rng.normal(size=(2, 2, 9))
    outcome += 0.3 * drift[::-1]
    found = correlations.across_folds(drift, outcome, rng)
    ways = [stats.spearmanr(drift[f], outcome[1 - f]).statistic for f in range(2)]
    np.testing.assert_allclose(found.value, np.mean(ways))
    without = [
        np.mean([stats.spearmanr(np.delete(drift[f], i), np.delete(outcome[1 - f], i))[0] for f in range(2)])
        for i in range(9)
    ]
    spread = np.arctanh(without)
    reach = stats.t.ppf(0.975, 8) * np.sqrt(8 / 9 * np.square(spread - spread.mean()).sum())
    np.testing.assert_allclose(found.low, np.tanh(np.arctanh(found.value) - reach))
    shuffled = [
        (stats.spearmanr(drift[0][order], outcome[1]).statistic
         + stats.spearmanr(drift[1], outcome[0][order]).statistic) / 2
        for order in (rng.permutation(9) for _ in range(400))
    ]  # fmt: skip
    expected = 2 * np.mean(np.array(shuffled) >= found.value)
    assert abs(found.p - expected) < 6 * np.sqrt(expected / 2 / 400) + 1e-3
    assert np.isnan(correlations.across_folds(np.ones((2, 9)), outcome, rng).value)
    assert np.isnan(correlations.across_folds(drift[:, :4], outcome[:, :4], rng).value)  # of four classes


def test_p_of_correlations_is_uniform_where_classes_have_nothing_in_common(monkeypatch):
    """Also where drift and outcome share all the chance of their models, so that both ways are one."""
    monkeypatch.setattr(correlations, "PERMUTATIONS", 499)
    rng, p = np.random.default_rng(0), []
    for _ in range(120):
        drift, outcome = rng.normal(size=(2, 2, 4, UNITS))
        outcome[:, 2:] = drift[:, 2:]
        p.append(correlations.across_folds(drift, outcome, rng).p)
    for cells in (slice(2), slice(2, None)):
        assert stats.kstest(np.array(p)[:, cells].ravel(), "uniform").pvalue > 0.01


def test_outcomes_and_reliabilities(told):
    own_effect = told.outcome_effect.sel(outcome="own_retention", step=40)
    np.testing.assert_allclose(own_effect, 0.1, atol=0.03)  # seeing a class is kept of the class itself
    assert told.outcome_effect_q.sel(outcome="own_retention").max() < 0.01
    assert told.outcome_effect_q.sel(outcome="accuracy").min() > 0.01
    assert list(told.outcome.values) == list(OUTCOMES)
    assert told.own_retention_missing == told.folds_missing == ""
    assert told.retrained_missing == NONE
    by_fold = told.drift_effect_by_fold.sel(domain="digits", layer=LAYERS[0], step=40).values
    expected = stats.spearmanr(*by_fold).statistic
    reliability = told.drift_reliability.sel(domain="digits", layer=LAYERS[0], step=40)
    np.testing.assert_allclose(reliability, expected)
    tested = told.correlation_q.sel(outcome="accuracy", domain="digits")
    p = told.correlation_p.sel(outcome="accuracy", domain="digits").values
    np.testing.assert_allclose(tested, stats.false_discovery_control(p.ravel()).reshape(p.shape))


def test_the_diagonal_is_each_classs_effect_on_itself():
    masks, outputs = masks_of(), np.random.default_rng(0).normal(size=(64, 2, UNITS))
    folds = crossfit.divide(masks, "least_squares")
    whole = effects_of(masks, outputs, "least_squares", folds)
    of_itself = own(whole)
    for unit in (0, 7):
        np.testing.assert_array_equal(of_itself.effect[:, unit], whole.effect[:, unit, unit])
        np.testing.assert_array_equal(of_itself.by_fold[:, :, unit], whole.by_fold[:, :, unit, unit])


def test_what_cannot_be_told_has_its_reason(tmp_path):
    rng = np.random.default_rng(0)
    few = planted(rng, masks_of("bernoulli", 14))
    few.class_retention[:, -1, :, :2] = np.nan
    told = told_of(tmp_path / "a.h5", few, estimator="difference_of_means")
    assert "14 models do not make two folds of at least 8 models" in told.folds_missing
    assert told.own_retention_missing.startswith("2 of 12 source classes have fewer than 32 probe images")
    assert told.outcome_effect.sel(outcome="own_retention").isnull().all()
    assert "correlation" not in told
    masks = masks_of()
    masks[:, 4] = True
    with pytest.raises(DataError, match="influence of 'class 4' cannot be estimated: 64 of 64 models saw it"):
        stored.write(tmp_path / "b.h5", planted(rng, masks), NONE, "difference_of_means", 0)


def test_retrained_models_are_compared_repeat_by_repeat(tmp_path):
    """What repeats share, ten times what they do not, is no part of the difference."""
    rng = np.random.default_rng(0)
    reference, removals = paired(rng)
    found = retrained.compare(reference, removals, "full", ["top", "bottom"], [2, 4])
    np.testing.assert_allclose(found.change.value[0, 1], 0.2, atol=0.005)
    np.testing.assert_allclose(found.change.value[1], 0, atol=0.005)
    assert (found.change.high - found.change.low).max() < 0.02 < (found.drift.high - found.drift.low).min()
    told = told_of(tmp_path / "a.h5", planted(rng, masks_of()), found)
    assert told.repeats == 4
    np.testing.assert_array_equal(told.retrained_change.sel(order="top", k=4), found.change.value[0, 1])
    np.testing.assert_allclose(told.full_drift, reference.drift[0::2].mean(0))
    reference.rows.training_seeds[0] = 5
    with pytest.raises(
        ArtefactError, match="repeat 0 has no model of the whole source that began with its seed"
    ):
        retrained.compare(reference, removals, "full", ["top", "bottom"], [2, 4])


def test_shards_are_read_in_order_without_the_start_and_other_places_are_refused(tmp_path):
    drifts = planted(np.random.default_rng(0), masks_of())
    paths = [
        write_shard(tmp_path / f"{i}.h5", drifts, chosen)
        for i, chosen in enumerate((slice(40), slice(40, None)))
    ]
    found = read_drifts(paths)
    for name in ("drift", "retention", "class_retention", "accuracy", "margin"):
        np.testing.assert_array_equal(getattr(found, name), getattr(drifts, name))
    assert found.axes == AXES
    np.testing.assert_array_equal(found.rows.masks, drifts.rows.masks)
    with pytest.raises(ArtefactError, match="holds rows 0 to 39 of its study where rows from 64 on"):
        read_drifts(paths[::-1])
    with pytest.raises(ArtefactError, match="models were looked at on other layers, steps or images"):
        read_drifts(paths, replace(AXES, steps=[10, 50]))

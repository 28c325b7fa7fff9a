"""Rivals are compared with influences that share no model with what predicts them."""

import numpy as np
import pytest

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed
from transferlens.core.studies import Reference
from transferlens.data.units import class_units
from transferlens.influence import rivals
from transferlens.training import engine, features, networks, source
from transferlens.training.recipes.settings.plain import FullSettings

rng = np.random.default_rng(0)
TRUTH = rng.normal(size=(10, 20))
SAME = np.eye(10, 20, dtype=bool)


def folds_of(noise, seed):
    errors = np.random.default_rng(seed).normal(size=(2, 10, 20)) * noise  # of a fold, on both halves
    return rivals.Folds(TRUTH + errors, TRUTH + errors, [f"c{i}" for i in range(20)], "")


def test_the_truth_reaches_what_is_reachable_and_chance_nothing():
    shares, chance = [], []
    for seed in range(30):
        blind = np.random.default_rng(1000 + seed).normal(size=TRUTH.shape)
        found, of_reachable = rivals.compare(folds_of(1.0, seed), [TRUTH, blind], SAME)
        shares.append([row[0].value for row in of_reachable])
        chance.append(found[2][0].value)
    other, truth, _ = np.mean(shares, axis=0)
    assert truth == pytest.approx(1, abs=0.03)
    assert other == pytest.approx(np.sqrt(0.5), abs=0.04)  # half of a fold's variance is truth
    assert np.mean(chance) == pytest.approx(0, abs=0.04)


def test_pairs_of_one_name_are_left_out_and_names_then_tell_nothing():
    predictor = np.where(SAME, -100.0, TRUTH)
    folds = rivals.Folds(*[np.stack([TRUTH, TRUTH])] * 2, [f"c{i}" for i in range(20)], "")
    found, _ = rivals.compare(folds, [predictor, SAME.astype(float)], SAME)
    everything, others = found[1]
    assert everything.value < others.value == pytest.approx(1)
    assert np.isfinite(found[2][0].value)
    assert np.isnan(found[2][1].value)


def test_nothing_is_compared_without_folds():
    folds = rivals.Folds(*[np.full((2, 10, 20), np.nan)] * 2, [], "too few")
    assert np.isnan([i.value for row in rivals.compare(folds, [TRUTH], SAME)[0] for i in row]).all()


def test_ties_go_to_the_higher_probability():
    shares, probability = np.array([[0.5, 0.0, 0.0]]), np.array([[0.1, 0.2, 0.3]])
    assert rivals.without_ties(shares, probability).tolist() == [[2, 0, 1]]


def test_rivals_come_from_full_source_models_class_by_class(textures, tmp_path):
    """The source's own images as the target: shares and cosines by the networks themselves."""
    made, train, val = textures
    rows = Reference.draw({"seed": 0}, class_units(made), range(2), {}, made)
    short = FullSettings(training=changed(TRAINING, epochs=1))
    shard = tmp_path / "0.h5"
    source.train_shard(shard, rows, made.train.labels, list(CLASSES), train, val, ARCHITECTURE, short, False)
    paths = {}
    for name, images in (("train", train), ("val", val)):
        paths[name] = [tmp_path / f"{name}.h5"]
        features.write_features(paths[name][0], shard, images, made.class_names, ARCHITECTURE)
    found = rivals.rivals(paths["train"], paths["val"], made, made, list(CLASSES))
    (network,) = networks.source_networks([shard], ARCHITECTURE, train.device, [0])
    logits = engine.evaluate(network, train)
    for c in range(len(CLASSES)):
        of_class = logits[made.train.labels == c]
        shares = np.bincount(of_class.argmax(1).numpy(), minlength=len(CLASSES)) / len(of_class)
        np.testing.assert_allclose(found["label_mapping"][c], shares)
        np.testing.assert_allclose(found["label_probability"][c], of_class.softmax(1).mean(0), atol=1e-5)
    assert (np.abs(found["similarity"]) <= 1 + 1e-9).all()
    paired = found["similarity"].argmax(1)
    assert (paired == np.arange(len(CLASSES))).mean() >= 2 / 3

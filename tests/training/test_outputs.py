"""Stored outputs against float64 definitions."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from transferlens.training import outputs
from transferlens.training.artefacts import OUTPUTS, SUMMARISED


def test_outputs_match_their_definitions():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 7)) * 4, rng.integers(0, 7, 50)
    found = outputs.per_example(torch.from_numpy(logits), torch.from_numpy(labels))
    rows = np.arange(50)
    log_p = log_softmax(logits, axis=1)[rows, labels]
    others = logits.copy()
    others[rows, labels] = -np.inf
    best_other = np.exp(np.where(others == -np.inf, -np.inf, log_softmax(logits, axis=1)).max(1))
    np.testing.assert_allclose(found["p_true"], np.exp(log_p), rtol=1e-6)
    np.testing.assert_allclose(found["margin"], log_p - np.log1p(-np.exp(log_p)), rtol=1e-5)
    np.testing.assert_allclose(found["raw_margin"], logits[rows, labels] - others.max(1), rtol=1e-5)
    np.testing.assert_allclose(found["softmax_margin"], np.exp(log_p) - best_other, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(found["prediction"], logits.argmax(1))
    np.testing.assert_array_equal(found["correct"], logits.argmax(1) == labels)


def test_raw_margins_are_those_that_are_stored():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 7)).astype(np.float32), rng.integers(0, 7, 50)
    found = outputs.raw_margins(torch.from_numpy(logits), torch.from_numpy(labels)).numpy()
    expected = [row[y] - np.delete(row, y).max() for row, y in zip(logits.astype(float), labels, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_a_certain_model_keeps_a_finite_exact_margin():
    found = outputs.per_example(torch.tensor([[1000.0, 0.0, -5.0]]), torch.tensor([0]))
    assert found["p_true"] == 1
    np.testing.assert_allclose(found["margin"], 1000 - np.log1p(np.exp(-5)), rtol=1e-6)


def test_accuracies_by_half_and_class():
    rng = np.random.default_rng(0)
    correct, labels, halves = rng.random(60) < 0.5, rng.integers(0, 3, 60), rng.integers(0, 2, 60)
    values = {"correct": correct}
    overall, by_class = outputs.accuracies(values, labels, halves, 4, "global")
    table = pd.DataFrame({"c": correct, "l": labels, "h": halves})
    np.testing.assert_allclose(overall, table.groupby("h").c.mean())
    per_class, _ = outputs.accuracies(values, labels, halves, 4, "per_class")
    np.testing.assert_allclose(per_class, table.groupby(["h", "l"]).c.mean().groupby("h").mean())
    np.testing.assert_allclose(by_class[:, :3], table.groupby(["h", "l"]).c.mean().unstack())
    assert np.isnan(by_class[:, 3]).all()


def test_the_area_under_the_roc_curve_is_scikit_learns_also_of_certain_models():
    """Of a model whose probabilities of the second class round to 0 or 1, too; ties count half."""
    rng = np.random.default_rng(0)
    labels, halves = rng.integers(0, 2, 200), rng.integers(0, 2, 200)
    logits = rng.integers(-8, 8, (200, 2)) / 4 + np.eye(2)[labels]  # exact in binary: ties are ties
    for scale in (1, 256):
        values = outputs.per_example(torch.from_numpy(logits * scale), torch.from_numpy(labels))
        areas, by_class = outputs.accuracies(values, labels, halves, 2, "auroc")
        for half in range(2):
            of, log_odds = halves == half, logits[:, 1] - logits[:, 0]
            assert areas[half] == pytest.approx(roc_auc_score(labels[of], log_odds[of]), abs=1e-12)
        shares = outputs.accuracies(values, labels, halves, 2, "global")[1]
        np.testing.assert_array_equal(by_class, shares)


def test_the_area_is_not_a_number_where_a_half_lacks_a_class():
    values = {"correct": np.ones(4, bool), "margin": np.arange(4.0)}
    areas, _ = outputs.accuracies(values, np.array([1, 1, 0, 1]), np.array([0, 0, 1, 1]), 2, "auroc")
    assert np.isnan(areas[0])
    assert areas[1] == 1  # log-odds -2 of the first class, 3 of the second


def test_what_a_summary_stores_gives_every_output_within_the_stated_bound(tmp_path):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4000, 300)) * 8, rng.integers(0, 300, 4000)
    labels[::2] = logits[::2].argmax(1)
    found = outputs.per_example(torch.from_numpy(logits), torch.from_numpy(labels))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        names = [f"class {i}" for i in range(300)]
        file["example"] = [str(i) for i in range(4000)]
        file["target_class"], file["example_class"] = names, [names[label] for label in labels]
        file["example_half"] = ["report"] * 4000
        for name in SUMMARISED:
            file[name] = outputs.compact(name, found[name][None], 300)
        again = {name: outputs.Output(file, name)[:, 1000:][0] for name in OUTPUTS}
        assert file["prediction"].dtype == np.uint16
    for name in ("margin", "raw_margin"):
        error = np.abs(again[name] - found[name][1000:])
        assert (error <= np.maximum(2**-11 * np.abs(found[name][1000:]), 3e-8)).all()
    assert np.abs(again["p_true"] - found["p_true"][1000:]).max() < 1.15e-4
    margin, raw, p = (found[name][1000:].astype(float) for name in ("margin", "raw_margin", "p_true"))
    best_other = p * np.exp(-raw)
    relative = np.exp(2**-10 * np.maximum(np.abs(margin), np.abs(raw)) + 1e-6) - 1
    error = np.abs(again["softmax_margin"] - found["softmax_margin"][1000:])
    assert (error <= relative * best_other + 1.2e-4).all()
    for name in ("correct", "prediction"):
        np.testing.assert_array_equal(again[name], found[name][1000:])


def test_margins_beyond_half_precision_stay_finite():
    stored = outputs.compact("margin", np.array([1e5, -1e30], np.float32), 10)
    assert stored.tolist() == [65504, -65504]

"""Stored outputs against float64 definitions."""

import numpy as np
import pandas as pd
import torch
from scipy.special import log_softmax

from transferlens.training import outputs


def test_outputs_match_their_definitions():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 7)) * 4, rng.integers(0, 7, 50)
    found = outputs.per_example(torch.from_numpy(logits), torch.from_numpy(labels))
    rows = np.arange(50)
    log_p = log_softmax(logits, axis=1)[rows, labels]
    others = logits.copy()
    others[rows, labels] = -np.inf
    np.testing.assert_allclose(found["p_true"], np.exp(log_p), rtol=1e-6)
    np.testing.assert_allclose(found["margin"], log_p - np.log1p(-np.exp(log_p)), rtol=1e-5)
    np.testing.assert_allclose(found["raw_margin"], logits[rows, labels] - others.max(1), rtol=1e-5)
    np.testing.assert_array_equal(found["prediction"], logits.argmax(1))
    np.testing.assert_array_equal(found["correct"], logits.argmax(1) == labels)


def test_a_certain_model_keeps_a_finite_exact_margin():
    found = outputs.per_example(torch.tensor([[1000.0, 0.0, -5.0]]), torch.tensor([0]))
    assert found["p_true"] == 1
    np.testing.assert_allclose(found["margin"], 1000 - np.log1p(np.exp(-5)), rtol=1e-6)


def test_accuracies_by_half_and_class():
    rng = np.random.default_rng(0)
    correct, labels, halves = rng.random(60) < 0.5, rng.integers(0, 3, 60), rng.integers(0, 2, 60)
    overall, by_class = outputs.accuracies(correct, labels, halves, 4, "global")
    table = pd.DataFrame({"c": correct, "l": labels, "h": halves})
    np.testing.assert_allclose(overall, table.groupby("h").c.mean())
    per_class, _ = outputs.accuracies(correct, labels, halves, 4, "per_class")
    np.testing.assert_allclose(per_class, table.groupby(["h", "l"]).c.mean().groupby("h").mean())
    np.testing.assert_allclose(by_class[:, :3], table.groupby(["h", "l"]).c.mean().unstack())
    assert np.isnan(by_class[:, 3]).all()

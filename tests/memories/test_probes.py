"""Retention, binding and coupling against plain computations."""

import numpy as np
import pytest
from scipy import stats

from transferlens.core import labelled
from transferlens.core.statistics import Interval
from transferlens.memories.artefacts import PROBES
from transferlens.memories.kept import binding, probes, retention


def evenly(classes, per_class):
    labels = np.repeat(np.arange(classes), per_class)
    return labels, np.arange(len(labels)) % 2


def test_calibration_finds_the_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 6))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # drawn from softmax(logits)
    assert retention.fit_temperature(logits * 3.7, labels) == pytest.approx(3.7, rel=0.03)


def test_ranks_and_probabilities_of_the_true_class():
    before = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    after = np.array([[1.0, 3.0, 2.0], [0.0, 1.0, 2.0]])
    found = retention.recall(before, after, np.array([0, 2]), np.array([1, 0]))
    assert found.before.tolist() == [True, True]
    assert found.after.tolist() == [False, True]
    assert found.rank.tolist() == [3, 1]
    scaled = np.exp(after / found.temperature)
    np.testing.assert_allclose(
        found.p_true, [(scaled / scaled.sum(1, keepdims=True))[i, c] for i, c in ((0, 0), (1, 2))]
    )


def test_retention_is_the_ratio_of_accuracies_over_models_and_images():
    labels, halves = evenly(2, 40)
    rng = np.random.default_rng(0)
    recalls = []
    for _ in range(3):
        before = rng.random(80) < 0.9
        before[labels == 1] = False
        after = before & (rng.random(80) < 0.5)
        recalls.append(retention.Recall(before, after, np.ones(80), np.ones(80), 1.0))
    found = retention.summarise(recalls, labels, halves, 500, 0)
    seen = (labels == 0) & (halves == 1)
    ratio = sum(r.after[seen].sum() for r in recalls) / sum(r.before[seen].sum() for r in recalls)
    assert found.retained.value[0] == pytest.approx(ratio)
    assert found.retained.low[0] < ratio < found.retained.high[0]
    assert 0.1 < found.retained.high[0] - found.retained.low[0] < 0.6
    assert np.isnan([found.retained.value[1], found.retained.low[1]]).all()
    assert found.n.tolist() == [[20, 20], [20, 20]]
    assert found.accuracy_before[1, 0, 0] == recalls[1].before[(labels == 0) & (halves == 0)].mean()


def bound(rng, models=3, classes=5, per_class=12, targets=3):
    labels, halves = evenly(classes, per_class)
    values = rng.dirichlet(np.ones(targets), (2, models, len(labels)))
    overlap = np.zeros((classes, targets), bool)
    overlap[0, 0] = True
    return values, labels, halves, overlap


def test_effects_are_net_of_scratch_and_of_the_mean_class():
    rng = np.random.default_rng(0)
    (tuned, scratch), labels, halves, overlap = bound(rng)
    found = binding.bind(tuned, scratch, labels, halves, overlap, 300, 100, 0)
    for h in (0, 1):
        means = np.array([(tuned - scratch)[:, (labels == c) & (halves == h)].mean((0, 1)) for c in range(5)])
        np.testing.assert_allclose(found.effect[h], means - means.mean(0))
    assert found.fine_tuned[2, 1, 4, 0] == pytest.approx(tuned[2, (labels == 4) & (halves == 1), 0].mean())
    assert (found.low < found.effect).all()
    assert (found.effect < found.high).all()
    assert np.isnan(found.q[:, 0, 0]).all()
    assert not np.isnan(np.delete(found.q.reshape(2, -1), 0, 1)).any()


def test_the_standard_error_is_that_of_independent_images():
    """Without variation between models it is that of the mean of n images, by the closed form."""
    rng = np.random.default_rng(1)
    labels, halves = evenly(40, 60)
    one = rng.random((1, len(labels), 1))
    values = np.repeat(one, 2, axis=0)
    found = binding.bind(values, np.zeros_like(values), labels, halves, np.zeros((40, 1), bool), 1000, 100, 0)
    spread = [one[0, (labels == c) & (halves == 1), 0].std() / np.sqrt(30) for c in range(40)]
    np.testing.assert_allclose(found.se[1, :, 0].mean(), np.mean(spread), rtol=0.05)


def test_the_standard_error_is_that_of_few_models():
    """Where images of a class are alike it is that of the mean of two models, unbiased."""
    labels, halves = evenly(30, 4)
    of_models = np.random.default_rng(5).normal(size=(2, 30))
    values = of_models[:, labels, None]
    found = binding.bind(values, np.zeros_like(values), labels, halves, np.zeros((30, 1), bool), 4000, 10, 0)
    centred = of_models - of_models.mean(1, keepdims=True)
    np.testing.assert_allclose(found.se[1, :, 0], centred.std(0, ddof=1) / np.sqrt(2), rtol=0.05)


def test_p_values_of_binding_are_uniform_under_the_null():
    rng, found = np.random.default_rng(2), []
    for _ in range(300):
        images = [rng.normal(size=(8, 1)) for _ in range(4)]
        found.append(binding.permuted_labels_p(images, 199, rng)[0, 0])
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_bound_class_has_a_small_p_value():
    rng = np.random.default_rng(3)
    images = [rng.normal(size=(10, 2)) for _ in range(5)]
    images[2][:, 1] += 3
    p = binding.permuted_labels_p(images, 999, rng)
    assert p[2, 1] == 1 / 1000
    assert p[2, 0] > 0.01


def test_coupling_by_hand():
    target = np.array([[1.0, 0.0], [-1.0, 0.0]])  # centred already
    source = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 4.0]])  # minus (2, 2): (1, -1), (-1, -1), (0, 2)
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(binding.coupling(target, source), [[half, -half], [-half, half], [0, 0]])


def test_the_bound_class_is_the_selects_strongest_that_does_not_overlap():
    effect = np.array([[[0.5, 0.3, 0.1]], [[0.0, 0.0, 9.0]]])
    assert binding.bound_class(effect, np.array([[False, False, False]])).tolist() == [0]
    assert binding.bound_class(effect, np.array([[True, False, False]])).tolist() == [1]


def test_probes_are_read_as_written(tmp_path):
    rng = np.random.default_rng(4)
    (tuned, scratch), labels, halves, overlap = bound(rng)
    recalls = [
        retention.recall(*rng.normal(size=(2, len(labels), 5)), labels, halves) for _ in range(len(tuned))
    ]
    seen = [
        probes.Observation(r, t, s, rng.normal(size=(5, 3)))
        for r, t, s in zip(recalls, tuned, scratch, strict=True)
    ]
    found = probes.summarise(seen, list("abcde"), list("xyz"), labels, halves, overlap, 100, 100, 0)
    probes.write_probes(tmp_path / "p.h5", found, "note")
    assert labelled.read(tmp_path / "p.h5", PROBES).attrs["note"] == "note"
    again = probes.read_probes(tmp_path / "p.h5")
    assert again.source_names == list("abcde")
    for part in ("retention", "binding"):
        for name, values in vars(getattr(found, part)).items():
            stored = getattr(getattr(again, part), name)
            pairs = zip(
                *(vars(v).values() if isinstance(v, Interval) else [v] for v in (values, stored)), strict=True
            )
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)
    for name in ("temperature", "coupling", "overlap"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    np.testing.assert_array_equal(again.bound_class, found.bound_class)

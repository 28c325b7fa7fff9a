"""Retention, binding and coupling against plain computations."""

import numpy as np
import pytest

from transferlens.core import labelled
from transferlens.data.artefacts import HALVES
from transferlens.memories.artefacts import PROBES
from transferlens.memories.kept import binding, probes, retention
from transferlens.memories.kept.retention import Retained
from transferlens.memories.tested import ENOUGH_MODELS, MOST_CHOSEN
from transferlens.training import calibration


def test_calibration_finds_the_temperature():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 6))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # drawn from softmax(logits)
    assert calibration.fit_temperature(logits * 3.7, labels) == pytest.approx(3.7, rel=0.03)


def test_ranks_and_probabilities_of_the_true_class():
    before = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    after = np.array([[1.0, 3.0, 2.0], [0.0, 1.0, 2.0]])
    found = retention.recall(before, after, np.array([0, 2]), 2.0)
    assert found.before.tolist() == [True, True]
    assert found.after.tolist() == [False, True]
    assert found.rank.tolist() == [3, 1]
    scaled = np.exp(after / 2)
    np.testing.assert_allclose(
        found.p_true, [(scaled / scaled.sum(1, keepdims=True))[i, c] for i, c in ((0, 0), (1, 2))]
    )


def test_retention_is_the_ratio_of_accuracies_over_the_report_halfs_models_and_images():
    labels, rng = np.repeat([0, 1], 20), np.random.default_rng(0)

    def seen():
        before = rng.random(40) < 0.9
        before[labels == 1] = False
        return retention.Recall(before, before & (rng.random(40) < 0.5), np.ones(40), np.ones(40))

    recalls = {"select": [seen()], "report": [seen() for _ in range(3)]}
    found = retention.summarise(recalls, dict.fromkeys(recalls, labels), 2)
    of_report, members = recalls["report"], labels == 0
    ratio = sum(r.after[members].sum() for r in of_report) / sum(r.before[members].sum() for r in of_report)
    assert found.retained.value[0] == pytest.approx(ratio)
    assert found.retained.low[0] < ratio < found.retained.high[0]
    assert 0.1 < found.retained.high[0] - found.retained.low[0] < 1
    assert np.isnan([found.retained.value[1], found.retained.low[1]]).all()
    assert found.n.tolist() == [[20, 20], [20, 20]]
    assert found.accuracy_before[0, 0, 0] == recalls["select"][0].before[members].mean()
    assert found.accuracy_after[2, 1, 0] == of_report[2].after[members].mean()
    assert np.isnan(found.accuracy_before[1:, 0]).all()


def bound(rng, models=3, classes=5, per_class=12, targets=3):
    """Probabilities of both kinds of model by half, their images' labels, and overlapping classes."""
    labels = np.repeat(np.arange(classes), per_class)
    values = {h: rng.dirichlet(np.ones(targets), (2, models, len(labels))) for h in HALVES}
    tuned, scratch = ({half: of[i] for half, of in values.items()} for i in range(2))
    overlap = np.zeros((classes, targets), bool)
    overlap[0, 0] = True
    return tuned, scratch, dict.fromkeys(HALVES, labels), overlap


def test_effects_are_net_of_scratch_and_of_the_mean_class():
    tuned, scratch, labels, overlap = bound(np.random.default_rng(0), models=ENOUGH_MODELS)
    found = binding.bind(tuned, scratch, labels, overlap)
    for h, half in enumerate(HALVES):
        of = labels[half]
        means = np.array([(tuned[half] - scratch[half])[:, of == c].mean((0, 1)) for c in range(5)])
        np.testing.assert_allclose(found.effect[h], means - means.mean(0))
    expected = tuned["report"][2, labels["report"] == 4, 0].mean()
    assert found.fine_tuned[2, 1, 4, 0] == pytest.approx(expected)
    assert (found.low < found.effect).all()
    assert (found.effect < found.high).all()
    assert np.isnan(found.q[:, 0, 0]).all()
    assert not np.isnan(np.delete(found.q.reshape(2, -1), 0, 1)).any()


def test_each_half_is_of_its_own_models_and_the_report_half_tests_what_the_select_half_chose():
    tuned, scratch, labels, overlap = bound(np.random.default_rng(1))
    tuned["select"] = tuned["select"][:2]
    scratch["select"] = scratch["select"][:2]
    tuned["select"][:, labels["select"] == 3, 1] += 9
    found = binding.bind(tuned, scratch, labels, overlap)
    assert np.isnan(found.fine_tuned[2, 0]).all()
    assert not np.isnan(found.fine_tuned[:, 1]).any()
    assert found.chosen[3, 1]
    assert found.chosen.sum() <= MOST_CHOSEN
    np.testing.assert_array_equal(~np.isnan(found.q[1]), found.chosen)
    assert np.isnan(found.q[0]).all()
    around_zero = (found.low <= 0) & (found.high >= 0)
    assert not (around_zero & (found.q < 0.05)).any()


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
    tuned, scratch, labels, overlap = bound(rng)
    seen = {
        half: [
            probes.Observation(
                retention.recall(*rng.normal(size=(2, len(labels[half]), 5)), labels[half], 1.0),
                tuned[half][m],
                scratch[half][m],
                rng.normal(size=(5, 3)),
                rng.random(),
            )
            for m in range(models)
        ]
        for half, models in zip(HALVES, (1, 3), strict=True)
    }
    repeats = {"select": range(3, 4), "report": range(3)}
    found = probes.summarise(seen, repeats, list("abcde"), list("xyz"), labels, overlap)
    assert found.repeats.tolist() == [[3, -1, -1], [0, 1, 2]]
    np.testing.assert_array_equal(found.temperatures("select"), [seen["select"][0].temperature])
    probes.write_probes(tmp_path / "p.h5", found, "note")
    assert labelled.read(tmp_path / "p.h5", PROBES).attrs["note"] == "note"
    again = probes.read_probes(tmp_path / "p.h5")
    assert again.source_names == list("abcde")
    for part in ("retention", "binding"):
        for name, values in vars(getattr(found, part)).items():
            stored = getattr(getattr(again, part), name)
            pairs = zip(
                *(vars(v).values() if isinstance(v, Retained) else [v] for v in (values, stored)), strict=True
            )
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)
    for name in ("repeats", "temperature", "coupling", "overlap"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    np.testing.assert_array_equal(again.bound_class, found.bound_class)

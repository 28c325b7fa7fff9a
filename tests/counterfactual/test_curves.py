"""Curves, gains and the choice of k from planted accuracies."""

import h5py
import numpy as np
import pytest
from scipy import stats

from transferlens.core import store, studies
from transferlens.core.studies import Rows
from transferlens.counterfactual import curves
from transferlens.counterfactual.orders import Evidence, Removals, counterfactual_rows
from transferlens.data.units import Units
from transferlens.training import summary

ORDERS, KS, REPEATS = ["bottom", "random"], [1, 2, 3], 4
CLASSES = list("abcde")
UNITS = Units(CLASSES, [""] * 5, np.arange(5))
REMOVALS = Removals(ORDERS, KS, ["a", "b"], 5)
EFFECT = np.arange(5.0) / 10
# Mean outputs of the report half: what the full source reaches, and a line through the predictions.
SLOPE = 0.5


def write_summary(path, rows: Rows, accuracy, outputs):
    models = len(rows)
    with store.create(path, summary.KIND, config={}) as out:
        studies.write_row_table(out, rows)
        out.strings("example_ids", ["x", "y"], ["examples"], "id")
        out.array("outputs/p_true", outputs, ["models", "examples"], "select, report")
        out.strings("target_class_names", ["t"], ["target classes"], "name")
        for name, values in (
            ("example_labels", [0, 0]),
            ("example_halves", [0, 1]),
            ("accuracy", accuracy),
            ("class_accuracy", np.zeros((models, 2, 1))),
            ("source_accuracy", np.zeros(models)),
        ):
            values = np.asarray(values)
            out.array(name, values, [str(i) for i in range(values.ndim)], "test")
    return path


@pytest.fixture
def case(tmp_path):
    rng = np.random.default_rng(0)
    reference = studies.reference_rows(UNITS, range(2 * REPEATS), seed=0)
    full = rng.normal(0.8, 0.02, (REPEATS, 2))
    both = np.stack([full, full - 0.2], axis=1).reshape(-1, 2)
    cells = len(REMOVALS.cells())
    evidence = Evidence(EFFECT, np.ones(5))
    removal = counterfactual_rows(REMOVALS, evidence, CLASSES, [""] * 5, range(cells * REPEATS), seed=0)
    accuracy = rng.normal(0.8, 0.02, (REPEATS, cells, 2))
    curve = accuracy[:, :6].reshape(REPEATS, 2, 3, 2)
    curve[:, 0, 1, 0] += 1.0  # on the select half, k = 2 is best from the bottom ...
    curve[:, 0, 2, 1] += 2.0  # ... though k = 3 would be on the report half
    accuracy[:, :6] = curve.reshape(REPEATS, 6, 2)
    outputs = np.zeros((REPEATS, cells, 2))
    start = rng.normal(0.5, 0.1, REPEATS)  # a repeat's own level, which pairing takes away
    outputs[:, -5:, 1] = start[:, None] - SLOPE * EFFECT
    curves.write_counterfactual(
        tmp_path / "c.h5",
        write_summary(tmp_path / "s.h5", removal, accuracy.reshape(-1, 2), outputs.reshape(-1, 2)),
        write_summary(tmp_path / "r.h5", reference, both, np.repeat(start, 2)[:, None] * [0, 1]),
        REMOVALS,
        REPEATS,
        "p_true",
        curves.Predictions(EFFECT, np.full(5, 0.01), EFFECT + 0.02),
        config={},
        inputs=[],
    )
    with h5py.File(tmp_path / "c.h5") as file:
        found = {}
        file.visititems(lambda k, v: found.update({k: v[()]}) if isinstance(v, h5py.Dataset) else None)
        yield found | dict(file.attrs), (curve, accuracy), full


def test_curves_are_means_with_intervals_over_repeats(case):
    found, (cells, _), _ = case
    for o in range(2):
        for k in range(3):
            values = cells[:, o, k, 1]
            interval = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
            assert found["accuracy_mean"][o, k, 1] == pytest.approx(values.mean())
            assert found["accuracy_low"][o, k, 1] == pytest.approx(interval[0])
            assert found["accuracy_high"][o, k, 1] == pytest.approx(interval[1])


def test_gains_are_paired_with_the_full_source(case):
    found, (cells, _), full = case
    difference = cells[:, 1, 0, 1] - full[:, 1]
    interval = stats.t.interval(0.95, 3, difference.mean(), stats.sem(difference))
    assert found["gain_mean"][1, 0, 1] == pytest.approx(difference.mean())
    assert found["gain_low"][1, 0, 1] == pytest.approx(interval[0])


def test_k_is_chosen_on_the_select_half_and_its_gain_is_of_the_report_half(case):
    found, (cells, _), full = case
    assert found["best_k"][0] == 2
    assert found["best_gain_mean"][0] == pytest.approx((cells[:, 0, 1, 1] - full[:, 1]).mean())


def test_handpicked_gain_is_paired_too(case):
    found, (_, accuracy), full = case
    difference = accuracy[:, 6, 1] - full[:, 1]
    assert found["handpicked/gain_mean"][1] == pytest.approx(difference.mean())
    assert (found["handpicked_kept"], found["handpicked_removed"]) == (2, 3)


def test_single_removals_realise_half_of_what_is_predicted(case):
    """Planted: every removal changes the output by half the prediction, without any noise once paired."""
    found, _, _ = case
    np.testing.assert_array_equal(found["singles/units"], range(5))
    np.testing.assert_allclose(found["singles/predicted"], -EFFECT)
    np.testing.assert_allclose(found["singles/change_mean"], -SLOPE * EFFECT, atol=1e-12)
    assert found["singles_slope"] == pytest.approx(SLOPE)
    assert found["singles_r_squared"] == pytest.approx(1)
    assert found["singles_reliability"] == pytest.approx(1 - 1e-4 / EFFECT.var(ddof=1))


def test_agreement_has_students_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    y = 0.7 * x + rng.normal(size=12)
    found = curves.agreement(x, np.zeros(12), y)
    line = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, 10) * line.stderr
    assert (found["slope_low"], found["slope_high"]) == pytest.approx(
        (line.slope - reach, line.slope + reach)
    )

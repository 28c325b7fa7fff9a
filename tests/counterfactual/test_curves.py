"""Curves, gains and the choice of k from planted accuracies."""

import numpy as np
import pytest
from scipy import stats

from tests.summaries import write_summary as write
from transferlens.core import labelled
from transferlens.core.studies import Reference, Rows
from transferlens.counterfactual import curves
from transferlens.counterfactual.artefacts import COUNTERFACTUAL
from transferlens.counterfactual.orders import Cells, Evidence, removal_rows
from transferlens.data.units import Units

ORDERS, KS, REPEATS = ["bottom", "random"], [1, 2, 3], 4
CLASSES = list("abcde")
UNITS = Units(CLASSES, [""] * 5, np.arange(5))
CELLS = Cells(ORDERS, KS, ["a", "b"], 5)
EFFECT = np.arange(5.0) / 10
# Mean outputs of the report half: what the full source reaches, and a line through the predictions.
SLOPE = 0.5


def write_summary(path, rows: Rows, accuracy, outputs):
    """Of one example in each half."""
    return write(path, rows, [0, 0], [0, 1], ["t"], accuracy=accuracy, p_true=outputs)


@pytest.fixture
def case(tmp_path):
    rng = np.random.default_rng(0)
    reference = Reference.draw({"seed": 0}, UNITS, range(2 * REPEATS), {}, None)
    full = rng.normal(0.8, 0.02, (REPEATS, 2))
    both = np.stack([full, full - 0.2], axis=1).reshape(-1, 2)
    cells = len(CELLS.table())
    evidence = Evidence(EFFECT, np.ones(5))
    removal = removal_rows(CELLS, evidence, UNITS, range(cells * REPEATS), seed=0)
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
        COUNTERFACTUAL,
        write_summary(tmp_path / "s.h5", removal, accuracy.reshape(-1, 2), outputs.reshape(-1, 2)),
        write_summary(tmp_path / "r.h5", reference, both, np.repeat(start, 2)[:, None] * [0, 1]),
        CELLS,
        REPEATS,
        "p_true",
        curves.Predictions(EFFECT, np.full(5, 0.01), EFFECT - 0.03, EFFECT + 0.02),
    )
    return labelled.read(tmp_path / "c.h5", COUNTERFACTUAL), (curve, accuracy), full


def test_curves_are_means_with_intervals_over_repeats(case):
    found, (cells, _), _ = case
    for o in range(2):
        for k in range(3):
            values = cells[:, o, k, 1]
            interval = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
            assert found.accuracy_mean[o, k, 1] == pytest.approx(values.mean())
            assert found.accuracy_mean_low[o, k, 1] == pytest.approx(interval[0])
            assert found.accuracy_mean_high[o, k, 1] == pytest.approx(interval[1])


def test_gains_are_paired_with_the_full_source(case):
    found, (cells, _), full = case
    difference = cells[:, 1, 0, 1] - full[:, 1]
    interval = stats.t.interval(0.95, 3, difference.mean(), stats.sem(difference))
    assert found.gain_mean.sel(order="random", k=1, half="report") == pytest.approx(difference.mean())
    assert found.gain_mean_low.sel(order="random", k=1, half="report") == pytest.approx(interval[0])


def test_k_is_chosen_on_the_select_half_and_its_gain_is_of_the_report_half(case):
    found, (cells, _), full = case
    assert found.best_k[0] == 2
    assert found.best_gain_mean[0] == pytest.approx((cells[:, 0, 1, 1] - full[:, 1]).mean())


def test_handpicked_gain_is_paired_too(case):
    found, (_, accuracy), full = case
    difference = accuracy[:, 6, 1] - full[:, 1]
    assert found.handpicked_gain_mean.sel(half="report") == pytest.approx(difference.mean())
    assert (found.attrs["handpicked_kept"], found.attrs["handpicked_removed"]) == (2, 3)


def test_single_removals_realise_half_of_what_is_predicted(case):
    """Planted: every removal changes the output by half the prediction, without any noise once paired."""
    found, _, _ = case
    assert found.removed_class.values.tolist() == CLASSES
    np.testing.assert_allclose(found.single_predicted, -EFFECT)
    np.testing.assert_allclose(found.single_predicted_low, -EFFECT - 0.02)
    np.testing.assert_allclose(found.single_predicted_high, -EFFECT + 0.03)
    np.testing.assert_allclose(found.single_change_mean, -SLOPE * EFFECT, atol=1e-12)
    assert found.attrs["singles_slope"] == pytest.approx(SLOPE)
    assert found.attrs["singles_r_squared"] == pytest.approx(1)
    assert found.attrs["singles_reliability"] == pytest.approx(1 - 1e-4 / EFFECT.var(ddof=1))


def test_of_few_removals_alone_no_line_is_fitted_and_nothing_is_left_of_what_was_not_asked(tmp_path):
    cells = Cells(["bottom"], [1], None, 0)
    rows = removal_rows(cells, Evidence(EFFECT, np.ones(5)), UNITS, range(2), seed=0)
    reference = Reference.draw({"seed": 0}, UNITS, range(4), {}, None)
    curves.write_counterfactual(
        tmp_path / "c.h5",
        COUNTERFACTUAL,
        write_summary(tmp_path / "s.h5", rows, np.full((2, 2), 0.5), np.zeros((2, 2))),
        write_summary(tmp_path / "r.h5", reference, np.full((4, 2), 0.25), np.zeros((4, 2))),
        cells,
        2,
        "p_true",
        curves.Predictions(*[EFFECT] * 4),
    )
    found = labelled.read(tmp_path / "c.h5", COUNTERFACTUAL)
    np.testing.assert_allclose(found.gain_mean, 0.25)
    assert not {"removed_class", "single_predicted", "handpicked_gain_mean"} & set(found.variables)
    assert not [name for name in found.attrs if name.startswith("singles_")]


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

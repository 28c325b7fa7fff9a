"""Curves, gains and the choice of k from planted accuracies."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from tests.summaries import write_summary as write
from transferlens.core import labelled
from transferlens.core.statistics import Interval
from transferlens.core.studies import Reference, Rows
from transferlens.counterfactual import curves, figures, page, predictions, tables
from transferlens.counterfactual.artefacts import COUNTERFACTUAL
from transferlens.counterfactual.orders import Cells, Evidence, removal_rows
from transferlens.counterfactual.predictions import Predictions
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


def write_counterfactual(folder, summary, reference, cells, predictions, **more):
    read = curves.read_reference(reference, "p_true")
    retrained = curves.read_retrained(summary, read, cells, "p_true")
    curves.write_counterfactual(folder / "c.h5", COUNTERFACTUAL, read, retrained, predictions, **more)


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
    write_counterfactual(
        tmp_path,
        write_summary(tmp_path / "s.h5", removal, accuracy.reshape(-1, 2), outputs.reshape(-1, 2)),
        write_summary(tmp_path / "r.h5", reference, both, np.repeat(start, 2)[:, None] * [0, 1]),
        CELLS,
        Predictions(EFFECT, Interval(EFFECT, EFFECT - 0.03, EFFECT + 0.02), np.full(5, 0.01)),
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
    """All splits agree, so the interval is Student's."""
    found, (cells, _), full = case
    assert found.best_k[0] == 2
    assert found.best_k_share[0] == 1
    gain = cells[:, 0, 1, 1] - full[:, 1]
    assert found.best_gain_mean[0] == pytest.approx(gain.mean())
    low, high = stats.t.interval(0.95, 3, gain.mean(), stats.sem(gain))
    assert (found.best_gain_mean_low[0], found.best_gain_mean_high[0]) == pytest.approx((low, high))


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
    write_counterfactual(
        tmp_path,
        write_summary(tmp_path / "s.h5", rows, np.full((2, 2), 0.5), np.zeros((2, 2))),
        write_summary(tmp_path / "r.h5", reference, np.full((4, 2), 0.25), np.zeros((4, 2))),
        cells,
        Predictions(EFFECT, missing="too few models"),
    )
    found = labelled.read(tmp_path / "c.h5", COUNTERFACTUAL)
    np.testing.assert_allclose(found.gain_mean, 0.25)
    assert not {"removed_class", "single_predicted", "handpicked_gain_mean"} & set(found.variables)
    assert not [name for name in found.attrs if name.startswith("singles_")]


def test_a_line_has_students_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    y = 0.7 * x + rng.normal(size=12)
    found = predictions.line(x, np.zeros(12), y)
    line = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, 10) * line.stderr
    assert (found["slope_low"], found["slope_high"]) == pytest.approx(
        (line.slope - reach, line.slope + reach)
    )


def test_no_line_is_fitted_through_predictions_that_differ_by_their_errors_only(tmp_path):
    cells = Cells(["bottom"], [1], singles=5)
    rows = removal_rows(cells, Evidence(EFFECT, np.ones(5)), UNITS, range(12), seed=0)
    reference = Reference.draw({"seed": 0}, UNITS, range(4), {}, None)
    write_counterfactual(
        tmp_path,
        write_summary(tmp_path / "s.h5", rows, np.zeros((12, 2)), np.zeros((12, 2))),
        write_summary(tmp_path / "r.h5", reference, np.zeros((4, 2)), np.zeros((4, 2))),
        cells,
        Predictions(EFFECT, Interval(EFFECT, EFFECT - 1, EFFECT + 1), np.full(5, 0.5)),
    )
    found = labelled.read(tmp_path / "c.h5", COUNTERFACTUAL)
    told = {name: value for name, value in found.attrs.items() if name.startswith("singles_")}
    assert told == {"singles_reliability": 0}
    assert page.singles_text(found).startswith("No line is fitted")


def test_random_sets_realise_what_was_planted(tmp_path):
    """Changes are half the sum of the influences, and a repeat's full source has a level of its own."""
    units = Units([f"u{i}" for i in range(10)], [""] * 10, np.arange(10))
    effect, cells = np.arange(10.0) ** 2 / 100, Cells(["bottom"], [1], subsets=4)
    rows = removal_rows(cells, Evidence(effect, np.ones(10)), units, range(3 * 5), seed=0)
    reference = Reference.draw({"seed": 0}, units, range(6), {}, None)
    start = np.array([0.4, 0.5, 0.9])
    noise = np.random.default_rng(0).normal(0, 1e-4, 15)
    outputs = start[rows.repeats] - 0.5 * (~rows.masks @ effect) + noise
    write_counterfactual(
        tmp_path,
        write_summary(tmp_path / "s.h5", rows, np.zeros((15, 2)), np.stack([outputs * 0, outputs], 1)),
        write_summary(tmp_path / "r.h5", reference, np.zeros((6, 2)), np.repeat(start, 2)[:, None] * [0, 1]),
        cells,
        Predictions(effect),
        mapped=effect[::-1],
    )
    found = labelled.read(tmp_path / "c.h5", COUNTERFACTUAL)
    assert found.set_size.values.tolist() == [2, 3, 4, 5]
    assert found.attrs["sets_slope"] == pytest.approx(0.5, abs=1e-3)
    assert found.set_correlation.sel(predictor="influence") == pytest.approx(1, abs=1e-3)
    x = -(~rows.masks @ effect[::-1]).reshape(3, 5)[:, 1:]  # the first cell of a repeat is the curve's
    y = -(~rows.masks @ effect).reshape(3, 5)[:, 1:]
    x, y = (v - v.mean(1, keepdims=True) for v in (x, y))
    rival = np.corrcoef(x.ravel(), y.ravel())[0, 1]
    assert found.set_correlation.sel(predictor="label mapping") == pytest.approx(rival, abs=1e-3)
    assert found.set_advantage.sel(predictor="label mapping") == pytest.approx(1 - rival, abs=1e-3)
    assert found.predictor.values.tolist() == ["influence", "label mapping", "number of classes"]


def test_the_figure_of_random_sets_shows_them_within_their_repeat(tmp_path):
    found = xr.Dataset(
        {
            "set_size": ("random_set", [2, 3]),
            "set_change": (("random_set", "repeat"), [[1.0, 2.0], [3.0, 6.0]]),
            "set_predicted": (("predictor", "random_set", "repeat"), [[[0.5, 1.0], [1.5, 2.0]]]),
        },
        {"predictor": ["influence"]},
        {"sets_slope": 2.0, "sets_slope_low": 1.0, "sets_slope_high": 3.0},
    )
    figure = figures.random_sets(found, "p_true")
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, [[-0.5, -1], [-0.5, -2], [0.5, 1], [0.5, 2]])
    assert tables.random_set_table(found).predicted_by_influence.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert len(tables.random_set_table(xr.Dataset())) == 0


def test_an_order_of_a_users_own_is_drawn_under_its_name(case):
    found, _, _ = case
    own = found.assign_coords(order=["bottom", "mine"])
    _, labels = figures.curves(own).axes[0].get_legend_handles_labels()
    assert {"most harmful first", "order mine"} <= set(labels)


def test_what_steps_add_is_paired_with_the_same_removal(tmp_path):
    cells, checked = Cells(["top", "bottom"], [1, 2]), Cells(["bottom"], [2])
    evidence, rng = Evidence(EFFECT, np.ones(5)), np.random.default_rng(0)
    usual, matched = rng.random((3, 4, 2)), rng.random((3, 1, 2))
    full = rng.random((3, 2))
    both = np.stack([full, full], axis=1).reshape(-1, 2)
    reference = write_summary(
        tmp_path / "r.h5", Reference.draw({"seed": 0}, UNITS, range(6), {}, None), both, both
    )
    steps_rows = removal_rows(checked, evidence, UNITS, range(3), seed=0)
    steps = write_summary(tmp_path / "m.h5", steps_rows, matched.reshape(-1, 2), np.zeros((3, 2)))
    rows = removal_rows(cells, evidence, UNITS, range(12), seed=0)
    summary = write_summary(tmp_path / "s.h5", rows, usual.reshape(-1, 2), np.zeros((12, 2)))
    read = curves.read_retrained(steps, curves.read_reference(reference, "p_true"), checked, "p_true")
    write_counterfactual(tmp_path, summary, reference, cells, Predictions(EFFECT), steps=read)
    found = labelled.read(tmp_path / "c.h5", COUNTERFACTUAL).sel(step_order="bottom")
    gain, difference = matched[:, 0, 1] - full[:, 1], matched[:, 0, 1] - usual[:, 3, 1]
    assert found.attrs["step_k"] == 2
    assert found.step_gain_mean == pytest.approx(gain.mean())
    assert found.step_difference_mean == pytest.approx(difference.mean())
    reach = stats.t.ppf(0.975, 2) * stats.sem(difference)
    assert found.step_difference_mean_low == pytest.approx(difference.mean() - reach)

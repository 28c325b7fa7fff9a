"""Curves, gains and the choice of k from planted accuracies."""

import h5py
import numpy as np
import pytest
from scipy import stats

from transferlens import store, studies
from transferlens.counterfactual import curves, orders
from transferlens.studies import Rows
from transferlens.training import summary

ORDERS, KS, REPEATS = ["bottom", "random"], [1, 2, 3], 4
CLASSES = list("abcde")


def write_summary(path, rows: Rows, accuracy):
    models = len(rows)
    with store.create(path, summary.KIND, config={}) as out:
        studies.write_row_table(out, rows)
        out.strings("example_ids", ["x"], ["examples"], "id")
        out.strings("target_class_names", ["t"], ["target classes"], "name")
        for name, values in (
            ("example_labels", [0]),
            ("example_halves", [0]),
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
    reference = studies.reference_rows(CLASSES, range(2 * REPEATS), seed=0)
    full = rng.normal(0.8, 0.02, (REPEATS, 2))
    both = np.stack([full, full - 0.2], axis=1).reshape(-1, 2)
    removal = orders.counterfactual_rows(
        np.arange(5.0), CLASSES, ORDERS, KS, range(len(ORDERS) * len(KS) * REPEATS), seed=0
    )
    cells = rng.normal(0.8, 0.02, (REPEATS, len(ORDERS), len(KS), 2))
    cells[:, 0, 1, 0] += 1.0  # on the select half, k = 2 is best from the bottom ...
    cells[:, 0, 2, 1] += 2.0  # ... though k = 3 would be on the report half
    curves.write_counterfactual(
        tmp_path / "c.h5",
        write_summary(tmp_path / "s.h5", removal, cells.reshape(-1, 2)),
        write_summary(tmp_path / "r.h5", reference, both),
        ORDERS,
        KS,
        REPEATS,
        config={},
    )
    with h5py.File(tmp_path / "c.h5") as file:
        yield {k: file[k][()] for k in file}, cells, full


def test_curves_are_means_with_intervals_over_repeats(case):
    found, cells, _ = case
    for o in range(2):
        for k in range(3):
            values = cells[:, o, k, 1]
            interval = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
            assert found["accuracy_mean"][o, k, 1] == pytest.approx(values.mean())
            assert found["accuracy_low"][o, k, 1] == pytest.approx(interval[0])
            assert found["accuracy_high"][o, k, 1] == pytest.approx(interval[1])


def test_gains_are_paired_with_the_full_source(case):
    found, cells, full = case
    difference = cells[:, 1, 0, 1] - full[:, 1]
    interval = stats.t.interval(0.95, 3, difference.mean(), stats.sem(difference))
    assert found["gain_mean"][1, 0, 1] == pytest.approx(difference.mean())
    assert found["gain_low"][1, 0, 1] == pytest.approx(interval[0])


def test_k_is_chosen_on_the_select_half_and_its_gain_is_of_the_report_half(case):
    found, cells, full = case
    assert found["best_k"][0] == 2
    assert found["best_gain_mean"][0] == pytest.approx((cells[:, 0, 1, 1] - full[:, 1]).mean())

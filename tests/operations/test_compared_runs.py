"""Differences between runs: exact small cases, and folders that cannot be compared."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy

from transferlens.core.errors import TransferlensError
from transferlens.operations.compared import comparison, differences, page
from transferlens.operations.compared.estimates import Estimate, of_models
from transferlens.operations.compared.shared import Sharing

APART, SAME = Sharing(True, False, "apart"), Sharing(False, True, "the same models")
PARTLY = Sharing(False, False, "some shared")
CELL = ("accuracy", ("full",))
FIRST, SECOND = np.array([0.5, 0.7, 0.6]), np.array([0.9, 0.7, 0.8, 0.6])


def test_independent_models_give_welchs_interval_and_p():
    found = differences.difference(of_models(FIRST), of_models(SECOND), APART, CELL)
    expected = scipy.stats.ttest_ind(SECOND, FIRST, equal_var=False)
    low, high = expected.confidence_interval()
    assert [found.interval.value, found.interval.low, found.interval.high, found.p] == pytest.approx(
        [SECOND.mean() - FIRST.mean(), low, high, expected.pvalue], rel=1e-3
    )


def test_the_same_models_are_paired():
    second = SECOND[:3]
    found = differences.difference(of_models(FIRST), of_models(second), SAME, CELL)
    expected = scipy.stats.ttest_rel(second, FIRST)
    assert found.how == differences.PAIRED
    assert [found.interval.low, found.p] == pytest.approx(
        [expected.confidence_interval().low, expected.pvalue], rel=1e-3
    )


def test_intervals_of_other_kinds_add_end_by_end():
    found = differences.difference(Estimate(0.5, 0.1, 0.8), Estimate(0.9, 0.5, 1.0), APART, CELL).interval
    assert (found.low, found.high) == pytest.approx((0.4 - 0.5, 0.4 + np.hypot(0.1, 0.4)))


def test_models_shared_in_part_give_no_interval():
    found = differences.difference(of_models(FIRST), of_models(SECOND), PARTLY, CELL)
    assert np.isnan(found.interval.low)
    assert np.isnan(found.p)
    assert "some shared" in found.how


def test_folders_that_cannot_be_compared(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    out = tmp_path / "out"
    for paths, told in (
        ([tmp_path / "a"], "give 2"),
        ([tmp_path / "a", tmp_path / "b" / ".." / "a"], "given twice"),
        ([tmp_path / "a", tmp_path / "none"], "no such results folder"),
        ([tmp_path / "a", tmp_path / "b"], "holds no results"),
    ):
        with pytest.raises(TransferlensError, match=told):
            comparison.compare(paths, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "first", "note"),
    [
        (0.0, "0", "The first 12 of 20; there is no difference in any of them."),
        (-0.5, "7", "The 12 largest of 20."),
    ],
)
def test_of_equal_runs_no_difference_is_called_the_largest(change, first, note):
    made = pd.DataFrame({name: 20 * [0.0] for name in differences._COLUMNS} | {"of": map(str, range(20))})
    made.loc[7, "difference"] = change
    runs = SimpleNamespace(first=SimpleNamespace(letter="A"), second=SimpleNamespace(letter="B"))
    shown = page._differences(runs, made.assign(q=np.nan))
    assert (shown.rows[0][0], shown.note) == (first, note)
    assert len(shown.rows) == 12

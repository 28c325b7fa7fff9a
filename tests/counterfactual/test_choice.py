"""A k is chosen by some repeats and its gain is that of others."""

import numpy as np
import pytest

from transferlens.counterfactual.choice import choose, choosing_halves


def test_repeats_are_split_in_every_way_and_each_half_chooses_once():
    four, three = choosing_halves(4), choosing_halves(3)
    assert {tuple(side) for side in four} == {tuple(~side) for side in four}
    assert (len(four), set(four.sum(1))) == (6, {2})
    assert sorted(three.sum(1)) == [1, 1, 1, 2, 2, 2]
    assert len(choosing_halves(12)) == 252


def test_the_gain_is_the_mean_over_splits_of_those_that_did_not_choose():
    """An oracle that does as the words say, split by split."""
    rng = np.random.default_rng(0)
    select, gain = rng.random((2, 3, 4)), rng.random((2, 3, 4))
    found = choose(select, gain)
    for order in range(2):
        reported = []
        for side in choosing_halves(4):
            k = select[order][:, side].mean(1).argmax()
            reported.append(gain[order, k, ~side].mean())
        assert found.gain.value[order] == pytest.approx(np.mean(reported))


def test_of_ks_that_are_all_alike_no_gain_is_found_more_often_than_by_chance():
    """Whoever chooses and reports by the same models finds one in more than 5 % (Student's upper end)."""
    rng = np.random.default_rng(0)
    select = rng.normal(size=(20_000, 5, 4))
    gain = 0.9 * select + 0.4 * rng.normal(size=select.shape) - 0.5 * rng.normal(size=(20_000, 1, 4))
    found = choose(select, gain).gain
    assert abs(found.value.mean()) < 0.1 * found.value.std()
    assert 0.015 < (found.low > 0).mean() < 0.035
    assert 0.93 < ((found.low <= 0) & (found.high >= 0)).mean() < 0.97
    same = gain[np.arange(20_000), select.mean(-1).argmax(1)]
    error = same.std(-1, ddof=1) / 2
    assert (same.mean(-1) - 3.182 * error > 0).mean() > 0.05


def test_of_two_repeats_a_chosen_gain_is_left_out_with_a_reason_and_one_k_is_not_chosen():
    values = np.random.default_rng(0).random((1, 2, 2))
    found = choose(values, values)
    assert np.isnan(found.gain.value).all()
    assert "takes at least 3; there are 2" in found.missing
    single = choose(values[:, :1], values[:, :1])
    assert single.missing == ""
    assert single.gain.value[0] == pytest.approx(values[0, 0].mean())

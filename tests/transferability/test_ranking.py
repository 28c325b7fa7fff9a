"""Rankings with planted scores: who wins, who is only said to, and what is unknown."""

import numpy as np
import pytest

from tests.transferability.planted import bench, candidates, score, static
from transferlens.core.statistics import jackknife_interval
from transferlens.transferability import ranking
from transferlens.transferability.measures import MEASURES, weighted_tau


@pytest.fixture(scope="module")
def pool():
    """Accuracies of 16 pairs, a fair score, and a noisy static ranker."""
    rng = np.random.default_rng(1)
    accuracy = rng.random(32)
    of = candidates(accuracy, draw=[f"pair {i // 2}" for i in range(32)])
    return of, score(accuracy + rng.normal(0, 0.2, 32)), static(accuracy + rng.normal(0, 0.5, 32))


def test_an_interval_leaves_out_draws_not_models(pool):
    of, fair, _ = pool
    found = ranking.agreement(bench(of), fair)
    without = [
        np.arctanh(weighted_tau(fair.values[kept], of.accuracy[kept]))
        for pair in range(16)
        for kept in [np.arange(32) // 2 != pair]
    ]
    expected = jackknife_interval(np.arctanh(weighted_tau(fair.values, of.accuracy)), np.array(without))
    place = list(MEASURES).index("weighted tau")
    assert found["agreement_low"][place] == pytest.approx(np.tanh(expected.low))
    assert found["agreement_high"][place] == pytest.approx(np.tanh(expected.high))


def test_the_range_is_over_models_left_out(pool):
    of, fair, _ = pool
    taus = [weighted_tau(np.delete(fair.values, i), np.delete(of.accuracy, i)) for i in range(32)]
    found = ranking.agreement(bench(of), fair)
    assert (found["least_without_one"], found["most_without_one"]) == pytest.approx((min(taus), max(taus)))


def test_the_truth_wins_and_a_static_ranker_in_disguise_does_not(pool):
    of, _, dull = pool
    disguised = score(dull.values, "disguised")
    table = ranking.ranked(of, [score(of.accuracy), disguised, dull], ranking.pools(of), 0)
    assert table["gain_p_holm"][0, 0] < 0.01
    assert table["gain_low"][0, 0] > 0
    assert table["gain"][0, 1] == table["gain_p"][0, 1] - 1 == 0
    assert table["best_static"][0].tolist() == ["static", "static", ""]
    assert np.isnan(table["p_holm"][0, 2])
    assert np.isfinite(table["p"][0, 2])


def test_a_score_must_beat_each_static_ranker():
    value, se = np.array([0.3, 0.2]), np.array([0.05, 0.2])
    gain = ranking.least_gain(value, se, 30, ["weak", "uncertain"])
    assert (gain.value, gain.best) == (0.2, "uncertain")
    assert gain.low == pytest.approx(0.2 - 2.0423 * 0.2, abs=1e-4)
    assert gain.high == pytest.approx(0.3 + 2.3596 * 0.05, abs=1e-4)  # each upper end at .0125
    assert gain.p > 0.3


def test_a_score_below_one_static_ranker_gains_nothing():
    assert ranking.least_gain(np.array([0.3, -0.1]), np.array([0.05, 0.05]), 30, ["a", "b"]).p == 1


def test_unknown_values_are_left_out_and_the_others_go_on(pool):
    of, fair, dull = pool
    partly = score(np.where(np.arange(32) < 24, of.accuracy, np.nan), "partly")
    never = score(np.full(32, np.nan), "never")
    rarely = static(np.where(np.arange(32) < 10, of.accuracy, np.nan), "rarely")
    table = ranking.ranked(of, [fair, partly, never, dull, rarely], ranking.pools(of), 0)
    assert table["known"][0].tolist() == [32, 24, 0, 32, 10]
    tau = table["agreement"][0, :, list(MEASURES).index("weighted tau")]
    assert tau[1] == pytest.approx(1)
    assert np.isnan(tau[2])
    assert table["missing"][0].tolist() == ["", "", "known for 0 candidates, fewer than 3", "", ""]
    # A static ranker that is known for a third of the pool is nothing to be compared with.
    assert table["best_static"][0, 0] == "static"
    both = ranking.gain(bench(of), partly, [dull])
    first = np.arange(24)
    assert both.value == pytest.approx(1 - weighted_tau(dull.values[first], of.accuracy[first]))


def test_draws_of_which_a_score_knows_nothing_make_its_interval_no_narrower(pool):
    of, _, dull = pool
    seven, five = (np.where(np.arange(32) < 2 * n, dull.values, np.nan) for n in (7, 5))
    alone = candidates(of.accuracy[:14], draw=of.draw[:14])
    among, by_itself = (
        ranking.agreement(bench(on), score(values)) for on, values in ((of, seven), (alone, seven[:14]))
    )
    np.testing.assert_allclose(among["agreement_low"], by_itself["agreement_low"])
    assert among["p"] == pytest.approx(by_itself["p"])
    assert np.isnan(ranking.agreement(bench(of), score(five))["p"])


def test_few_draws_have_no_intervals_but_numbers():
    of = candidates(np.arange(12.0), draw=[f"seed {i % 4}" for i in range(12)])
    table = ranking.ranked(of, [score(np.arange(12.0)), static(-np.arange(12.0))], ranking.pools(of), 0)
    assert table["draws"].tolist() == [4]
    assert table["interval_missing"][0].startswith("4 independent draws")
    assert table["gain"][0, 0] == pytest.approx(2)
    assert np.isnan([table["gain_low"][0, 0], table["p"][0, 0], table["agreement_low"][0, 0, 0]]).all()


def test_within_networks_a_hierarchy_of_networks_is_worth_nothing():
    rng = np.random.default_rng(0)
    network = np.repeat(["small", "large"], 20)
    accuracy = rng.random(40) * 0.1 + (network == "large")
    of = candidates(accuracy, network=network)
    size = static((network == "large").astype(float), "parameters")
    made = ranking.pools(of)
    assert [pool.name for pool in made] == ["influence", "within networks"]
    table = ranking.ranked(of, [score(accuracy), size], made, 0)
    assert table["agreement"][0, 1, 0] > 0.5
    assert table["missing"][:, 1].tolist() == ["", "the same for all of these candidates"]
    assert table["best_static"][:, 0].tolist() == ["parameters", ""]


def test_pools_are_kinds_of_studies_and_all():
    study = ["reference"] * 3 + ["encoders/a"] * 2 + ["encoders/b"] * 2 + ["influence"] * 2
    made = ranking.pools(candidates(np.arange(9.0), study=study))
    assert {pool.name: len(pool.members) for pool in made} == {"reference": 3, "encoders": 4, "all": 9}


def test_strata_share_draws():
    """Two targets with equal accuracies and scores tell no more than one."""
    rng = np.random.default_rng(2)
    accuracy, values = rng.random(20), rng.random(20)
    once = candidates(accuracy)
    twice = candidates(np.tile(accuracy, 2), draw=np.tile(once.draw, 2))
    both = bench(twice, np.arange(20), np.arange(20, 40))
    one, two = (
        ranking.agreement(on, score(of)) for on, of in ((bench(once), values), (both, np.tile(values, 2)))
    )
    np.testing.assert_allclose(one["agreement_low"], two["agreement_low"])


def test_random_scores_lie_in_the_band_of_chance():
    of = candidates(np.random.default_rng(0).random(11))
    chance = ranking.of_chance(bench(of), 0)
    assert chance.value == 0
    assert 0.4 < chance.high < 0.75
    assert -0.75 < chance.low < -0.35

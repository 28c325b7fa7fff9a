"""Measures of rankings: published tables, brute force, ties."""

from itertools import combinations

import numpy as np
import pytest

from transferlens.core.statistics import holm
from transferlens.transferability import measures
from transferlens.transferability.candidates import mean_ranks
from transferlens.transferability.measures import MEASURES, measured

# Ten ImageNet networks on CIFAR-10, as the README of tllib's examples/model_selection prints them.
ACCURACY = [96.2, 97.5, 96.8, 97.7, 97.9, 97.2, 97.4, 97.4, 95.7, 96.8]
PRINTED = {
    "H-score": ([5.911, 6.363, 6.567, 6.901, 6.945, 6.210, 6.547, 6.706, 5.928, 6.018], 0.839, 0.800),
    "LEEP": ([-1.385, -1.259, -1.010, -0.829, -0.838, -1.035, -0.934, -0.888, -1.100, -1.066], 0.603, 0.638),
    "LogME": ([0.293, 0.349, 0.388, 0.463, 0.469, 0.302, 0.343, 0.369, 0.291, 0.304], 0.731, 0.785),
    "NCE": ([-1.139, -1.060, -1.007, -0.838, -0.851, -1.006, -0.946, -0.866, -1.089, -1.086], 0.785, 0.714),
}
# Fine-tuned accuracies of eleven networks (columns) on eleven targets, as NCTI's repository has them.
FINE_TUNED = """
84.66 84.19 85.38 80.32 80.15 66.48 79.68 85.53 86.29 84.06 84.64
91.5 92.51 93.14 90.85 92.75 89.34 88.64 92.38 93.1 91.15 91.98
89.34 89.02 89.44 87.76 87.74 72.58 86.44 89.47 89.88 88.63 89.09
96.45 96.77 97.02 95.54 96.18 92.59 94.74 97.39 97.53 96.12 96.28
82.75 84.26 84.88 79.84 81.49 72.04 78.11 84.88 85.66 81.94 82.8
74.18 74.72 76.04 72.53 72.85 70.12 71.72 74.8 76.44 72.96 74.72
97.02 97.32 97.1 95.76 95.73 95.39 96.2 96.53 96.86 95.2 96.26
84.99 85.84 86.71 79.3 81.76 71.35 81.12 85.58 86.28 81.99 84.45
93.07 93.62 94.03 91.38 92.14 91.08 91.28 93.92 94.42 93.5 93.88
63.26 64.1 64.57 59.89 59.98 56.56 60.29 63.76 64.82 61.02 63.54
85.28 85.77 85.67 82.58 83.84 81.06 82.8 85.68 86.32 84.6 85.8
"""


@pytest.mark.parametrize("name", PRINTED)
def test_correlations_are_those_of_the_printed_table(name):
    scores, pearson, weighted = PRINTED[name]
    found = dict(zip(MEASURES, measured(np.array(scores), np.array(ACCURACY)), strict=True))
    assert found["pearson"] == pytest.approx(pearson, abs=6e-4)
    assert found["weighted tau"] == pytest.approx(weighted, abs=6e-4)


def test_other_targets_order_networks_as_a_static_list_does():
    table = np.array([line.split() for line in FINE_TUNED.strip().splitlines()], float)
    assert table.sum() == pytest.approx(10236.70)
    tau = [
        measures.weighted_tau(-mean_ranks(np.delete(table, target, axis=0)), table[target])
        for target in range(len(table))
    ]
    assert np.mean(tau) == pytest.approx(0.8368, abs=5e-5)
    assert [tau[i] for i in (0, 4, 5, 6)] == pytest.approx([0.8475, 0.9861, 0.9925, 0.4800], abs=5e-5)


def test_mean_ranks_are_over_the_targets_that_know_a_candidate():
    known = np.array([[0.9, 0.1, 0.5, np.nan], [0.2, 0.4, np.nan, np.nan]])
    np.testing.assert_allclose(mean_ranks(known), [0.5, 0.5, 0.5, np.nan])


@pytest.mark.parametrize("among", [1, 2, 4, 9])
def test_regret_is_the_mean_over_all_choices(among):
    rng = np.random.default_rng(0)
    accuracy, scores = rng.random(9), np.array([0, 1, 1, 1, 2, 3, 3, 5, 6.0])[rng.permutation(9)]
    lost = []
    for chosen in map(list, combinations(range(9), among)):
        best = [i for i in chosen if scores[i] == scores[chosen].max()]  # equal ones by lot
        lost.append(accuracy[chosen].max() - accuracy[best].mean())
    assert measures.regret(scores, accuracy, among) == pytest.approx(np.mean(lost))


def test_a_constant_ranker_and_few_candidates_have_no_order():
    assert np.isnan(measured(np.ones(5), np.arange(5.0))).all()
    assert np.isnan(measured(np.arange(2.0), np.arange(2.0))).all()
    perfect = measured(np.arange(20.0), np.arange(20.0) ** 2)
    assert perfect == pytest.approx([1, 1, 1, np.corrcoef(np.arange(20), np.arange(20) ** 2)[0, 1], 0, 0])


def test_holm_multiplies_by_how_many_are_left():
    found = holm(np.array([0.01, np.nan, 0.04, 0.03, 0.5]))
    np.testing.assert_allclose(found, [0.04, np.nan, 0.09, 0.09, 0.5])

"""Contrasts between same, related and unrelated classes."""

import numpy as np

from transferlens.influence import estimators, relations

TARGET, TARGET_GROUPS = ["cat", "dog"], ["animal", "animal"]
SOURCE, SOURCE_GROUPS = ["cat", "dog", "cow", "car"], ["animal", "animal", "animal", "thing"]


def test_pairs_fall_into_the_right_kind():
    weights = relations.relation_weights(TARGET, TARGET_GROUPS, SOURCE, SOURCE_GROUPS)
    assert (weights["same"] > 0).tolist() == [[True, False, False, False], [False, True, False, False]]
    assert (weights["related"] > 0).tolist() == [[False, True, True, False], [True, False, True, False]]
    assert (weights["unrelated"] > 0).tolist() == [[False, False, False, True]] * 2
    assert all(np.isclose(w.sum(), 1) for w in weights.values())


def test_unknown_groups_are_neither_related_nor_unrelated():
    weights = relations.relation_weights(TARGET, ["", ""], SOURCE, ["", "", "", ""])
    assert list(weights) == ["same"]


def test_contrast_is_the_weighted_influence_and_its_jackknife_the_brute_force():
    rng = np.random.default_rng(0)
    masks, means = rng.random((30, 4)) < 0.5, rng.normal(size=(30, 2))
    weights = relations.relation_weights(TARGET, TARGET_GROUPS, SOURCE, SOURCE_GROUPS)
    found = relations.compare_relations(masks, means, weights)
    difference = weights["same"] - weights["related"]

    def contrast(rows):
        return np.sum(difference * estimators.difference_of_means(masks[rows], means[rows]).effect)

    everything = np.arange(30)
    without = np.array([contrast(np.delete(everything, m)) for m in everything])
    se = np.sqrt(29 / 30 * ((without - without.mean()) ** 2).sum())
    interval = found["same - related"]
    assert np.isclose(interval.value, contrast(everything), atol=1e-5)
    assert np.isclose((interval.high - interval.low) / 2, 2.04523 * se, rtol=1e-3)  # t(29) at 97.5 %


def test_planted_help_is_found():
    rng = np.random.default_rng(1)
    masks = rng.random((200, 4)) < 0.5
    effects = np.array([[3, 1, 1, 0], [1, 3, 1, 0]])
    means = masks @ effects.T + rng.normal(size=(200, 2))
    weights = relations.relation_weights(TARGET, TARGET_GROUPS, SOURCE, SOURCE_GROUPS)
    found = relations.compare_relations(masks, means, weights)
    for name, truth in {"same": 3, "related": 1, "unrelated": 0, "same - related": 2}.items():
        assert found[name].low < truth < found[name].high
    assert found["same - related"].low > 0
    assert found["related - unrelated"].low > 0

"""Contrasts between same, related and unrelated classes."""

import numpy as np
import pandas as pd
import pytest

from transferlens.influence import relations

TARGET, TARGET_GROUPS = ["cat", "dog"], ["animal", "animal"]
SOURCE, SOURCE_GROUPS = ["cat", "dog", "cow", "car"], ["animal", "animal", "animal", "thing"]


def members():
    return relations.relation_members(TARGET, TARGET_GROUPS, SOURCE, SOURCE_GROUPS)


def random_case(models):
    rng = np.random.default_rng(1)
    masks = rng.random((models, 4)) < 0.5
    effects = np.array([[3, 1, 1, 0], [1, 3, 1, 0]])
    return masks, masks @ effects.T + [5, -5] + rng.normal(size=(models, 2))


def test_pairs_fall_into_the_right_kind():
    found = members()
    assert found["same"].tolist() == [[True, False, False, False], [False, True, False, False]]
    assert found["related"].tolist() == [[False, True, True, False], [True, False, True, False]]
    assert found["unrelated"].tolist() == [[False, False, False, True]] * 2


def test_unknown_groups_are_neither_related_nor_unrelated():
    assert list(relations.relation_members(TARGET, ["", ""], SOURCE, ["", "", "", ""])) == ["same"]


def test_slopes_equal_an_ordinary_regression():
    masks, means = random_case(40)
    rows = [
        {"y": means[m, t], "intercept": t, **{k: (masks[m] & v[t]).sum() for k, v in members().items()}}
        for m in range(40)
        for t in range(2)
    ]
    table = pd.DataFrame(rows)
    design = pd.get_dummies(table.intercept).assign(**table[["same", "related", "unrelated"]])
    expected = np.linalg.lstsq(design.to_numpy(float), table.y, rcond=None)[0][2:]
    found = relations.compare_relations(masks, means, members(), np.arange(len(masks)))
    np.testing.assert_allclose([found[r].value for r in relations.RELATIONS], expected)
    assert found["same - related"].value == pytest.approx(expected[0] - expected[1])


def test_leaving_a_pair_out_equals_doing_so():
    masks, means = random_case(30)
    counts = np.stack([masks.astype(float) @ v.T for v in members().values()], axis=2)
    pairs = np.arange(len(counts)) // 2
    _, without = relations._pooled_slopes(counts, means, pairs)
    for pair in (0, 7):
        kept = pairs != pair
        again, _ = relations._pooled_slopes(counts[kept], means[kept], pairs[kept])
        np.testing.assert_allclose(without[pair], again)


def test_planted_effects_lie_in_their_intervals():
    found = relations.compare_relations(*random_case(200), members(), np.arange(200))
    for name, truth in {"same": 3, "related": 1, "unrelated": 0, "same - related": 2}.items():
        assert found[name].low < truth < found[name].high
    assert found["related - unrelated"].low > 0


def test_intervals_cover_at_their_level():
    """300 repetitions with noise shared by the target classes of a model, as training noise is."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(300):
        masks = rng.random((48, 4)) < 0.5
        shared = rng.normal(size=(48, 1))
        means = masks @ np.array([[2, 1, 1, 0], [1, 2, 1, 0]]).T + shared + rng.normal(size=(48, 2))
        found = relations.compare_relations(masks, means, members(), np.arange(len(masks)))
        hits += sum(found[n].low < v < found[n].high for n, v in (("same", 2), ("related", 1)))
    assert 0.92 < hits / 600 < 0.98


def test_fixed_size_masks_still_identify_differences():
    rng = np.random.default_rng(0)
    masks = np.array([rng.permutation([1, 1, 0, 0]) for _ in range(60)], bool)
    means = masks @ np.array([[3.0, 1, 1, 0], [1, 3, 1, 0]]).T
    found = relations.compare_relations(masks, means, members(), np.arange(len(masks)))
    assert found["same - related"].value == pytest.approx(2)
    assert found["related - unrelated"].value == pytest.approx(1)

"""Which classes are removed, in which row."""

import numpy as np
import pytest

from transferlens.counterfactual import orders
from transferlens.errors import ConfigError
from transferlens.studies import reference_rows

EFFECT = np.array([0.3, -0.2, 0.9, 0.0, -0.5])
CLASSES = list("abcde")


def test_top_and_bottom_are_opposite_ends():
    assert orders.removal_order("top", EFFECT, 0, 0).tolist() == [2, 0, 3, 1, 4]
    assert orders.removal_order("bottom", EFFECT, 0, 0).tolist() == [4, 1, 3, 0, 2]


def test_random_differs_by_repeat_and_not_by_call():
    drawn = [orders.removal_order("random", np.zeros(50), 0, r).tolist() for r in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert sorted(drawn[0]) == list(range(50))


def test_rows_miss_exactly_their_classes():
    rows = orders.counterfactual_rows(EFFECT, CLASSES, ["top", "bottom"], [1, 3], range(8), seed=0)
    assert rows.labels[:4] == ["top-1-0", "top-3-0", "bottom-1-0", "bottom-3-0"]
    assert [[CLASSES[i] for i in np.flatnonzero(~m)] for m in rows.masks[:4]] == [
        ["c"],
        ["a", "c", "d"],
        ["e"],
        ["b", "d", "e"],
    ]


def test_more_repeats_only_append_rows():
    few = orders.counterfactual_rows(EFFECT, CLASSES, ["random"], [1, 2], range(4), seed=0)
    more = orders.counterfactual_rows(EFFECT, CLASSES, ["random"], [1, 2], range(8), seed=0)
    np.testing.assert_array_equal(few.masks, more.masks[:4])
    assert few.labels == more.labels[:4]


def test_a_repeat_starts_from_the_weights_of_its_full_source_model():
    removal = orders.counterfactual_rows(EFFECT, CLASSES, ["top"], [1], range(3), seed=5)
    reference = reference_rows(CLASSES, range(6), seed=5)
    assert reference.labels[::2] == ["full-0", "full-1", "full-2"]
    np.testing.assert_array_equal(removal.training_seeds, reference.training_seeds[::2])


def test_too_many_classes_are_refused():
    with pytest.raises(ConfigError, match="ks contains 6, but the source has 5 classes"):
        orders.check_ks([1, 6], 5)

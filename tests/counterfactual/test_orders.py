"""Which classes are removed, in which row."""

import numpy as np
import pytest

from transferlens.core.errors import ConfigError
from transferlens.core.studies import reference_rows
from transferlens.counterfactual import orders
from transferlens.counterfactual.orders import Evidence, Removals
from transferlens.data.units import Units

EFFECT = np.array([0.3, -0.2, 0.9, 0.0, -0.5])
CLASSES = list("abcde")
EVIDENCE = Evidence(EFFECT, np.array([10, 20, 30, 40, 50]), np.array([5.0, 0.0, 2.0, 2.0, 9.0]))
UNITS = Units(CLASSES, [""] * 5, np.arange(5))


def rows_of(orders_, ks, rows, seed=0, handpicked=None, singles=0):
    removals = Removals(orders_, ks, handpicked, singles)
    return orders.counterfactual_rows(removals, EVIDENCE, CLASSES, [""] * 5, rows, seed)


def removed(mask):
    return [CLASSES[i] for i in np.flatnonzero(~mask)]


def test_top_and_bottom_are_opposite_ends():
    assert orders.removal_order("top", EVIDENCE, 0, 0).tolist() == [2, 0, 3, 1, 4]
    assert orders.removal_order("bottom", EVIDENCE, 0, 0).tolist() == [4, 1, 3, 0, 2]


def test_random_differs_by_repeat_and_not_by_call():
    nothing = Evidence(np.zeros(50), np.ones(50))
    drawn = [orders.removal_order("random", nothing, 0, r).tolist() for r in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert sorted(drawn[0]) == list(range(50))


def test_label_mapping_removes_the_least_mapped_first():
    assert orders.removal_order("label_mapping", EVIDENCE, 0, 0).tolist() == [1, 2, 3, 0, 4]


def test_the_size_matched_control_removes_as_many_images_as_bottom_does():
    """Bottom removes e and b: 70 images; the pairs of that size are b and e, c and d."""
    for repeat in range(20):
        found = orders.removed_units("matched", 2, Removals([], [], None, 0), EVIDENCE, CLASSES, 0, repeat)
        assert EVIDENCE.images[found].sum() == 70
    both = {
        tuple(sorted(orders.removed_units("matched", 2, Removals([], [], None, 0), EVIDENCE, CLASSES, 0, r)))
        for r in range(20)
    }
    assert both == {(1, 4), (2, 3)}


def test_rows_miss_exactly_their_classes():
    rows = rows_of(["top", "bottom"], [1, 3], range(8))
    assert rows.labels[:4] == ["top-1-0", "top-3-0", "bottom-1-0", "bottom-3-0"]
    assert [removed(m) for m in rows.masks[:4]] == [["c"], ["a", "c", "d"], ["e"], ["b", "d", "e"]]


def test_handpicked_and_single_removals_follow_the_curves():
    rows = rows_of(["top"], [2], range(10), handpicked=["a", "d"], singles=3)
    assert rows.labels[:5] == ["top-2-0", "handpicked-0-0", "single-0-0", "single-1-0", "single-2-0"]
    found = [removed(m) for m in rows.masks]
    assert found[:5] == [
        ["a", "c"],
        ["b", "c", "e"],
        ["e"],
        ["d"],
        ["c"],
    ]  # most harmful, middle, most helpful
    assert found[5:] == found[:5]


def test_more_repeats_only_append_rows():
    few, more = (rows_of(["random"], [1, 2], range(n)) for n in (4, 8))
    np.testing.assert_array_equal(few.masks, more.masks[:4])
    assert few.labels == more.labels[:4]


def test_a_repeat_starts_from_the_weights_of_its_full_source_model():
    removal = rows_of(["top"], [1], range(3), seed=5)
    reference = reference_rows(UNITS, range(6), seed=5)
    assert reference.labels[::2] == ["full-0", "full-1", "full-2"]
    np.testing.assert_array_equal(removal.training_seeds, reference.training_seeds[::2])


@pytest.mark.parametrize(
    ("removals", "message"),
    [
        (Removals(["top"], [1, 6], None, 0), "ks contains 6, but the source has 5 classes"),
        (Removals(["top"], [1], None, 6), "singles contains 6"),
        (
            Removals(["top"], [1], ["a", "bb"], 0),
            "names 'bb', which the source does not have .did you mean 'b'",
        ),
    ],
)
def test_impossible_removals_are_refused(removals, message):
    with pytest.raises(ConfigError, match=message):
        orders.check_removals(removals, CLASSES)

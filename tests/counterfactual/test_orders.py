"""Which classes are removed, in which row."""

from dataclasses import replace

import numpy as np
import pytest

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Reference
from transferlens.counterfactual import orders
from transferlens.counterfactual.artefacts import LABEL_MAPPING
from transferlens.counterfactual.order_files import read_order
from transferlens.counterfactual.orders import Cells, Evidence
from transferlens.data.index import Examples, Index
from transferlens.data.units import Units, group_units

EFFECT = np.array([0.3, -0.2, 0.9, 0.0, -0.5])
CLASSES = list("abcde")
# Of c and d, which are mapped alike, d is the less probable.
EVIDENCE = Evidence(
    EFFECT,
    np.array([10, 20, 30, 40, 50]),
    np.array([5.0, 0.0, 2.0, 2.0, 9.0]),
    np.array([0.3, 0.1, 0.2, 0.1, 0.3]),
)
UNITS = Units(CLASSES, [""] * 5, np.arange(5))
PLANTED_INFLUENCE = Artefact(
    "influence", "i.h5", (Field("*/overall_effect", ("half", "source_class"), np.float64, "planted"),)
)


def rows_of(orders_, ks, rows, seed=0, handpicked=None, singles=0):
    return orders.removal_rows(Cells(orders_, ks, handpicked, singles), EVIDENCE, UNITS, rows, seed)


def columns(rows):
    """How a row's units were chosen, how many or which one, and its repeat."""
    return list(zip(rows.removed_by, rows.removed.tolist(), rows.repeats.tolist(), strict=True))


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


def test_label_mapping_removes_the_least_mapped_first_and_of_equals_the_least_probable():
    assert orders.removal_order("label_mapping", EVIDENCE, 0, 0).tolist() == [1, 3, 2, 0, 4]


def test_an_order_that_was_written_down_is_followed():
    evidence = replace(EVIDENCE, written={"mine": [3, 0, 4, 1, 2]})
    cells = Cells(["mine"], [2])
    assert orders.removed_units("mine", 2, cells, evidence, CLASSES, 0, 0).tolist() == [3, 0]


def test_single_removals_are_chosen_by_the_draws_that_do_not_predict_them():
    evidence = replace(EVIDENCE, choosing=-EFFECT)
    cells = Cells(["top"], [1], singles=2)
    found = [orders.removed_units("single", j, cells, evidence, CLASSES, 0, 0).tolist() for j in range(2)]
    assert found == [[2], [4]]


def test_every_repeat_draws_random_sets_of_its_own_of_sizes_up_to_half():
    names = [f"u{i}" for i in range(20)]
    units = Units(names, [""] * 20, np.arange(20))
    cells = Cells(["top"], [1], subsets=5)
    rows = orders.removal_rows(cells, Evidence(np.zeros(20), np.ones(20)), units, range(12), seed=0)
    sets = np.array([by == "random set" for by in rows.removed_by])
    assert rows.removed[sets].tolist() == [0, 1, 2, 3, 4] * 2
    assert (~rows.masks)[sets].sum(1).tolist() == [2, 4, 6, 8, 10] * 2
    first, second = rows.masks[sets][:5], rows.masks[sets][5:]
    assert (first != second).any(1).all()
    assert [cells.of_columns(by, k) for by, k, _ in columns(rows)] == [*range(6)] * 2


def test_the_size_matched_control_removes_as_many_images_as_bottom_does():
    """Bottom removes e and b: 70 images; the pairs of that size are b and e, c and d."""
    cells = Cells([], [], None, 0)
    drawn = [orders.removed_units("matched", 2, cells, EVIDENCE, CLASSES, 0, repeat) for repeat in range(20)]
    assert all(EVIDENCE.images[units].sum() == 70 for units in drawn)
    assert {tuple(sorted(units)) for units in drawn} == {(1, 4), (2, 3)}


def test_rows_miss_exactly_their_classes():
    rows = rows_of(["top", "bottom"], [1, 3], range(8))
    assert columns(rows)[:4] == [("top", 1, 0), ("top", 3, 0), ("bottom", 1, 0), ("bottom", 3, 0)]
    assert columns(rows)[4:] == [("top", 1, 1), ("top", 3, 1), ("bottom", 1, 1), ("bottom", 3, 1)]
    assert set(rows.roles) == {"removal"}
    assert [removed(m) for m in rows.masks[:4]] == [["c"], ["a", "c", "d"], ["e"], ["b", "d", "e"]]


def test_handpicked_and_single_removals_follow_the_curves():
    rows = rows_of(["top"], [2], range(10), handpicked=["a", "d"], singles=3)
    singles = [("single", place, 0) for place in range(3)]
    assert columns(rows)[:5] == [("top", 2, 0), ("handpicked", 3, 0), *singles]
    missing = [removed(m) for m in rows.masks]
    assert missing[:5] == [
        ["a", "c"],
        ["b", "c", "e"],
        ["e"],
        ["d"],
        ["c"],
    ]  # most harmful, middle, most helpful
    assert missing[5:] == missing[:5]


def test_every_row_is_found_in_its_cell_by_its_columns():
    cells = Cells(["top", "random"], [1, 2], ["a", "d"], 3)
    rows = orders.removal_rows(cells, EVIDENCE, UNITS, range(16), seed=0)
    places = [cells.of_columns(by, removed) for by, removed, _ in columns(rows)]
    assert places == [*range(8), *range(8)]


def test_more_repeats_only_append_rows():
    few, more = (rows_of(["random"], [1, 2], range(n)) for n in (4, 8))
    np.testing.assert_array_equal(few.masks, more.masks[:4])
    assert columns(few) == columns(more)[:4]


def test_a_repeat_starts_from_the_weights_of_its_full_source_model():
    removal = rows_of(["top"], [1], range(3), seed=5)
    reference = Reference.draw({"seed": 5}, UNITS, range(6), {}, None)
    full = reference.of_role("full")
    assert reference.repeats[full].tolist() == removal.repeats.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(removal.training_seeds, reference.training_seeds[full])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (Cells(["top"], [1, 6], None, 0), "ks contains 6, but the source has 5 classes"),
        (Cells(["top"], [1], None, 6), "singles contains 6"),
        (
            Cells(["top"], [1], ["a", "bb"], 0),
            "names 'bb', which the source does not have .did you mean 'b'",
        ),
    ],
)
def test_impossible_removals_are_refused(cells, message):
    with pytest.raises(ConfigError, match=message):
        orders.check_removals(cells, CLASSES)


def test_a_study_is_drawn_from_the_files_of_its_evidence(tmp_path):
    """Effects are those on the select half; counts of source classes add up to groups of them."""
    with artefacts.create(tmp_path / "i.h5", PLANTED_INFLUENCE) as out:
        out.write("margin/overall_effect", np.stack([[0.3, -0.2], [-9.0, 9.0]]))
    with artefacts.create(tmp_path / "m.h5", LABEL_MAPPING) as out:
        out.write("model", [0, 2])
        out.write("source_class", CLASSES)
        out.write("count", [[2, 4, 0, 0, 1], [4, 0, 0, 2, 1]])
        out.write("probability", [[0.4, 0.6, 0, 0, 0], [0.2, 0, 0.2, 0.2, 0.4]])
    labels = np.array([0, 1, 2, 3, 4, 4])
    train = Examples([""] * 6, labels, labels, labels, labels, labels)
    source = Index(CLASSES, ["x", "y", "x", "y", "x"], train, train, CLASSES)
    (tmp_path / "o.csv").write_text("source_class\ny\nx\n")
    evidence = {"influence": tmp_path / "i.h5", "mapping": tmp_path / "m.h5"}
    evidence |= orders.evidence_of_written({"mine": tmp_path / "o.csv"})
    groups = group_units(source)
    read = orders.read_evidence("margin", groups, evidence, source)
    np.testing.assert_allclose(read.effect, [0.3, -0.2])
    assert read.images.tolist() == [4, 2]
    assert read.mapped.tolist() == [4.0, 3.0]
    np.testing.assert_allclose(read.probable, [0.6, 0.4])
    settings = {"orders": ["top", "label_mapping", "mine"], "ks": [1], "handpicked": None, "singles": 0}
    settings |= {"output": "margin", "seed": 0, "study": "counterfactual/t/r", "subsets": 0}
    rows = orders.Removals.draw(settings, groups, range(3), evidence, source)
    assert rows.masks.tolist() == [[False, True], [True, False], [True, False]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such order of removal"),
        ("class\na\n", "column 'source_class' is missing"),
        ("source_class\na\nbb\n", "line 3: unknown source class 'bb'.*did you mean 'b'"),
        ("source_class\na\nb\na\n", "line 4: 'a' stands there twice"),
        ("source_class\na\nb\nc\n", "'d' is missing .2 of 5"),
    ],
)
def test_an_order_file_that_cannot_be_followed_is_refused(tmp_path, text, message):
    if text:
        (tmp_path / "o.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_order(tmp_path / "o.csv", CLASSES)


def test_an_order_file_is_read_from_top_to_bottom(tmp_path):
    (tmp_path / "o.csv").write_text("rank,source_class\n1,c\n2,a\n3,e\n4,b\n5,d\n")
    assert read_order(tmp_path / "o.csv", CLASSES) == [2, 0, 4, 1, 3]

"""Which classes are left out of the source, in which row, and what that is found to change."""

import numpy as np
import pytest

from transferlens.core import store, studies
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Rows, reference_rows
from transferlens.data.units import Units
from transferlens.memories.retraining import left_out, retrained
from transferlens.training import summary

NAMES = list("abcdef")
UNITS = Units(NAMES, [""] * 6, np.arange(6))
SELECT, REPORT = 0, 1


def write_evidence(folder, effect, congruent, classes, binding):
    """Artefacts whose report half says the opposite of the select half: it must play no part."""
    with store.create(folder / "probes.h5", "memory probes", config={}) as out:
        out.array("binding/effect", np.stack([binding, -binding]), ["halves", "c", "k"], "test")
        overlap = np.zeros(binding.shape, bool)
        overlap[0, 0] = True
        out.array("overlap", overlap, ["c", "k"], "test")
    with store.create(folder / "interference.h5", "interference", config={}) as out:
        out.array("effect", np.stack([effect, -effect]), ["halves", "s", "k"], "test")
        out.array("congruent", congruent, ["s", "k"], "test")
        out.array("source_class", np.array(classes, int), ["s"], "test")
    return folder / "interference.h5", folder / "probes.h5"


BINDING = np.array([[9.0, 0.1], [0.2, 0.3], [0.7, 0], [0, 0.5], [0, 0], [0, 0.05]])


def test_classes_are_ranked_by_what_they_do_to_classes_they_are_not_bound_to(tmp_path):
    effect = np.array([[0.1, 0.9], [np.nan, 0.3], [-0.8, 0.4], [np.nan, np.nan]])
    congruent = np.zeros((4, 2), bool)
    congruent[2, 0] = True  # a gain, as expected of the class it is bound to
    files = write_evidence(tmp_path, effect, congruent, [1, 3, 4, 5], BINDING)
    found = left_out.distraction_of_classes(*files)
    np.testing.assert_allclose(found, [np.nan, 0.5, np.nan, 0.3, 0.4, np.nan])
    classes = left_out.left_out_classes(found, 2, seed=0)
    assert classes[:2] == [("distracting", 1), ("distracting", 4)]


def test_without_composites_the_binding_decides(tmp_path):
    files = write_evidence(tmp_path, np.zeros((0, 2)), np.zeros((0, 2), bool), [], BINDING)
    found = left_out.distraction_of_classes(*files)
    np.testing.assert_allclose(found, [0.1, 0.3, 0.7, 0.5, 0, 0.05])  # a's tie of 9 is an overlap


DISTRACTION = np.array([0.1, 0.5, np.nan, 0.3, 0.4, -0.2])


def test_rows_miss_exactly_their_class_and_are_paired_with_the_full_source():
    classes = left_out.left_out_classes(DISTRACTION, 2, seed=3)
    assert [kind for kind, _ in classes] == ["distracting"] * 2 + ["random"] * 2
    assert len({c for _, c in classes}) == 4
    rows = left_out.without_rows(classes, NAMES, [""] * 6, range(8), seed=3)
    assert rows.labels[:5] == [
        "distracting-0-0",
        "distracting-1-0",
        "random-0-0",
        "random-1-0",
        "distracting-0-1",
    ]
    for row, mask in enumerate(rows.masks):
        assert np.flatnonzero(~mask).tolist() == [classes[row % 4][1]]
    reference = reference_rows(UNITS, range(4), seed=3)
    np.testing.assert_array_equal(rows.training_seeds, np.repeat(reference.training_seeds[::2], 4))
    part = left_out.without_rows(classes, NAMES, [""] * 6, range(3, 6), seed=3)
    np.testing.assert_array_equal(part.masks, rows.masks[3:6])


def test_random_classes_are_drawn_from_all_others_by_the_seed():
    drawn = [left_out.left_out_classes(DISTRACTION, 1, seed)[1][1] for seed in range(60)]
    assert drawn == [left_out.left_out_classes(DISTRACTION, 1, seed)[1][1] for seed in range(60)]
    assert set(drawn) == {0, 2, 3, 4, 5}


def test_too_many_classes_are_refused():
    with pytest.raises(ConfigError, match=r"without is 4: .* the source has 6; use at most 3"):
        left_out.check_count(4, 6)
    with pytest.raises(ConfigError, match="tell of 5 source classes"):
        left_out.left_out_classes(DISTRACTION, 6, 0)


def write_summary(path, rows: Rows, margin, labels, halves):
    with store.create(path, summary.KIND, config={}) as out:
        studies.write_row_table(out, rows)
        out.strings("example_ids", [str(i) for i in range(len(labels))], ["examples"], "id")
        out.strings("target_class_names", ["y", "z"], ["target classes"], "name")
        prediction = np.where(margin > 0, labels, 1 - labels)
        models = len(rows)
        for name, values in (
            ("outputs/margin", margin),
            ("outputs/prediction", prediction),
            ("example_labels", labels),
            ("example_halves", halves),
            ("accuracy", np.zeros((models, 2))),
            ("class_accuracy", np.zeros((models, 2, 2))),
            ("source_accuracy", np.zeros(models)),
        ):
            out.array(name, values, [str(i) for i in range(np.ndim(values))], "test")
    return path


EXAMPLES, REPEATS, RESCUE = 400, 3, 0.5


@pytest.fixture(scope="module")
def changes(tmp_path_factory):
    """Without its memory (class 1 or 4) an image gains .5, and .1 without any class; class 0 means y."""
    folder, rng = tmp_path_factory.mktemp("without"), np.random.default_rng(0)
    labels, halves = np.arange(EXAMPLES) % 2, np.arange(EXAMPLES) // 2 % 2
    memory = rng.choice([1, 4, 5], EXAMPLES)
    classes = [("distracting", 1), ("distracting", 4), ("random", 0), ("random", 3)]
    full = rng.normal(1, 1, (REPEATS, EXAMPLES))
    reference = reference_rows(UNITS, range(2 * REPEATS), seed=0)
    models = np.stack([full, full - 9], 1).reshape(-1, EXAMPLES)
    rows = left_out.without_rows(classes, NAMES, [""] * 6, range(4 * REPEATS), seed=0)
    removed = (~rows.masks).argmax(1)
    margin = np.repeat(full, 4, 0) + 0.1 + RESCUE * (removed[:, None] == memory)
    margin[removed == 0] -= 7 * (labels == 0)  # leaving out what means y hurts y: no control for it
    margin += rng.normal(0, 0.2, margin.shape)
    found = retrained.read_changes(
        write_summary(folder / "w.h5", rows, margin, labels, halves),
        write_summary(folder / "r.h5", reference, models, labels, halves),
    )
    overlap = np.zeros((6, 2), bool)
    overlap[0, 0] = True
    path = folder / "out.h5"
    with store.create(path, "test", config={}) as out:
        retrained.write_without(out, found, memory[found.examples], overlap, 300, rng)
    with store.open(path) as file:
        yield (
            found,
            memory,
            {k: v[()] for k, v in file["without/margin"].items()},
            file["without/own_examples"][:],
        )


def test_images_are_compared_with_their_own_full_source_models(changes):
    found, memory, *_ = changes
    assert found.kinds == ["distracting"] * 2 + ["random"] * 2
    assert found.classes.tolist() == [1, 4, 0, 3]
    assert (found.examples // 2 % 2 == REPORT).all()
    own = memory[found.examples] == 4
    assert found.change["margin"][1][:, own].mean() == pytest.approx(0.6, abs=0.02)
    assert found.change["margin"][1][:, ~own].mean() == pytest.approx(0.1, abs=0.02)


def test_the_rescue_is_what_was_planted_and_its_control_skips_overlaps(changes):
    _, _, table, own_examples = changes
    assert own_examples[2] == own_examples[:2].sum()
    for i in range(3):
        assert table["more"][i] == pytest.approx(RESCUE, abs=0.06)
        assert table["more_low"][i] < RESCUE < table["more_high"][i]
        assert table["more_high"][i] - table["more_low"][i] < 0.2
        assert table["control"][i] == pytest.approx(0.1, abs=0.06)  # -3.4 with the overlapping class
    assert table["change"][2] == pytest.approx(0.1 - 3.5, abs=0.05)  # of all images


def test_intervals_of_the_rescue_cover_it():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(100):
        of_repeats, of_images = rng.normal(0, 0.1, (6, 1)), rng.normal(0, 0.3, 40)
        own = 0.3 + of_repeats + of_images + rng.normal(0, 0.1, (6, 40))
        control = rng.normal(0, 0.05, (8, 1, 1)) + rng.normal(0, 0.1, (8, 6, 40))
        *_, more = retrained.rescue(own, control, np.ones((8, 40), bool), 200, rng)
        hits += more.low < 0.3 < more.high
    assert 84 <= hits <= 99

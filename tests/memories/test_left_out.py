"""Which classes are left out of the source, in which row, and what that is found to change."""

import numpy as np
import pytest

from tests.memories.written import probes_of
from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.studies import REMOVAL, Reference, Rows
from transferlens.data.artefacts import write_examples
from transferlens.data.units import Units
from transferlens.memories.artefacts import INTERFERENCE
from transferlens.memories.effect import interference
from transferlens.memories.effect.interference import Interference
from transferlens.memories.kept import probes
from transferlens.memories.retraining import left_out, retrained
from transferlens.training.artefacts import SUMMARY

NAMES = list("abcdef")
UNITS = Units(NAMES, [""] * 6, np.arange(6))
SELECT, REPORT = 0, 1
TOGETHER = {field.name: 0.1 for field in INTERFERENCE.fields if field.dims == ()}


def write_evidence(folder, effect, bound, classes, binding):
    """Artefacts whose report half says the opposite of the select half: it must play no part."""
    overlap = np.zeros(binding.shape, bool)
    overlap[0, 0] = True
    made = probes_of(NAMES, ["y", "z"], np.stack([binding, -binding]), overlap)
    probes.write_probes(folder / "probes.h5", made, "")
    cells = {
        f.name: np.stack([effect, -effect])
        for f in INTERFERENCE.fields
        if f.dtype is np.float64 and f.name not in TOGETHER
    }
    counts, flags = np.zeros((2, *effect.shape), int), np.zeros(effect.shape, bool)
    interference.write_interference(
        folder / "interference.h5",
        Interference(
            *(np.array(classes, int), NAMES, ["y", "z"], cells, counts, counts),
            *(flags, TOGETHER, bound, flags, "", ""),
        ),
    )
    return folder / "interference.h5", folder / "probes.h5"


BINDING = np.array([[9.0, 0.1], [0.2, 0.3], [0.7, 0], [0, 0.5], [0, 0], [0, 0.05]])


def test_classes_are_ranked_by_what_they_do_to_classes_they_are_not_bound_to(tmp_path):
    effect = np.array([[0.1, 0.9], [np.nan, 0.3], [-0.8, 0.4], [np.nan, np.nan]])
    bound = np.zeros((4, 2), bool)
    bound[2, 0] = True  # a gain, as expected of the class it is bound to
    files = write_evidence(tmp_path, effect, bound, [1, 3, 4, 5], BINDING)
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
    assert set(rows.roles) == {REMOVAL}
    said = list(zip(rows.removed_by, rows.removed.tolist(), rows.repeats.tolist(), strict=True))
    assert said[:5] == [
        ("distracting", 0, 0),
        ("distracting", 1, 0),
        ("random", 0, 0),
        ("random", 1, 0),
        ("distracting", 0, 1),
    ]
    for row, mask in enumerate(rows.masks):
        assert np.flatnonzero(~mask).tolist() == [classes[row % 4][1]]
    reference = reference_rows(range(4), seed=3)
    np.testing.assert_array_equal(rows.training_seeds, np.repeat(reference.training_seeds[::2], 4))
    part = left_out.without_rows(classes, NAMES, [""] * 6, range(3, 6), seed=3)
    np.testing.assert_array_equal(part.masks, rows.masks[3:6])


def test_the_study_draws_them_from_what_was_found(tmp_path):
    effect = np.array([[0.1, 0.9], [0.4, 0.3], [0.2, 0.1]])
    files = write_evidence(tmp_path, effect, np.zeros((3, 2), bool), [1, 3, 4], BINDING)
    evidence = dict(zip(("interference", "probes"), files, strict=True))
    drawn = left_out.WithoutOne.draw({"without": 1, "seed": 3}, UNITS, range(4), evidence, None)
    classes = left_out.left_out_classes(left_out.distraction_of_classes(*files), 1, seed=3)
    assert drawn.masks.argmin(1).tolist() == [c for _, c in classes] * 2
    assert drawn.masks.argmin(1)[0] == 1
    assert left_out.remedied_classes(*files, 2).tolist() == [1, 3]


def test_random_classes_are_drawn_from_all_others_by_the_seed():
    drawn = [left_out.left_out_classes(DISTRACTION, 1, seed)[1][1] for seed in range(60)]
    assert drawn == [left_out.left_out_classes(DISTRACTION, 1, seed)[1][1] for seed in range(60)]
    assert set(drawn) == {0, 2, 3, 4, 5}


def test_too_many_classes_are_refused():
    with pytest.raises(ConfigError, match=r"without is 4: .* the source has 6; use at most 3"):
        left_out.check_count(4, 6)
    with pytest.raises(ConfigError, match="tell of 5 source classes"):
        left_out.left_out_classes(DISTRACTION, 6, 0)


def reference_rows(rows, seed):
    return Reference.draw({"seed": seed}, UNITS, rows, {}, None)


def write_summary(path, rows: Rows, margin, labels, halves, ids="example"):
    models = len(rows)
    with artefacts.create(path, SUMMARY) as out:
        studies.write_rows(out, rows)
        write_examples(out, [f"{ids} {i}" for i in range(len(labels))], labels, halves, ["y", "z"])
        out.write("margin", margin)
        out.write("raw_margin", margin)
        out.write("prediction", np.where(margin > 0, labels, 1 - labels))
        out.write("accuracy", np.zeros((models, 2)))
        out.write("class_accuracy", np.zeros((models, 2, 2)))
        out.write("source_accuracy", np.zeros(models))
        out.write("train_images", np.zeros(models))
    return path


def test_all_classes_are_left_out_in_their_order():
    rows = left_out.WithoutOne.draw({"without": "all", "seed": 3}, UNITS, range(12), {}, None)
    assert rows.masks.argmin(1).tolist() == list(range(6)) * 2
    assert rows.removed.tolist() == list(range(6)) * 2
    assert set(rows.removed_by) == {"all"}
    assert rows.repeats.tolist() == [0] * 6 + [1] * 6
    found = retrained.rows_without(rows)
    assert found.classes.tolist() == list(range(6))
    assert found.models.tolist() == [[c, c + 6] for c in range(6)]
    groups = left_out.groups_of(found.kinds, np.array([0.1, -0.2, np.nan, 0, 0.3, 0.2]))
    assert groups == ["distracting", "others", "others", "others", "distracting", "distracting"]
    left_out.check_count("all", 6)
    with pytest.raises(ConfigError, match="'all', but the source has 1 class"):
        left_out.check_count("all", 1)


EXAMPLES, REPEATS = 40, 3


@pytest.fixture
def changes(tmp_path):
    """Models without class c are .1 + c better than their full-source pairs."""
    rng, labels, halves = np.random.default_rng(0), np.arange(EXAMPLES) % 2, np.arange(EXAMPLES) // 2 % 2
    classes = [("distracting", 1), ("distracting", 4), ("random", 0), ("random", 3)]
    full = rng.normal(1, 1, (REPEATS, EXAMPLES))
    reference = reference_rows(range(2 * REPEATS), seed=0)
    models = np.stack([full, full - 9], 1).reshape(-1, EXAMPLES)
    rows = left_out.without_rows(classes, NAMES, [""] * 6, range(4 * REPEATS), seed=0)
    margin = np.repeat(full, 4, 0) + 0.1 + (~rows.masks).argmax(1)[:, None]
    without = write_summary(tmp_path / "w.h5", rows, margin, labels, halves)
    return without, retrained.read_changes(
        without, write_summary(tmp_path / "r.h5", reference, models, labels, halves)
    )


def test_images_are_compared_with_their_own_full_source_models(changes):
    _, found = changes
    assert found.kinds == ["distracting"] * 2 + ["random"] * 2
    assert found.classes.tolist() == [1, 4, 0, 3]
    assert (found.examples // 2 % 2 == REPORT).all()
    np.testing.assert_allclose(found.change["margin"].mean((1, 2)), 0.1 + found.classes, atol=0.01)
    np.testing.assert_allclose(found.change["margin"].std((1, 2)), 0, atol=0.01)


def test_summaries_of_other_examples_are_refused(changes, tmp_path):
    rows, labels = reference_rows(range(4), seed=0), np.arange(8) % 2
    other = write_summary(tmp_path / "o.h5", rows, np.zeros((4, 8)), labels, labels, "other")
    with pytest.raises(ArtefactError, match=r"w\.h5: other target examples than in .*o\.h5"):
        retrained.read_changes(changes[0], other)

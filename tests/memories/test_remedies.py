"""Comparison of remedies: planted changes are found where they are, and nothing else is."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.memories.written import probes_of, write_artefact
from transferlens.core import artefacts, labelled
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.studies import FULL, PRETRAINED, SCRATCH
from transferlens.memories.artefacts import INTERFERENCE, PROBES
from transferlens.memories.effect.composites import Composites, Responses, Shortlist, Table
from transferlens.memories.remedies import comparison, figure
from transferlens.memories.remedies.artefacts import REMEDIES
from transferlens.memories.retraining import left_out
from transferlens.memories.retraining.retrained import Changes
from transferlens.training.artefacts import TRANSFER_RUNS

SOURCES, TARGETS, PER_CELL, MODELS, EXAMPLES = ["a", "b", "c", "d"], ["y", "z"], 12, 3, 200
BOUND = np.array([0, 0, 1, 1])
REPEATS = np.arange(2 * MODELS).reshape(2, MODELS)[::-1]


def table():
    columns = []
    cells = itertools.product((0, 1), range(4), range(2), range(PER_CELL))
    for half, c, k, i in cells:
        columns.append([c, k, 100 * c + 50 * half + i, 100 * k + 50 * half + i % 5, half, i, i, 9])
    return Table(*np.array(columns).T)


TABLE = table()


def composites(rng, drop):
    """Composites on which fine-tuned models lose `drop`[source class], from scratch .05, with noise."""
    shape = (MODELS, len(TABLE))

    def responses(lost):
        alone = np.full(shape, 0.9)
        seen = alone - lost + 0.02 * rng.normal(size=shape)
        p = np.stack([seen, alone, alone], 2)
        wrong = (p < 0.5).astype(np.int32)
        prediction = np.where(wrong, 1 - TABLE.target_class[:, None], TABLE.target_class[:, None])
        right = np.broadcast_to(TABLE.target_class, shape)
        margins = [np.log(of / (1 - of)) for of in (p.clip(0.01, 0.99), alone)]
        told = p, margins[0], prediction, alone, margins[1], right.copy(), np.full(shape, np.nan)
        return Responses(*told)

    lost = np.where(BOUND[TABLE.source_class] == TABLE.target_class, 0.0, np.array(drop)[TABLE.source_class])
    found = {"fine_tuned": responses(lost), "scratch": responses(0.05)}
    listed = Shortlist(np.arange(4), np.zeros(4, bool))
    return Composites(TABLE, listed, SOURCES, TARGETS, REPEATS, found, np.zeros(shape), "")


def probes(after):
    made = probes_of(SOURCES, TARGETS, np.tile(np.eye(2)[BOUND], (2, 1, 1)), np.zeros((4, 2), bool), MODELS)
    shape = (MODELS, 2, 4)
    kept = replace(made.retention, accuracy_before=np.full(shape, 0.8), accuracy_after=np.full(shape, after))
    return replace(made, retention=kept, repeats=REPEATS)


def clean(rng, accuracy, used=()):
    correct = {m: rng.random((MODELS, EXAMPLES)) < accuracy for m in ("fine_tuned", "scratch")}
    return comparison.Clean(correct, np.ones(EXAMPLES), list(used))


def run(seed, drop, after=0.6, accuracy=0.8, used=()):
    rng = np.random.default_rng(seed)
    return comparison.Run(composites(rng, drop), probes(after), clean(rng, accuracy, used))


CHOSEN = np.array([[0, 1], [0, 1], [0, 0], [0, 0]], bool)


def compared(base, runs):
    found = comparison.compare(base, runs, CHOSEN)
    return found.set_index(["remedy", "measure", "pairs"])


@pytest.fixture(scope="module")
def found():
    """A remedy that uses classes a and c: halves what these lose, and costs accuracy and memory."""
    base = run(0, [0.6, 0.6, 0.6, 0.6])
    good = run(1, [0.3, 0.6, 0.3, 0.6], after=0.3, accuracy=0.5, used=["a", "c"])
    return compared(
        base, {"good": good, "idle": replace(base, clean=replace(base.clean, remedy_classes=["a"]))}
    )


def test_what_a_remedy_changes_is_found_where_it_does(found):
    good = found.loc["good"]
    for measure in ("interference", "drop, fine-tuned"):
        for pairs, change in (("trained", -0.3), ("held out", 0.0), ("chosen", -0.15)):
            row = good.loc[measure, pairs]
            assert row.change == pytest.approx(change, abs=0.01), (measure, pairs)
            assert row.change_low < row.change < row.change_high
            assert row.change == pytest.approx(row.after - row.before)
        assert good.loc[measure, "trained"].change_q < 0.02
        assert good.loc[measure, "trained"].n == 2 * PER_CELL  # two classes, one pair each that is not bound
    assert abs(good.loc["drop, scratch", "trained"].change) < 0.01
    assert good.loc["flips, fine-tuned", "trained"].before == 1
    assert good.loc["flips, fine-tuned", "trained"].after == 0
    assert good.loc["flips, fine-tuned", "held out"].change == 0


def test_accuracy_and_retention(found):
    good = found.loc["good"]
    assert good.loc["accuracy, fine-tuned", "all"].change == pytest.approx(-0.3, abs=0.06)
    assert good.loc["accuracy, fine-tuned", "all"].change_q < 0.05
    for pairs in ("all", "trained", "held out"):
        row = good.loc["retention", pairs]
        assert (row.before, row.after) == (pytest.approx(0.75), pytest.approx(0.375))


def test_retraining_without_a_class_is_compared_by_its_accuracy():
    base = run(0, [0.6] * 4)
    before = base.clean.correct["fine_tuned"][:2].astype(float)
    change = np.stack([before * 0, 1 - before])  # leaving out b rights every image
    left_out = Changes(
        ["random", "distracting"], np.array([3, 1]), np.arange(EXAMPLES), None, {"correct": change}
    )
    found = comparison.compare(base, {}, CHOSEN, left_out)
    assert found.remedy.tolist() == ["without b"]
    assert found.after.tolist() == [1.0]
    assert found.change[0] == pytest.approx(1 - before.mean())


def test_a_remedy_that_does_nothing_changes_nothing(found):
    idle = found.loc["idle"]
    assert (idle.change == 0).all()
    assert (idle.change_p.dropna() == 1).all()  # of a single class there is none


def test_significance_is_corrected_over_the_remedies(found):
    of_remedies = found.xs(("interference", "trained"), level=(1, 2))
    known = of_remedies.change_p.notna()
    expected = stats.false_discovery_control(of_remedies.change_p[known].to_numpy())
    np.testing.assert_allclose(of_remedies.change_q[known], expected)
    assert of_remedies.change_q[~known].isna().all()


def without_composites(run):
    none = Table(*np.zeros((8, 0), np.int64))
    return replace(run, composites=replace(run.composites, table=none))


def test_p_values_without_a_change_are_not_too_small():
    """Other draws of the same accuracy, of images and models."""
    base, p = without_composites(run(0, [0.6] * 4)), []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        base, other = (replace(base, clean=clean(rng, 0.8)) for _ in range(2))
        rows = compared(base, {"other": other}).loc["other"]
        p.append(rows.loc["accuracy, fine-tuned", "all"].change_p)
    assert np.mean(np.array(p) < 0.05) <= 0.12
    assert 0.3 < np.mean(p) < 0.7


def test_only_images_right_without_and_with_the_remedy_count():
    base, other = run(0, [0.6] * 4), run(1, [0.6] * 4, used=["a"])
    wrong = np.flatnonzero((TABLE.source_class == 0) & (TABLE.half == 1))[: PER_CELL + 3]
    other.composites.responses["scratch"].alone_prediction[:, wrong] = -1
    rows = compared(base, {"other": other}).loc["other"]
    assert rows.loc["interference", "trained"].n == PER_CELL - 3


def test_other_composites_are_refused():
    base, other = run(0, [0.6] * 4), run(1, [0.6] * 4)
    moved = replace(other, composites=replace(other.composites, table=replace(TABLE, x=TABLE.x + 1)))
    with pytest.raises(ArtefactError, match="remedy 'moved': its composites are not those"):
        compared(base, {"moved": moved})


def test_without_composites_the_rest_is_compared(tmp_path):
    base, other = (without_composites(run(seed, [0] * 4)) for seed in (0, 1))
    found = comparison.compare(base, {"other": other}, CHOSEN)
    assert set(found.measure) == {"accuracy, fine-tuned", "accuracy, scratch", "retention"}
    figure.draw(tmp_path / "r.png", found)
    assert (tmp_path / "r.png").stat().st_size > 5000


def test_the_artefact_and_the_picture(found, tmp_path):
    written = found.reset_index()
    path = tmp_path / "memories" / "t" / "full" / "remedies.h5"
    comparison.write_comparison(path, written, {"good": ["a"]}, "")
    read = labelled.read(path, REMEDIES)
    assert read.measure.values.tolist() == written.measure.tolist()
    np.testing.assert_array_equal(read.change_low, written.change_low)
    np.testing.assert_array_equal(read.change_q, written.change_q)
    with artefacts.open(path, REMEDIES) as file:
        assert json.loads(file.attrs["classes"]) == {"good": ["a"]}
    figure.draw(tmp_path / "r.png", written)
    assert (tmp_path / "r.png").stat().st_size > 20_000


def test_pairs_of_classes_are_those_that_the_choosing_models_chose(tmp_path):
    chosen, sizes = np.array([[1, 0], [0, 1], [0, 0]], bool), {"half": 2, "tried_class": 3, "target_class": 2}
    names = {"tried_class": ["a", "c", "d"], "target_class": TARGETS}
    write_artefact(tmp_path / "i.h5", INTERFERENCE, sizes, **names, chosen=chosen)
    found = comparison.chosen_pairs(tmp_path / "i.h5", SOURCES)
    assert np.argwhere(found).tolist() == [[0, 0], [2, 1]]


def test_only_the_pairs_of_models_that_report_are_compared():
    """The composites of the select half, by other models, are none of a remedy's."""
    base, other = run(0, [0.6] * 4), run(1, [0.6] * 4, used=["a"])
    report = replace(other, composites=other.composites.of_half("report"))
    for one in base.composites.responses.values():
        one.p_true[:, TABLE.half == 0] = np.nan
    found = compared(base, {"all": other, "reported": report})
    for name in ("change", "change_low", "change_p"):
        np.testing.assert_array_equal(found.loc["all"][name], found.loc["reported"][name])


def runs(path, roles, repeats, correct, **more):
    """Transfer runs of models that are right on these of four examples, the last one of the select half."""
    sizes = {"model": len(roles), "example": 4, "target_class": 2, "half": 2, "unit": 1, "epoch": 1}
    return write_artefact(
        path, TRANSFER_RUNS, {**sizes, "log_quantity": 3}, model=np.arange(len(roles)), role=roles,
        repeat=repeats, correct=np.array(correct, bool), target_class=TARGETS, example_class=list("yyzy"),
        example_half=["report"] * 3 + ["select"], **more,
    )  # fmt: skip


def test_clean_outputs_are_read_repeat_by_repeat_over_shards(tmp_path):
    right = np.eye(4, dtype=bool)
    paths = [
        runs(tmp_path / "0.h5", [FULL, SCRATCH], [1, 1], right[[0, 1]], metric="per_class"),
        runs(tmp_path / "1.h5", [FULL, SCRATCH], [0, 0], right[[2, 3]], metric="per_class"),
    ]
    found = comparison.read_clean(paths, 2)
    assert found.correct["fine_tuned"].tolist() == [[False, False, True], [True, False, False]]
    assert found.correct["scratch"].tolist() == [[False] * 3, [False, True, False]]
    assert found.weights.tolist() == [0.5, 0.5, 1]
    assert found.remedy_classes == []
    assert comparison.read_clean(paths, 1).correct["scratch"].tolist() == [[False] * 3]
    paths.append(runs(tmp_path / "2.h5", [PRETRAINED], [0], right[[1]], metric="global", remedy_class=["a"]))
    found = comparison.read_clean(paths, 1)
    assert found.correct["fine_tuned"].tolist() == [[False, True, False]]
    assert found.correct["scratch"].tolist() == [[False] * 3]
    assert found.weights.tolist() == [1, 1, 1]
    assert found.remedy_classes == ["a"]


def test_a_remedy_uses_the_most_distracting_classes_that_mean_no_target_class(tmp_path):
    probed, interfered = tmp_path / "p.h5", tmp_path / "i.h5"
    overlap = np.zeros((4, 2), bool)
    overlap[1, 0] = True
    effect = np.zeros((2, 4, 2))
    effect[0] = [[0.1, 0.1], [0.9, 0.9], [0.5, 0.3], [0.2, 0.2]]
    sizes = {"model": 1, "half": 2, "tried_class": 4, "source_class": 4, "target_class": 2}
    names = {"target_class": TARGETS}
    write_artefact(probed, PROBES, sizes, source_class=SOURCES, overlap=overlap, binding=effect, **names)
    write_artefact(interfered, INTERFERENCE, sizes, tried_class=SOURCES, interference=effect, **names)
    assert left_out.remedied_classes(interfered, probed, 2).tolist() == [2, 3]
    assert left_out.remedied_classes(interfered, probed, 9).tolist() == [0, 2, 3]
    write_artefact(probed, PROBES, sizes, source_class=SOURCES, overlap=overlap | True, **names)
    with pytest.raises(ConfigError, match="no source class to use"):
        left_out.remedied_classes(interfered, probed, 2)

"""Seen minus unseen: by hand, over repeats, and where nothing can be told."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.memories.test_left_out import write_summary
from transferlens.core import labelled
from transferlens.core.blocks import Subject, Table
from transferlens.memories.effect.composites import Table as Composed
from transferlens.memories.retraining import left_out, retrained
from transferlens.memories.seen import answers, estimate, examples, figure, natural, stored, told
from transferlens.memories.seen.artefacts import GROUPS, MEASURES, SEEN
from transferlens.memories.seen.estimate import Measured, contrast, stack
from transferlens.memories.seen.stored import Compared

SUBJECT = Subject("", "", "")


def test_the_model_without_a_class_is_paired_with_each_that_saw_it():
    """Three models; a unit of the first model's class, one of the last one's, and one that is half usable."""
    of_models = np.array([[1.0, 10, 5], [3, 20, 7], [5, 40, 9]])
    usable = np.array([[True, True, True], [True, True, False], [True, True, True]])
    found = contrast(of_models, usable, np.array([0, 2, 0]))
    np.testing.assert_allclose(found.seen, [4, 15, 9])
    np.testing.assert_allclose(found.unseen, [1, 40, 5])
    np.testing.assert_allclose(found.weight, [1, 1, 0.5])
    # The rule knows no side: a unit that the model without its class gets wrong counts for none.
    usable[0] = False
    assert contrast(of_models, usable, np.array([0, 2, 0])).weight.tolist() == [0, 0.5, 0]


def measured(repeats, memory=0.0, classes=3, units=40, seed=0):
    """Every class has its units; models that saw a class answer `memory` more on them."""
    rng = np.random.default_rng(seed)
    places = np.repeat(np.arange(classes), units)
    shape = (repeats, classes, len(places))
    of_models = rng.normal(0, 0.1, (*shape[:2], classes))[..., places] + rng.normal(0, 0.3, shape)
    of_models = of_models + memory * (np.arange(classes)[:, None] != places)
    usable = rng.random(shape) < 0.9
    found = stack([contrast(*of, places) for of in zip(of_models, usable, strict=True)])
    return Measured(found, places, (np.arange(len(places)),))


def test_what_was_planted_is_found_over_repeats_and_units():
    found = measured(12, 0.5).of(np.array([True, True, False]))
    assert found.effect.low < 0.5 < found.effect.high
    assert found.effect.high - found.effect.low < 0.3
    assert found.seen - found.unseen == pytest.approx(found.effect.value)
    assert (found.n, found.effect.models) == (80, 12)


@pytest.mark.parametrize("repeats", [2, 4])
def test_intervals_cover_nothing_where_nothing_was_planted(repeats):
    found = [measured(repeats, seed=seed).of(np.array([True, True, False])).effect for seed in range(100)]
    covered = sum(e.low <= 0 <= e.high for e in found)
    assert covered >= 88
    assert all((e.p <= 0.05) == (e.low > 0 or e.high < 0) for e in found)


def test_a_single_repeat_tells_nothing():
    assert measured(1).of(np.ones(3, bool)) is estimate.NOTHING


def test_many_classes_get_no_q_from_few_repeats():
    q, reason = estimate.class_q(np.full(11, 0.01), repeats=4)
    assert np.isnan(q).all()
    assert "q-values of 11 classes need 12 models" in reason
    assert estimate.class_q(np.full(11, 0.01), repeats=12)[0].max() == pytest.approx(0.01)
    assert estimate.class_q(np.array([0.01, np.nan]), repeats=2)[0].tolist()[0] == pytest.approx(0.01)


def compared(repeats=4, memory=0.5, no_composites="", kinds=("distracting", "distracting", "others")):
    return Compared(
        ["a", "b", "c"], list(kinds), ["y", "y", "z"], repeats,
        {} if no_composites else {"drop": measured(repeats, memory)},
        {"drop": np.array([0.1, 0.3, np.nan])}, no_composites,
    )  # fmt: skip


def written(tmp_path, **given):
    path = tmp_path / "memories/t/full/seen.h5"
    stored.write(path, compared(**given))
    return path


def test_the_artefact_is_labelled_and_drawn(tmp_path):
    path = written(tmp_path)
    found = labelled.read(path, SEEN)
    cell = found.sel(measure="drop", group="distracting")
    assert cell.effect_low < 0.5 < cell.effect_high
    assert cell.scratch == pytest.approx(0.2)
    assert found.scratch.sel(measure="drop", group="others").isnull()
    assert found.class_effect_q.sel(measure="drop", left_out="a") < 0.05
    assert found.effect.sel(measure="binding").isnull().all()
    table = stored.table(path)
    assert len(table) == len(MEASURES) * (len(GROUPS) + 3)
    own = table[(table.measure == "drop") & (table.classes == "a")]
    assert own.effect.item() == pytest.approx(float(found.class_effect.sel(measure="drop", left_out="a")))
    figure.draw(path, tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"memory": 0.5}, "is a memory of these classes (a, b)"),
        (
            {"memory": 0.0},
            "does not show that what was found is a memory of these classes (a, b): no difference",
        ),
        ({"memory": -0.5}, "models that never saw them lose more"),
        ({"kinds": ["others"] * 3}, "none of the classes left out distracts"),
        ({"repeats": 1}, "tells nothing: memories.repeats is 1"),
        ({"no_composites": "too small"}, "tells nothing: too small"),
    ],
)
def test_the_headline_says_no_more_than_its_interval(tmp_path, given, says):
    path = written(tmp_path, **given)
    assert says in told.headline(path)
    figure.draw(path, tmp_path / "s.png")
    section = told.section(path, SUBJECT)
    tables = [block for block in section.blocks if isinstance(block, Table)]
    shown = [cell for table in tables for row in table.rows for cell in row]
    assert "nan" not in " ".join(shown)
    groups = len(set(given.get("kinds", GROUPS)))
    tested = 0 if "repeats" in given or "no_composites" in given else groups + 3
    assert (section.tests, section.method) == (tested, "seen-and-unseen")


def test_composites_are_the_report_halfs_whose_class_is_not_the_bound_one():
    table = Composed(*np.array([[1, 1, 1, 2, 4], [0, 1, 0, 0, 0]]), *[np.arange(5)] * 2,
                     np.array([1, 1, 0, 1, 1]), *[np.arange(5)] * 3)  # fmt: skip
    bound = np.array([0, 1, 1, 0, 0])
    assert answers.composites_of(table, np.array([4, 1]), bound).tolist() == [0]


def test_drops_are_on_the_object_beyond_a_control():
    found = answers.drops({"p_true": np.array([[0.2, 0.9, 0.6]]), "margin": np.array([[-1.0, 2, 0]])})
    assert {name: values.round(6).tolist() for name, values in found.items()} == {
        "drop": [0.7], "canvas": [0.4], "drop_margin": [3.0], "canvas_margin": [1.0],
    }  # fmt: skip


def test_bindings_are_centred_over_source_classes():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    found = answers.bound_probability(p, np.array([0, 0, 1]), np.array([0, 1]))
    np.testing.assert_allclose(found, [0.9 - 0.5, 0.7 - 0.5, 0.8 - 0.5])


NAMES, EXAMPLES = list("abcdef"), 30


@pytest.fixture
def without(tmp_path):
    """Models without an image's memory are .5 better on it; classes 1 and 4 are left out, 5 is not."""
    classes = [("distracting", 4), ("random", 1)]
    rows = left_out.without_rows(classes, NAMES, [""] * 6, range(6), seed=0)
    memory = np.arange(EXAMPLES) % 3 * 3 // 2 + 1  # 1, 2, 4
    margin = 1 + rows.repeats[:, None] + 0.5 * (memory == (~rows.masks).argmax(1)[:, None])
    labels = np.arange(EXAMPLES) % 2
    return write_summary(tmp_path / "w.h5", rows, margin, labels, labels), rows, memory


def test_single_examples_are_told_what_models_with_their_memory_lack(without):
    path, _, memory = without
    found = examples.of_examples(path, memory, np.arange(EXAMPLES))
    own = np.isin(memory, [1, 4])
    np.testing.assert_allclose(found.effect[own], -0.5, atol=1e-3)
    np.testing.assert_allclose(found.high[own] - found.low[own], 0, atol=0.01)
    assert np.isnan(found.effect[~own]).all()


def test_natural_images_are_compared_as_single_ones_are(without):
    path, rows, memory = without
    left = retrained.rows_without(rows)
    own = np.flatnonzero(np.isin(memory, left.classes))
    found = natural.compare(path, left, own, estimate.place_among(left.classes, memory[own]))
    assert found["margin"].of(np.ones(2, bool)).effect.value == pytest.approx(-0.5, abs=1e-3)
    assert found["margin"].of(np.array([True, False])).n == (memory == 4).sum()


class Head(torch.nn.Module):
    """A model as `answers` sees it: a source head and a target head on the same features."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights, dtype=torch.float32)

    def forward(self, features):
        return features @ self.weights.T


class Few:
    """Two source images of a class."""

    def __init__(self):
        self.examples = SimpleNamespace(labels=np.array([0, 0, 1, 1]), halves=np.array([0, 1, 0, 1]))

    def evaluation_batches(self, batch_size):
        yield torch.eye(4)


def test_repeats_are_read_one_after_the_other():
    """A model recognises a class unless it is the one without it; composites there are none."""

    def model(lacking):
        head = np.zeros((2, 4))
        head[0, :2] = head[1, 2:] = 1
        head[lacking] = -1
        network = SimpleNamespace(backbone=torch.nn.Identity(), head=Head(np.eye(2, 4)))
        return SimpleNamespace(source=SimpleNamespace(head=Head(head)), network=network)

    empty = Composed(*[np.zeros(0, np.int64)] * 8)
    asked = answers.Asked(np.array([1, 0]), np.array([0, 1]), Few(), empty, None)
    found = answers.of_repeats(iter([model(1), model(0)] * 3), asked)
    assert set(found) == {"binding", "retention"}
    retention = found["retention"]
    assert retention.found.seen.tolist() == [[1, 1]] * 3
    assert retention.found.unseen.tolist() == [[0, 0]] * 3
    assert retention.places.tolist() == [1, 0]


def test_natural_images_are_chosen_by_what_other_models_recall():
    """The target's images are the source's, in classes of the other way round: each recalls its own class."""
    source, target = Few(), Few()
    source.examples.of_half = lambda half: np.array([0, 2])
    target.examples.labels = np.array([1, 1, 0, 0])
    head = np.zeros((2, 4))
    head[0, :2] = head[1, 2:] = 3
    network = SimpleNamespace(backbone=torch.nn.Identity())
    model = SimpleNamespace(source=SimpleNamespace(head=Head(head)), network=network)
    binding = SimpleNamespace(effect=np.array([[[0.5, 0], [0, 0.5]], [[0, 0.5], [0.5, 0]]]))
    probes = SimpleNamespace(binding=binding, overlap=np.zeros((2, 2), bool))
    chosen, places = natural.choose(iter([model, model]), probes, source, target, np.array([1, 0]))
    assert chosen.tolist() == [1, 3]  # of the report half
    assert places.tolist() == [1, 0]
    chosen, places = natural.choose(iter([model]), probes, source, target, np.array([1]))
    assert (chosen.tolist(), places.tolist()) == ([3], [0])

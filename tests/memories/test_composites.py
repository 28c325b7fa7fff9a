"""Composites are made exactly as said, of the images said."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.memories.written import probes_of
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Examples
from transferlens.memories.effect import composites
from transferlens.memories.kept import observations

SETTINGS = {"side": 0.5, "placement": "random", "per_cell": 6, "scramble": "blocks", "smallest_side": 8}


def examples(classes, per_class):
    labels = np.repeat(np.arange(classes), per_class)
    n = len(labels)
    halves = (np.arange(n) % 2).astype(np.int8)
    return Examples([str(i) for i in range(n)], labels, halves, np.arange(n), np.zeros((n, 2)), labels)


def drawn(seed=0, halves=HALVES, **changes):
    overlap = np.zeros((4, 3), bool)
    overlap[1, 2] = True
    return composites.draw(
        np.array([0, 1, 3]), overlap, examples(4, 10), examples(3, 8), 28, SETTINGS | changes, halves, seed
    )


def test_rows_name_images_of_their_classes_and_half():
    table, source, target = drawn(), examples(4, 10), examples(3, 8)
    np.testing.assert_array_equal(source.labels[table.background], table.source_class)
    np.testing.assert_array_equal(target.labels[table.overlay], table.target_class)
    np.testing.assert_array_equal(source.halves[table.background], table.half)
    np.testing.assert_array_equal(target.halves[table.overlay], table.half)
    cells = set(
        zip(table.half.tolist(), table.source_class.tolist(), table.target_class.tolist(), strict=True)
    )
    assert cells == {(h, c, j) for h in (0, 1) for c in (0, 1, 3) for j in range(3)} - {(0, 1, 2), (1, 1, 2)}


def test_a_half_without_models_has_no_composites_and_changes_none_of_the_others():
    both, one = drawn(), drawn(halves=["report"])
    for name, values in vars(both.only(both.half == 1)).items():
        np.testing.assert_array_equal(values, getattr(one, name))


def answers(rng, models, n):
    """Answers at random of so many models to n composites."""
    numbers = {"prediction": (models, n, 3), "alone_prediction": (models, n)}
    values = {"p_true": (models, n, 3), "margin": (models, n, 3)}
    values |= dict.fromkeys(("alone_p_true", "alone_margin", "inside_share"), (models, n))
    made = {name: rng.integers(0, 3, shape) for name, shape in numbers.items()}
    made |= {name: rng.random(shape).astype(np.float32) for name, shape in values.items()}
    of_role = composites.Responses(**made)
    return composites.Answers(dict.fromkeys(composites.MODELS, of_role), rng.random((models, n)))


def test_each_half_keeps_the_answers_of_its_own_models():
    table, rng = drawn(), np.random.default_rng(0)
    halves = [answers(rng, models, int((table.half == h).sum())) for h, models in enumerate((1, 3))]
    both = composites.joined(halves)
    first = both.responses["scratch"]
    assert np.isnan(first.p_true[1:, table.half == 0]).all()
    assert (first.alone_prediction[1:, table.half == 0] == -1).all()
    shortlist = composites.Shortlist(np.array([0, 1, 3]), np.zeros(3, bool))
    repeats = np.array([[3, -1, -1], [0, 1, 2]])
    made = composites.Composites(
        table, shortlist, [], [], repeats, both.responses, both.memory_probability, ""
    )
    for half, given in zip(HALVES, halves, strict=True):
        found = made.of_half(half)
        assert set(found.table.half) == {HALVES.index(half)}
        np.testing.assert_array_equal(found.memory_probability, given.memory_probability)
        for name, values in vars(given.responses["fine_tuned"]).items():
            np.testing.assert_array_equal(getattr(found.responses["fine_tuned"], name), values)


def test_margins_are_the_log_odds_of_probabilities():
    logits = np.random.default_rng(0).normal(0, 4, (50, 6)).astype(np.float32)
    labels = np.arange(50) % 6
    p, margin = observations._of_true_class(logits, labels)
    expected = torch.from_numpy(logits).double().softmax(1).numpy()[np.arange(50), labels]
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    np.testing.assert_allclose(margin, np.log(expected / (1 - expected)), rtol=1e-4, atol=1e-5)
    certain = observations._of_true_class(np.array([[200.0, 0.0]], np.float32), np.array([0]))
    assert (float(certain[0][0]), float(certain[1][0])) == (1.0, 200.0)


def test_a_drawing_depends_on_the_seed_alone():
    first, again, other = drawn(), drawn(), drawn(seed=1)
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.background != other.background).any()


@pytest.mark.parametrize("placement", ["random", "grid"])
def test_the_square_is_inside(placement):
    table = drawn(placement=placement, per_cell=20)
    assert set(table.side) == {14}
    for edge in (table.x, table.y):
        assert edge.min() >= 0
        assert edge.max() <= 14
    if placement == "grid":
        assert set(table.x) == set(table.y) == {0, 7, 14}
        first = (table.half == 0) & (table.source_class == 0) & (table.target_class == 0)
        assert len(set(zip(table.x[first], table.y[first], strict=True))) == 9


def test_too_small_says_why():
    assert composites.too_small(28, SETTINGS) == ""
    reason = composites.too_small(28, SETTINGS | {"smallest_side": 15})
    assert "has 14 px a side, fewer than memories.composites.smallest_side 15" in reason


def test_the_share_inside_equals_that_of_the_enlarged_map():
    maps = torch.rand(3, 7, 7, generator=torch.Generator().manual_seed(0))
    maps[2] = 0
    x, y, side = torch.tensor([0, 13, 3]), torch.tensor([15, 2, 3]), torch.tensor([13, 13, 13])
    found = observations.inside_share(maps, x, y, side, 28)
    large = functional.interpolate(maps[:, None], (28, 28), mode="bilinear", align_corners=False)[:, 0]
    for i in range(2):
        inside = large[i, y[i] : y[i] + 13, x[i] : x[i] + 13]
        assert float(found[i]) == pytest.approx(float(inside.sum() / large[i].sum()), abs=1e-6)
    assert torch.isnan(found[2])


def probes(effect, coupling, overlap):
    """Probes whose report half says the opposite."""
    made = probes_of([], [], np.stack([effect, -effect]), overlap)
    return dataclasses.replace(made, coupling=np.stack([coupling, -coupling])[None])


def test_the_shortlist_is_by_the_select_half_by_weights_and_by_chance():
    rng, overlap = np.random.default_rng(0), np.zeros((30, 2), bool)
    effect, coupling = rng.uniform(-1, 1, (2, 30, 2))
    effect[4, 1], effect[9, 0], coupling[20, 0], coupling[21, 1] = 5, 4, 5, 4
    effect[7, 0] = effect[8, 0] = 9
    overlap[7] = True  # overlaps with all: none
    overlap[8, 0], effect[8, 1] = True, -1  # strong only where it overlaps
    found = composites.choose(probes(effect, coupling, overlap), 4, 5, seed=0)
    assert set(found.classes[~found.random]) == {4, 9, 20, 21}
    assert found.random.sum() == 5
    assert 7 not in composites.choose(probes(effect, coupling, overlap), 4, 99, seed=0).classes

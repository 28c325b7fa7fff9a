"""Estimates from composites against plain computations, and their p-values under the null."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from transferlens.core import labelled
from transferlens.memories.artefacts import INTERFERENCE
from transferlens.memories.effect import composites, interference
from transferlens.memories.effect.composites import Composites, Responses, Shortlist, Table

MODELS, PER_CELL = 3, 16


def made(rng, sources=4, targets=3):
    """Composites of every pair in both halves, with answers at random."""
    cells = [(h, c, j) for h in (0, 1) for c in range(sources) for j in range(targets)]
    half, source, target = np.repeat(cells, PER_CELL, axis=0).T
    n = len(half)
    backgrounds = np.tile(np.arange(PER_CELL), len(cells)) + 100 * source
    overlays = np.concatenate([rng.permutation(PER_CELL) for _ in cells]) + 100 * target
    table = Table(source, target, backgrounds, overlays, half, *np.zeros((2, n), int), np.full(n, 9))
    answers = {}
    for model in composites.MODELS:
        right = rng.random((MODELS, n)) < 0.8
        answers[model] = Responses(
            rng.random((MODELS, n, 3)).astype(np.float32),
            rng.integers(0, targets, (MODELS, n, 3)),
            rng.random((MODELS, n)).astype(np.float32),
            np.where(right, target, (target + 1) % targets),
            np.zeros((MODELS, n)),
        )
    names = [str(c) for c in range(sources)], [str(j) for j in range(targets)]
    shortlist = Shortlist(np.arange(sources), np.zeros(sources, bool))
    return Composites(table, shortlist, *names, answers, np.zeros((MODELS, n)), "")


def estimate(found, smallest_cell=5, bootstrap=200, permutations=200):
    sources, targets = len(found.source_names), len(found.target_names)
    overlap = np.zeros((sources, targets), bool)
    overlap[1, 1] = True
    bound = np.arange(sources) % targets
    return interference.estimate(found, bound, overlap, smallest_cell, bootstrap, permutations, 0)


def test_estimates_of_a_cell_equal_a_plain_computation():
    found = made(np.random.default_rng(0))
    cells = estimate(found).cells
    t, tuned, scratch = found.table, found.responses["fine_tuned"], found.responses["scratch"]
    rows = (t.half == 1) & (t.source_class == 2) & (t.target_class == 0)
    net, gross, canvas, flips, n = [], [], [], [], set()
    for m in range(MODELS):
        for i in np.flatnonzero(rows):
            if tuned.alone_prediction[m, i] != 0 or scratch.alone_prediction[m, i] != 0:
                continue
            drops = [r.alone_p_true[m, i] - r.p_true[m, i].astype(float) for r in (tuned, scratch)]
            net.append((drops[0][0] - drops[0][1]) - (drops[1][0] - drops[1][1]))
            gross.append(drops[0][0] - drops[1][0])
            canvas.append(drops[0][2])
            flips.append(scratch.prediction[m, i, 0] != 0)
            n.add(i)
    at = (1, 2, 0)
    assert cells["interference"][at] == pytest.approx(np.mean(net), abs=1e-6)
    assert cells["gross"][at] == pytest.approx(np.mean(gross), abs=1e-6)
    assert cells["drop_canvas_fine_tuned"][at] == pytest.approx(np.mean(canvas), abs=1e-6)
    assert cells["flips_scratch"][at] == pytest.approx(np.mean(flips))
    assert estimate(found).n[at] == len(n)
    assert (cells["interference_low"] < cells["interference"]).all()
    assert (cells["interference"] < cells["interference_high"]).all()


def test_a_cell_with_too_few_usable_composites_is_left_out():
    found = made(np.random.default_rng(1))
    rows = np.flatnonzero((found.table.half == 0) & (found.table.source_class == 3))
    found.responses["scratch"].alone_prediction[:, rows] = -1
    estimated = estimate(found)
    assert np.isnan(estimated.cells["interference"][0, 3]).all()
    assert np.isnan(estimated.cells["interference_q"][0, 3]).all()
    assert estimated.n[0, 3].tolist() == [0, 0, 0]
    assert not np.isnan(estimated.cells["interference_q"][1, 3]).any()
    assert len(interference.table(estimated)) == 2 * 12 - 3


def test_congruent_pairs_are_those_the_memory_is_bound_to_unless_they_overlap():
    congruent = estimate(made(np.random.default_rng(2))).congruent
    assert [(int(c), int(j)) for c, j in np.argwhere(congruent)] == [(0, 0), (2, 2), (3, 0)]


def test_p_values_of_interference_are_uniform_under_the_null():
    """Answers that do not depend on the background's control; images vary, and count in all models."""
    rng = np.random.default_rng(3)
    found = made(rng, sources=12, targets=10)
    for answers in found.responses.values():
        answers.p_true[..., 1:] = answers.p_true[..., :1]
        image = rng.normal(0, 0.05, answers.p_true.shape[1:])
        answers.p_true[...] += image + rng.normal(0, 0.02, answers.p_true.shape)
    p = estimate(found, permutations=999).cells["interference_p"]
    for of_half in p:
        assert stats.kstest(of_half.ravel(), "uniform").pvalue > 0.01


def test_an_effect_of_one_pair_is_found_in_it():
    found = made(np.random.default_rng(4))
    rows = (found.table.source_class == 1) & (found.table.target_class == 2)
    found.responses["fine_tuned"].p_true[:, rows, 0] -= 0.9
    cells = estimate(found, permutations=999).cells
    assert np.unravel_index(cells["interference"][1].argmax(), (4, 3)) == (1, 2)
    assert cells["interference_q"][1, 1, 2] < 0.05
    assert cells["interference_low"][1, 1, 2] > 0


def test_nothing_made_is_estimated_as_nothing(tmp_path):
    found = made(np.random.default_rng(5))
    probes = dataclasses.make_dataclass("Names", ["source_names", "target_names"])
    nothing = composites.none_made(probes(found.source_names, found.target_names), 2, "too small")
    path = tmp_path / "composites.h5"
    composites.write_composites(path, nothing)
    estimated = estimate(composites.read_composites(path))
    assert estimated.skipped == "too small"
    assert estimated.cells["interference"].shape == (2, 0, 3)
    interference.write_interference(tmp_path / "i.h5", estimated)
    interference.draw_matrix(tmp_path / "i.png", estimated)
    assert interference.table(estimated).empty
    stored = labelled.read(tmp_path / "i.h5", INTERFERENCE)
    assert (stored.attrs["skipped"], stored.sizes["tried_class"]) == ("too small", 0)


def test_interference_is_stored_by_the_names_of_classes(tmp_path):
    made_up = made(np.random.default_rng(7))
    listed = np.array([0, 3])
    rows = np.isin(made_up.table.source_class, listed)
    table = Table(*(values[rows] for values in vars(made_up.table).values()))
    answers = {
        model: Responses(*(values[:, rows] for values in vars(of_model).values()))
        for model, of_model in made_up.responses.items()
    }
    shortlist = Shortlist(listed, np.zeros(2, bool))
    estimated = estimate(dataclasses.replace(made_up, table=table, responses=answers, shortlist=shortlist))
    interference.write_interference(tmp_path / "i.h5", estimated)
    stored = labelled.read(tmp_path / "i.h5", INTERFERENCE)
    assert stored.tried_class.values.tolist() == ["0", "3"]
    cell = stored.sel(half="report", tried_class="3", target_class="2")
    assert cell.interference == estimated.cells["interference"][1, 1, 2]
    assert cell.interference_n == estimated.n[1, 1, 2]
    columns = set(interference.table(estimated))
    assert {"effect", "low", "high", "p", "q", "gross", "flips_q", "congruent"} < columns


def test_composites_are_read_as_written(tmp_path):
    found = made(np.random.default_rng(6))
    composites.write_composites(tmp_path / "c.h5", found)
    again = composites.read_composites(tmp_path / "c.h5")
    for name, values in vars(found.table).items():
        np.testing.assert_array_equal(getattr(again.table, name), values)
    for model, answers in found.responses.items():
        for name, values in vars(answers).items():
            np.testing.assert_array_equal(getattr(again.responses[model], name), values)

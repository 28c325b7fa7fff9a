"""Estimates from composites against plain computations, and which of them are tested."""

import dataclasses

import numpy as np
import pytest

from tests.memories.written import probes_of
from transferlens.core import labelled
from transferlens.memories.artefacts import INTERFERENCE
from transferlens.memories.effect import composites, interference
from transferlens.memories.effect.composites import Composites, Responses, Shortlist, Table
from transferlens.memories.tested import ENOUGH_MODELS, MOST_CHOSEN

MODELS, PER_CELL = 3, 16


def made(rng, sources=4, targets=3, models=MODELS):
    """Composites of every pair in both halves, with answers at random."""
    cells = [(h, c, j) for h in (0, 1) for c in range(sources) for j in range(targets)]
    half, source, target = np.repeat(cells, PER_CELL, axis=0).T
    n = len(half)
    backgrounds = np.tile(np.arange(PER_CELL), len(cells)) + 100 * source
    overlays = np.concatenate([rng.permutation(PER_CELL) for _ in cells]) + 100 * target
    table = Table(source, target, backgrounds, overlays, half, *np.zeros((2, n), int), np.full(n, 9))
    answers = {}
    for model in composites.MODELS:
        right = rng.random((models, n)) < 0.8
        answers[model] = Responses(
            *rng.random((2, models, n, 3)).astype(np.float32),
            rng.integers(0, targets, (models, n, 3)),
            *rng.random((2, models, n)).astype(np.float32),
            np.where(right, target, (target + 1) % targets),
            np.zeros((models, n)),
        )
    names = [str(c) for c in range(sources)], [str(j) for j in range(targets)]
    shortlist, repeats = Shortlist(np.arange(sources), np.zeros(sources, bool)), np.arange(2 * models)
    told = (repeats.reshape(2, -1)[::-1], answers, np.zeros((models, n)), "")
    return Composites(table, shortlist, *names, *told)


def estimate(found, smallest_cell=5, q=0.01):
    """Interference where source class c is bound to target class c, counted round."""
    sources, targets = len(found.source_names), len(found.target_names)
    overlap = np.zeros((sources, targets), bool)
    overlap[1, 1] = True
    binding = np.tile(np.eye(targets)[np.arange(sources) % targets], (2, 1, 1))
    probed = probes_of(found.source_names, found.target_names, binding, overlap, q=q)
    return interference.estimate(found, probed, smallest_cell)


def test_estimates_of_a_cell_equal_a_plain_computation():
    found = made(np.random.default_rng(0))
    cells = estimate(found).cells
    t, tuned, scratch = found.table, found.responses["fine_tuned"], found.responses["scratch"]
    rows = (t.half == 1) & (t.source_class == 2) & (t.target_class == 0)
    seen = {name: [] for name in ("net", "margin", "object", "scrambled", "gross", "canvas", "flips")}
    n = set()
    for m in range(MODELS):
        for i in np.flatnonzero(rows):
            if tuned.alone_prediction[m, i] != 0 or scratch.alone_prediction[m, i] != 0:
                continue
            p, logs = (
                [
                    getattr(r, f"alone_{output}")[m, i] - getattr(r, output)[m, i].astype(float)
                    for r in (tuned, scratch)
                ]
                for output in ("p_true", "margin")
            )
            seen["net"].append((p[0][0] - p[0][1]) - (p[1][0] - p[1][1]))
            seen["margin"].append((logs[0][0] - logs[0][1]) - (logs[1][0] - logs[1][1]))
            seen["object"].append((p[0][0] - p[0][2]) - (p[1][0] - p[1][2]))
            seen["scrambled"].append((p[0][1] - p[0][2]) - (p[1][1] - p[1][2]))
            seen["gross"].append(p[0][0] - p[1][0])
            seen["canvas"].append(p[0][2])
            seen["flips"].append(scratch.prediction[m, i, 0] != 0)
            n.add(i)
    at = (1, 2, 0)
    for name, key in (
        ("interference", "net"),
        ("interference_margin", "margin"),
        ("beyond_canvas", "object"),
        ("scrambled_beyond_canvas", "scrambled"),
        ("gross", "gross"),
        ("drop_canvas_fine_tuned", "canvas"),
        ("flips_scratch", "flips"),
    ):
        assert cells[name][at] == pytest.approx(np.mean(seen[key]), abs=1e-6), name
    assert estimate(found).n[at] == len(n)
    assert estimate(found).models[at] == MODELS
    np.testing.assert_allclose(
        cells["interference"], cells["beyond_canvas"] - cells["scrambled_beyond_canvas"], atol=1e-9
    )
    assert (cells["interference_low"] < cells["interference"]).all()
    assert (cells["interference"] < cells["interference_high"]).all()


def test_a_cell_with_too_few_usable_composites_is_left_out():
    found = made(np.random.default_rng(1), models=ENOUGH_MODELS)
    rows = np.flatnonzero((found.table.half == 0) & (found.table.source_class == 3))
    found.responses["scratch"].alone_prediction[:, rows] = -1
    estimated = estimate(found)
    assert np.isnan(estimated.cells["interference"][0, 3]).all()
    assert np.isnan(estimated.cells["interference_q"][0, 3]).all()
    assert estimated.n[0, 3].tolist() == [0, 0, 0]
    assert not np.isnan(estimated.cells["interference_q"][1, 3]).any()
    assert len(interference.table(estimated)) == 2 * 12 - 3


def test_congruent_pairs_are_those_the_memory_is_bound_to_for_sure_unless_they_overlap():
    estimated = estimate(made(np.random.default_rng(2)))
    expected = [(0, 0), (2, 2), (3, 0)]
    assert [(int(c), int(j)) for c, j in np.argwhere(estimated.congruent)] == expected
    for q in (0.2, np.nan):
        unsure = estimate(made(np.random.default_rng(2)), q=q)
        assert not unsure.congruent.any()
        assert [(int(c), int(j)) for c, j in np.argwhere(unsure.bound)] == [(0, 0), (1, 0), (2, 2), (3, 0)]


def test_with_few_pairs_of_models_the_cells_that_other_models_chose_are_tested_alone():
    found = made(np.random.default_rng(4))
    select = found.table.half == 0
    rows = (found.table.source_class == 1) & (found.table.target_class == 2)
    found.responses["fine_tuned"].p_true[:, rows & select, 0] -= 0.9  # on the select half alone
    estimated = estimate(found)
    assert estimated.chosen[1, 2]
    assert estimated.chosen.sum() <= MOST_CHOSEN
    tested = ~np.isnan(estimated.cells["interference_q"])
    assert not tested[0].any()
    np.testing.assert_array_equal(tested[1], estimated.chosen)
    np.testing.assert_array_equal(tested, ~np.isnan(estimated.cells["beyond_canvas_margin_p"]))
    assert estimated.cells["interference_q"][1, 1, 2] > 0.05
    assert "3 pairs of models are too few" in estimated.untested


def test_the_chosen_pairs_are_told_together():
    """A mean over all of their report-half composites, with one test: chosen by other models, one claim."""
    found = made(np.random.default_rng(9))
    found.responses["fine_tuned"].p_true[:, found.table.source_class == 2, 0] -= 0.5
    estimated = estimate(found)
    t, values = found.table, interference.measure(found)
    rows = (t.half == 1) & estimated.chosen[t.source_class, t.target_class]
    usable = values.usable[:, rows]
    for name in ("interference", "beyond_canvas_margin"):
        expected = values.contrasts[name][:, rows][usable].mean()
        assert estimated.together[f"chosen_{name}"] == pytest.approx(expected)
    low, p = (estimated.together[f"chosen_interference_{part}"] for part in ("low", "p"))
    assert (low > 0) == (p < 0.05)
    nothing = estimate(made(np.random.default_rng(9), models=1)).together
    assert np.isfinite(nothing["chosen_interference"])
    assert np.isnan(nothing["chosen_interference_p"])


def test_an_effect_of_one_pair_is_found_in_it():
    found = made(np.random.default_rng(4), models=ENOUGH_MODELS)
    rows = (found.table.source_class == 1) & (found.table.target_class == 2)
    found.responses["fine_tuned"].p_true[:, rows, 0] -= 0.9
    estimated = estimate(found)
    cells = estimated.cells
    assert np.unravel_index(cells["interference"][1].argmax(), (4, 3)) == (1, 2)
    assert cells["interference_q"][1, 1, 2] < 0.05
    assert cells["interference_low"][1, 1, 2] > 0
    assert not np.isnan(cells["interference_q"]).any()
    assert estimated.untested == ""


@pytest.mark.parametrize("models", [2, 3, ENOUGH_MODELS])
def test_no_q_contradicts_its_interval(models):
    """Whatever the answers: a pair of classes with q < .05 has an interval without zero."""
    for seed in range(5):
        found = made(np.random.default_rng(seed), models=models)
        shift = np.random.default_rng(seed).normal(0, 0.4, (4, 3))
        found.responses["fine_tuned"].p_true[..., 0] -= shift[
            found.table.source_class, found.table.target_class
        ]
        cells = estimate(found).cells
        for name in interference.ESTIMATES:
            low, high, p, q = (cells[f"{name}_{part}"] for part in ("low", "high", "p", "q"))
            around_zero = (low <= 0) & (high >= 0)
            assert not (around_zero & (q < 0.05)).any()
            tested = ~np.isnan(p)
            np.testing.assert_array_equal(around_zero[tested], p[tested] >= 0.05)


def test_a_single_pair_of_models_has_numbers_but_no_intervals():
    estimated = estimate(made(np.random.default_rng(8), models=1))
    assert not np.isnan(estimated.cells["interference"]).any()
    for part in ("se", "low", "high", "p", "q"):
        assert np.isnan(estimated.cells[f"interference_{part}"]).all()
    assert "a single pair of models tells nothing of other models" in estimated.untested


def test_nothing_made_is_estimated_as_nothing(tmp_path):
    found = made(np.random.default_rng(5))
    probes = probes_of(found.source_names, found.target_names, np.zeros((2, 4, 3)), np.zeros((4, 3), bool))
    nothing = composites.none_made(probes, "too small")
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
    assert {"effect", "se", "low", "high", "p", "q", "gross", "flips_q", "chosen", "congruent"} < columns


def test_composites_are_read_as_written(tmp_path):
    found = made(np.random.default_rng(6))
    composites.write_composites(tmp_path / "c.h5", found)
    again = composites.read_composites(tmp_path / "c.h5")
    for name, values in vars(found.table).items():
        np.testing.assert_array_equal(getattr(again.table, name), values)
    for model, answers in found.responses.items():
        for name, values in vars(answers).items():
            np.testing.assert_array_equal(getattr(again.responses[model], name), values)

"""From features of models to the artefact, the table, the figures and the page, with a known arithmetic."""

import numpy as np
import pytest

from tests.relatedness import planted
from transferlens.core import labelled
from transferlens.pictures.figures import save
from transferlens.relatedness import figures, measured, page, stored, tables
from transferlens.relatedness.artefacts import COLUMNS, RELATEDNESS

NAMES = {"target": "digits", "reference": "source", "study": "reference"}


def make(folder, monkeypatch, rows=10):
    """Models of the full source and random ones by turns, related by the planted arithmetic."""
    planted.plant(monkeypatch)
    study, sides = planted.rows(6), []
    given = (("source", planted.REFERENCE, {"first": 4}), ("digits", planted.TARGET, None))
    for name, classes, chosen in given:
        files = planted.write_features(folder, classes, study)
        sides.append(stored.side(name, planted.index_of(classes), files, chosen, 8, 0))
    stored.write_relatedness(folder / "made.h5", *sides, rows, planted.GRID, planted.TOLD)
    return labelled.read(folder / "made.h5", RELATEDNESS)


@pytest.fixture
def made(tmp_path, monkeypatch):
    return make(tmp_path, monkeypatch)


def test_what_is_stored_is_what_the_arithmetic_says(made):
    assert dict(made.sizes).items() >= {"model": 10, "tau": 2, "transform": 3, "draw": 2}.items()
    assert made.reference_class.values.tolist() == planted.REFERENCE[:4]
    one = made.isel(model=3, draw=1).sel(tau=1.0, transform="LearnedA")
    own = float(one.bound) - 2 - 1 - 0.2 - 1
    assert 0.5 < own < 1.1  # the mean absolute standardised feature
    assert float(one.reference_loss) == pytest.approx(float(one.bound) - 1.5)
    assert float(one.transport) == pytest.approx(0.8)  # tau times .8 / tau
    assert float(one.transport_high) == pytest.approx(0.8 + 0.1)
    assert float(one.bound_low) == pytest.approx(float(one.bound) - 0.1)
    assert one.slack.values.tolist() == [0.25, 0.5]
    assert made.stage.values.tolist() == ["label map", "transport"]
    assert made.trace_transform.values.tolist() == ["LearnedA", "LearnedAll"]
    assert float(made.trace_bound[0, 0, -1]) == pytest.approx(float(made.bound[0, 0, 1, 0]))
    assert made.published[0, 0, 0, 0].values.tolist() == list(range(1, 12))
    assert made.column.values.tolist() == list(COLUMNS)
    assert made.attrs["log_classes"] == pytest.approx(np.log(3))
    assert (made.attrs["target_images"], made.attrs["reference_images"]) == (3 * 8, 4 * 8)


def test_means_are_over_models_of_a_role_and_draws(made):
    full = made.bound.sel(tau=0.2, transform="LearnedAll")[made.role == "full"]
    found = made.sel(model_role="full", tau=0.2, transform="LearnedAll", quantity="bound")
    assert float(found["mean"]) == pytest.approx(float(full.mean()))
    assert float(found.least) == pytest.approx(float(full.sel(draw=0).mean()))
    assert float(found["mean_high"] - found["mean_low"]) >= 0.2  # the interval of the images alone
    assert made.role_models.values.tolist() == [5, 5]
    # The probe's loss is the same bound's part for every transform, of the first transform's relation.
    probe = made.sel(model_role="full", tau=0.2, quantity="probe_loss")["mean"]
    assert probe.values == pytest.approx([1.1] * 3)


def test_assumptions_that_fail_are_counted(made):
    # The probe's loss is 1.1 or more than .9 + .5, the transformed head's 1.
    assert made.attrs["assumption_failed"] == made.attrs["bounds"] == 120


def test_a_table_has_a_row_for_every_bound(made):
    table = stored.table(made)
    assert len(table) == 120
    row = table[
        (table.model == 4) & (table.tau == 1.0) & (table["transform"] == "FixedAll") & (table.draw == 1)
    ]
    assert row.bound.item() == float(made.bound.sel(model=4, tau=1.0, transform="FixedAll", draw=1))
    assert row.probe_loss.item() == pytest.approx(1.1)
    assert row.role.item() == "full"


def test_images_are_those_of_the_chosen_classes_and_at_most_so_many():
    labels = np.array([0, 1, 2, 3] * 5)
    part = measured.images_of(labels, np.array([3, 1]), 4, np.random.default_rng(0))
    assert np.bincount(part.labels).tolist() == [4, 4]
    np.testing.assert_array_equal(labels[part.positions], np.array([3, 1])[part.labels])
    again = measured.images_of(labels, np.array([3, 1]), 4, np.random.default_rng(0))
    np.testing.assert_array_equal(part.positions, again.positions)


def test_the_page_says_what_is_proved_what_is_assumed_and_what_is_chance(made, tmp_path):
    section = page.bound_section(made, tmp_path, NAMES)
    (question, _, bounds, probes, *_) = section.blocks
    assert "at most the bound: proved" in question.text
    assert "not of that on others" in question.text
    assert "it failed for 120 of 120 bounds" in question.text
    assert [row[:2] for row in bounds.rows[::3]] == [
        ("whole source", "FixedAll"),
        ("random network (control)", "FixedAll"),
    ]
    parts = np.array([[float(cell) for cell in row[2:6]] for row in bounds.rows])
    totals = [float(row[6].split(" ")[0]) for row in bounds.rows]
    np.testing.assert_allclose(parts.sum(1), totals, atol=2e-3)
    assert probes.rows[0][-1] == "10 of 10"
    near, vacuous, failed = section.warnings
    assert "near that of guessing (log K = 1.099)" in near
    assert "promises nothing" in vacuous
    assert "for 120 of 120 bounds the probe is worse" in failed
    assert section.tests == 0


def test_published_numbers_stand_beside_with_how_often_their_bound_fails(made):
    table = tables.published_table(made)
    assert table.rows[8][:2] == ("9. bound", "9.000")  # they are the same of all models: no interval
    assert "In 0 of 20 models and draws" in table.note
    made.published[:] = made.published[..., ::-1].values + np.arange(10)[:, None, None, None, None] / 10
    table = tables.published_table(made)
    assert "In 20 of 20 models and draws" in table.note
    assert table.rows[8][1].startswith("3.400 (")  # 3, plus 0, .2, .4, .6 and .8 of the five models


def test_a_floor_that_is_most_of_the_distance_is_a_warning(made):
    assert not any("one and the same class" in text for text in page.warnings(made))
    made.floor[:] = 3.0  # of 4.0
    assert any("lie 75 % as far apart" in text for text in page.warnings(made))


def test_correlations_are_told_of_five_models_of_a_kind_or_not_at_all(made, tmp_path, monkeypatch):
    assert made.correlation.isnull().all()  # the planted probe's loss is the same of all models
    made.correlation[:], made.correlation_low[:], made.correlation_high[:] = 0.8, 0.1, 0.95
    table = tables.correlation_table(made)
    assert table.rows[0] == ("whole source", "FixedAll", *["+0.8 (+0.1 to +0.95)"] * 2)
    few = make(tmp_path, monkeypatch, rows=4)
    last = page.bound_section(few, tmp_path, NAMES).blocks[-1]
    assert last.text.startswith("With fewer than five models")


def test_figures_are_drawn_and_say_why_there_is_nothing_to_draw(made, tmp_path):
    drawn = {}
    for name in ("bounds", "models", "taus", "classes", "trace"):
        save(getattr(figures, name)(made), tmp_path / f"{name}.svg")
        drawn[name] = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    for part in ("label mismatch", "prior gap", "log K: who knows nothing", "probe's loss"):
        assert part in drawn["bounds"], part
    assert "bound = loss" in drawn["models"]
    assert "random network (control)" in drawn["taus"]
    assert "Learned label map" in drawn["classes"]
    (empty,) = figures.taus(made.isel(tau=[0])).texts
    assert empty.get_text() == figures.NO_SWEEP
    (empty,) = figures.trace(made.drop_vars("trace_bound")).texts
    assert empty.get_text() == figures.NOTHING_LEARNED

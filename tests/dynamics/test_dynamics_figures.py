"""Still pictures of feature dynamics: what is hatched, what is numbered, what is said where nothing is."""

import h5py
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from tests.dynamics import similarities
from tests.dynamics.similarities import LAYERS, SOURCE_CLASSES, STEPS
from transferlens.core import labelled
from transferlens.dynamics.pictures import curves, heatmaps, summaries, table
from transferlens.dynamics.pictures.steps import PICTURES
from transferlens.dynamics.told.artefacts import SIMILARITY

DRAWN = {
    **{name: getattr(heatmaps, name) for name in ("heatmap", "matrices", "metrics", "agreement")},
    **{name: getattr(curves, name) for name in ("curves", "gaps")},
    **{name: getattr(summaries, name) for name in ("paths", "classes")},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return similarities.write(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="module")
def made(path):
    return labelled.read(path, SIMILARITY)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One model, one domain, and no classes: no band over models, no distance of domains."""
    folder = tmp_path_factory.mktemp("alone")
    return labelled.read(similarities.write(folder, models=1, domains=["pets"], classes=False), SIMILARITY)


def numbers(axis):
    """Texts in the cells of a heat map, by (row, column)."""
    return {(int(y), int(x)): text.get_text() for text in axis.texts for x, y in [text.get_position()]}


def test_cells_are_hatched_where_the_mean_is_not_told_from_the_null_and_nowhere_else(made):
    drawn = heatmaps.heatmap(made)
    for i in range(2):
        axis = drawn.axes[i]
        hatched = sorted(
            (round(r.get_y() + 0.5), round(r.get_x() + 0.5)) for r in axis.patches if isinstance(r, Rectangle)
        )
        expected = np.argwhere(made.mean_to_start_q.isel(domain=i).values > 0.05).tolist()
        assert hatched == [tuple(cell) for cell in expected]
    assert hatched == []  # of the source's images every cell is told
    assert numbers(drawn.axes[0])[3, 4] == f"{float(made.mean_excess[0, 3, 4]):.2f}"[1:]


def test_a_constant_layer_has_a_dash_and_costs_the_others_nothing(path, tmp_path):
    copy = similarities.path_of(tmp_path)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["mean_excess"][0, 1] = np.nan
    shown = numbers(heatmaps.heatmap(labelled.read(copy, SIMILARITY)).axes[0])
    assert {shown[1, step] for step in range(len(STEPS))} == {"–"}
    assert "–" not in {text for (row, _), text in shown.items() if row != 1}


def test_curves_show_every_layer_with_the_first_models_intervals_apart_from_the_band(made):
    drawn = curves.curves(made)
    panels = [axis for axis in drawn.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["layer1.0", "layer2.0", "layer3.0", "backbone (end)"]
    mean, first = made.mean_to_start[0, 2].values, made.to_start[0, 0, 2].values
    lines = [line.get_ydata() for line in panels[2].lines]
    assert any(np.array_equal(line, mean) for line in lines)
    assert any(np.array_equal(line, first) for line in lines)
    (reach, _) = (bars for bars in panels[2].containers)
    ends = np.array([segment[:, 1] for segment in reach[2][0].get_segments()])
    np.testing.assert_allclose(ends, np.stack([first - 0.03, first + 0.03], 1))


def test_of_many_layers_some_are_shown_evenly_with_both_ends():
    assert curves.spread(4) == [0, 1, 2, 3]
    assert curves.spread(31, 4) == [0, 10, 20, 30]
    assert heatmaps.shown_steps(np.arange(2)) == [1]
    assert heatmaps.shown_steps(np.arange(8)) == [1, 3, 5, 7]


def test_classes_stand_lowest_first_and_those_with_few_images_are_left_out(made):
    last = made.isel(step=-1, layer=-1)
    shown = summaries.told_classes(last, "source_class")
    assert [SOURCE_CLASSES[i] for i in shown] == ["saw", "<b>axe</b>"]
    assert [t.get_text() for t in summaries.classes(made).axes[1].get_yticklabels()] == ["saw", "<b>axe</b>"]


def test_one_model_on_one_domain_is_drawn_without_bands_or_says_why_not(alone):
    for draw in DRAWN.values():
        draw(alone).draw_without_rendering()
    assert curves.gaps(alone).texts[0].get_text().endswith("the target is the source.")
    assert "No class has enough" in summaries.classes(alone).texts[0].get_text()
    assert set(DRAWN) == set(PICTURES)


def test_the_table_has_every_number_once_with_its_interval_null_and_excess(made):
    rows = table.table(made)
    keys = rows.set_index(list(table.KEYS))
    assert keys.index.is_unique
    assert len(rows) == 3 * 2 * (3 + 1) * len(LAYERS) * len(STEPS)
    one = keys.loc["to_start", "tools", 2, LAYERS[3], STEPS[5]]
    stored = made.sel(domain="tools", model=2, layer=LAYERS[3], step=STEPS[5])
    names = {"value": "to_start", "low": "to_start_low", "null_mean": "to_start_null_mean", "q": "to_start_q"}
    for column, name in {**names, "excess": "excess"}.items():
        assert one[column] == float(stored[name])
    mean = keys.loc["to_end", "pets", "mean", LAYERS[1], STEPS[2]]
    assert mean.high == float(made.mean_to_end_high.sel(domain="pets", layer=LAYERS[1], step=STEPS[2]))
    assert np.isnan(mean.q)

"""Pictures of a comparison hold every recipe, and names that cover nothing."""

import numpy as np
import pytest
from matplotlib.text import Annotation

from tests.comparison import planted
from transferlens import open_results
from transferlens.comparison.compared import figures, stored
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.pictures import figures as pictures
from transferlens.pictures import labels

NAMES = ["full", "fixed", "lp_ft", "wise_ft", "l2_sp", "ldifs", "mars_sp", "lora", "ema", "surgical"]


@pytest.fixture
def comparison(tmp_path):
    """A stored comparison of recipes that are right so often."""

    def make(shares, target="x", **more):
        of = planted.study(shares, models=3, images=60)
        place = tmp_path / COMPARISON.path.format(target=target)
        place.parent.mkdir(parents=True)
        stored.write(place, of, [stored.Tuned(0.6)] * len(of.contestants), planted.settings(of, **more))
        return open_results(tmp_path).comparison(target)

    return make


def test_what_no_other_is_as_good_as_is_not_dominated():
    accuracy = np.array([0.9, 0.8, 0.8, 0.7, 0.9])
    kept = np.array([-0.3, -0.1, -0.2, -0.1, -0.3])
    assert figures.non_dominated(accuracy, kept).tolist() == [True, True, False, False, True]


def test_every_recipe_has_its_name_on_the_pareto_plot(comparison):
    drawn = figures.pareto(comparison(dict.fromkeys(NAMES, 0.7)))
    (axis,) = drawn.axes
    assert [text.get_text() for text in axis.texts] == NAMES
    marks = sum(len(of.get_offsets()) for of in axis.collections if of.get_label().startswith("_child"))
    assert marks >= len(NAMES)
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert "recommended" in legend
    assert any(text.startswith("from scratch: 0.") for text in legend)


def test_names_cover_neither_each_other_nor_a_mark():
    rng = np.random.default_rng(0)
    figure = pictures.figure(7, 5)
    axis = figure.subplots()
    points = 0.5 + 0.06 * rng.normal(size=(12, 2))
    axis.scatter(*points.T, s=30)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    labels.place(axis, points, [f"recipe number {i}" for i in range(12)], fontsize=8)
    figure.draw_without_rendering()
    boxes = [super(Annotation, text).get_window_extent() for text in axis.texts]
    marks = axis.transData.transform(points)
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*mark) for mark in marks)
        assert axis.get_window_extent().containsx(box.x0)
        assert axis.get_window_extent().containsx(box.x1)


def test_a_line_for_each_recipe_through_the_sizes_that_have_it(comparison):
    made = [
        comparison({"full": 0.6, "ema": 0.6}, "x@5", train_images=50),
        comparison({"full": 0.7, "ema": 0.8, "lora": 0.6}, "x", train_images=500),
    ]
    accuracy, forgetting = figures.rates(made).axes
    lines = {line.get_label(): line for line in accuracy.lines}
    assert list(lines) == ["ema", "full", "lora", "full from scratch"]  # by their last accuracy
    np.testing.assert_array_equal(lines["ema"].get_xdata(), [50, 500])
    np.testing.assert_allclose(
        lines["full"].get_ydata(), [float(figures.accuracies(of).value[0]) for of in made]
    )
    np.testing.assert_array_equal(lines["lora"].get_xdata(), [500])
    assert lines["full from scratch"].get_linestyle() == "--"
    assert accuracy.get_xscale() == "log"
    from_scratch = next(line for line in forgetting.lines if line.get_label() == "full from scratch")
    assert len(from_scratch.get_xdata()) == 0


def test_the_same_numbers_make_the_same_picture(comparison, tmp_path):
    made = comparison({"full": 0.7, "ema": 0.8})
    for name in ("one.png", "two.png"):
        pictures.save(figures.pareto(made), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()

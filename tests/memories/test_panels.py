"""Maps of all roles add up to their logits; cells and composites are chosen as said; pictures are drawn."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.memories.written import write_artefact
from transferlens.core import labelled
from transferlens.core.settings import NetworkSettings
from transferlens.memories.artefacts import INTERFERENCE
from transferlens.memories.effect import composites
from transferlens.memories.images import drawing, panels, rows, seen
from transferlens.memories.images.artefacts import PANELS, RANKING, SCORES
from transferlens.memories.pairs import Pair
from transferlens.models import contract
from transferlens.models.network import Network, Parts

SOURCE, TARGET = [f"source {c}" for c in range(5)], ["cat", "dog", "cow"]


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    networks = [contract.build(NetworkSettings(name="small_resnet", width=8), n).eval() for n in (5, 3, 3)]
    return Pair(*networks)


def some_rows(count):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (count, 28, 28, 3)).astype(np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return rows.Rows(images, pixels, rng.integers(0, 3, count), rng.integers(0, 5, count))


def test_every_map_adds_up_to_its_logit(pair):
    given = some_rows(40)  # more than a batch
    found = panels.panels(pair, given, temperature=2.0)
    biases = {
        "source": pair.source.head,
        "memory": pair.source.head,
        "scratch": pair.scratch.head,
        **dict.fromkeys(("predicted", "true", "contrast"), pair.fine_tuned.head),
    }
    for role, panel in found.items():
        bias = biases[role].bias.detach().numpy()
        offset = bias[panel.classes]
        if role == "contrast":
            offset = bias[found["predicted"].classes] - offset
        np.testing.assert_allclose(
            panel.maps.astype(np.float64).mean((1, 2)) + offset, panel.logits, atol=2e-3
        )
        np.testing.assert_allclose(panel.raw_max, panel.maps.max((1, 2)), rtol=1e-3)
    with torch.no_grad():
        logits = pair.fine_tuned(given.images)
        memory = pair.source.head(pair.fine_tuned.backbone(given.images))
        source = pair.source(given.images)
    np.testing.assert_array_equal(found["predicted"].classes, logits.argmax(1))
    np.testing.assert_array_equal(found["source"].classes, source.argmax(1))
    everyone = np.arange(40)
    calibrated = (memory / 2).softmax(1).numpy()[everyone, given.memory]
    np.testing.assert_allclose(found["memory"].probabilities, calibrated, atol=1e-5)
    wrong = found["predicted"].classes != given.true
    assert wrong.any()
    assert not wrong.all()
    np.testing.assert_array_equal(found["contrast"].classes[wrong], given.true[wrong])
    np.testing.assert_array_equal(found["contrast"].classes[~wrong], logits.argsort(1)[:, 1].numpy()[~wrong])


def test_networks_that_do_not_pool_have_maps_of_positive_evidence():
    def network(classes):
        layers = [torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.ReLU(), torch.nn.Flatten()]
        backbone = torch.nn.Sequential(*layers, torch.nn.Linear(288, 16))
        return Network(backbone, torch.nn.Linear(16, classes), Parts("1", pools=False)).eval()

    torch.manual_seed(0)
    pair, given = Pair(network(5), network(3), network(3)), some_rows(5)
    found = panels.panels(pair, given, 1.0)
    for role in ("source", "predicted", "true", "memory", "scratch"):
        assert found[role].maps.shape == (5, 6, 6)
        assert found[role].raw_min.min() >= 0, role
    assert found["predicted"].raw_max.max() > 0
    wrong = found["predicted"].classes != given.true
    difference = found["predicted"].maps[wrong] - found["true"].maps[wrong]
    np.testing.assert_allclose(found["contrast"].maps[wrong], difference, atol=2e-3)


def cells():
    effect = np.array([[[0.3, 0.2], [0.1, 0.5], [0.0, np.nan]], [[0.4, 0.3], [0.1, -0.2], [0.2, np.nan]]])
    q = np.array([np.full((3, 2), 0.5), [[0.001, 0.02], [0.04, 0.01], [0.03, np.nan]]])
    bound = np.array([[False, False], [False, True], [False, False]])
    return rows.Cells(np.array([1, 3, 4]), effect, effect - 0.15, effect + 0.15, q, bound, bound & False)


def composites_of(source, target, half):
    """Composites of these classes, whose models' answers are random."""
    n, rng = len(source), np.random.default_rng(1)
    table = composites.Table(
        source, target, rng.integers(0, 9, n), rng.integers(0, 9, n), half, *np.full((3, n), 5)
    )
    answers = [
        composites.Responses(
            *rng.random((2, 1, n, 3)),
            np.zeros((1, n, 3), int),
            *rng.random((2, 1, n)),
            target[None],
            rng.random((1, n)),
        )
        for _ in composites.MODELS
    ]
    shortlist = composites.Shortlist(np.unique(source), np.zeros(3, bool))
    responses = dict(zip(composites.MODELS, answers, strict=True))
    names, repeats = (SOURCE, TARGET), np.array([[1], [0]])
    return composites.Composites(table, shortlist, *names, repeats, responses, rng.random((1, n)), "")


def test_the_figure_shows_cells_chosen_on_the_select_half():
    # The highest select-half effect, 0.5, is of the class it is bound to; effects on the report half must
    # not matter.
    assert rows.figure_cells(cells(), 3) == [(0, 0), (1, 0), (2, 0)]
    assert rows.figure_cells(cells(), 1) == [(0, 0)]


def test_the_gallery_takes_report_half_composites_of_cells_that_distract_on_the_select_half():
    source, target = np.repeat([1, 1, 3, 3, 4], 40), np.repeat([0, 1, 0, 1, 0], 40)
    found = composites_of(source, target, np.tile([0, 1], 100))
    chosen = rows.gallery_composites(found, cells(), 40)
    assert (found.table.half[chosen] == 1).all()
    shown = list(zip(source[chosen], target[chosen], strict=True))
    # By the select half; 3 is bound to 1.
    assert shown == [(1, 0)] * 8 + [(1, 1)] * 8 + [(3, 0)] * 8 + [(4, 0)] * 6 + [(3, 1)] * 10
    only_select = composites_of(source, target, np.zeros(200, int))
    assert len(rows.gallery_composites(only_select, cells(), 40)) == 0


def test_the_typical_composite_is_the_median_of_those_both_models_know_the_overlay_of():
    source, target = np.array([1, 1, 1, 1, 3]), np.zeros(5, int)
    found = composites_of(source, target, np.ones(5, int))
    tuned, scratch = (found.responses[name] for name in composites.MODELS)
    # Objects cost 0.8, 0.1, 0.4 and 0.6 more than scrambled backgrounds; the control takes 0.3 off the last.
    tuned.p_true[0, :4] = np.array([[0.1, 0.9, 0], [0.7, 0.8, 0], [0.1, 0.5, 0], [0.2, 0.8, 0]])
    scratch.p_true[0, :4] = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0], [0.2, 0.5, 0]])
    assert rows.typical_composite(found, cells(), 0, 0) == 3
    scratch.alone_prediction[0, :4] = [0, 1, 0, 1]
    assert rows.typical_composite(found, cells(), 0, 0) == 2


class Split:
    """Images of a split, each of one brightness: its position."""

    def __init__(self, offset):
        self.offset, self.examples = offset, self
        self.ids = [f"image {offset + i}" for i in range(9)]

    def bytes_of(self, positions):
        return np.broadcast_to(
            (positions + self.offset)[:, None, None, None], (len(positions), 28, 28, 3)
        ).astype(np.uint8)

    def normalise(self, pixels):
        return pixels.permute(0, 3, 1, 2).float()


def test_composites_are_made_again_as_they_were():
    found = composites_of(np.array([1, 4]), np.array([0, 1]), np.ones(2, int))
    source, target = Split(100), Split(200)
    gallery = rows.of_composites(found, cells(), np.array([1, 0]), source, target)
    table = found.table
    assert gallery.background_ids == [f"image {100 + p}" for p in table.background[[1, 0]]]
    assert gallery.example_ids == [f"image {200 + p}" for p in table.overlay[[1, 0]]]
    image = gallery.rows.pixels[0]
    assert (image[5:10, 5:10] == 200 + table.overlay[1]).all()
    assert (image == 100 + table.background[1]).sum() == (28 * 28 - 25) * 3
    np.testing.assert_allclose(gallery.scores["cell_effect"], [np.nan, 0.4])
    answers = found.responses["fine_tuned"]
    drop = answers.alone_p_true[0, 0] - answers.p_true[0, 0, 0]
    np.testing.assert_allclose(gallery.scores["drop"][1], drop)
    parts = rows.figure_rows(found, np.array([1]), source, target)
    assert parts.pixels[:, 0, 0, 0].tolist() == [
        100 + table.background[1],
        200 + table.overlay[1],
        image[0, 0, 0],
    ]
    assert parts.true.tolist() == [1] * 3
    assert parts.memory.tolist() == [4] * 3


def test_cells_are_those_of_the_classes_that_were_tried(tmp_path):
    given, sizes = cells(), {"half": 2, "tried_class": 3, "target_class": 2}
    estimates = {"": given.effect, "_low": given.low, "_high": given.high, "_q": given.q}
    path = write_artefact(
        tmp_path / "i.h5", INTERFERENCE, sizes, tried_class=[SOURCE[c] for c in given.source_class],
        bound=given.bound, congruent=given.congruent, **{f"interference{suffix}": v for suffix, v in
        estimates.items()},
    )  # fmt: skip
    for name, values in vars(rows.read_cells(path, SOURCE)).items():
        np.testing.assert_array_equal(values, getattr(given, name))


class Picked(Split):
    """Images of a split that can be picked, too."""

    def pick(self, positions):
        return torch.zeros(len(positions), 3, 28, 28), self.bytes_of(positions)


def test_natural_rows_are_the_first_of_the_ranking_with_its_scores(tmp_path):
    path = write_artefact(
        tmp_path / "r.h5", RANKING, {"example": 3, "predictor": 3}, position=[7, 2, 5],
        true=["dog", "cat", "cow"], memory=[SOURCE[4], SOURCE[0], SOURCE[1]], score=[0.3, 0.2, 0.1],
        removal_effect_q=[0.04, np.nan, np.nan], map_method="CAM",
    )  # fmt: skip
    found = rows.natural(path, 2, Picked(0), SOURCE, TARGET)
    assert found.rows.pixels[:, 0, 0, 0].tolist() == [7, 2]
    assert (found.rows.true.tolist(), found.rows.memory.tolist()) == ([1, 0], [4, 0])
    np.testing.assert_array_equal(found.scores["score"], [0.3, 0.2])
    np.testing.assert_array_equal(found.scores["removal_effect_q"], [0.04, np.nan])
    assert np.isnan(found.scores["seen_effect"]).all()
    assert found.example_ids == ["example 0", "example 1"]


def write(path, pair, figure):
    given = some_rows(6)
    found = panels.panels(pair, given, 1.0)
    kinds = ["natural"] * 4 + ["composite"] * 2
    scores = {name: np.full(6, np.nan) for name in SCORES}
    scores |= {"distraction": np.linspace(1, 0, 6), "overlap": np.array([0.5] * 4 + [np.nan] * 2)}
    gallery = rows.Gallery(given, kinds, list("abcdef"), [""] * 4 + ["x", "y"], np.zeros(6, bool), scores)
    panels.write_panels(path, gallery, found, figure, SOURCE, TARGET, signed=True, skipped="too small")
    return found


@pytest.mark.parametrize("colormap", ["diverging", "jet"])
def test_pictures_are_drawn_from_what_is_stored(pair, tmp_path, colormap):
    given = some_rows(3)
    figure = panels.Figure(
        np.array([2]), np.array([1]), *(np.array([v]) for v in (0.3, 0.1, 0.5, 0.01)), given,
        panels.panels(pair, given, 1.0),
    )  # fmt: skip
    found = write(tmp_path / "p.h5", pair, figure)
    stored = labelled.read(tmp_path / "p.h5", PANELS)
    np.testing.assert_array_equal(stored.class_map.sel(role="memory"), found["memory"].maps)
    assert stored.class_map.dtype == np.float16
    assert stored.class_name.sel(role="memory").values.tolist() == [
        SOURCE[c] for c in found["memory"].classes
    ]
    assert stored.figure_class_map.sel(figure_role="scratch").shape[0] == 3
    assert stored.figure_part.values.tolist() == ["background", "overlay", "composite"]
    # Of composites the overlap is that of their maps, and the margin that of the logits.
    assert stored.overlap[:4].values.tolist() == [0.5] * 4
    expected = seen.intersection(found["predicted"].maps, found["memory"].maps)
    np.testing.assert_allclose(stored.overlap[4:], expected[4:])
    lead = np.abs(found["contrast"].logits)
    np.testing.assert_allclose(stored.margin, np.where(stored.wrong, -lead, lead), rtol=1e-6)
    for draw, name in ((drawing.draw_figure, "figure.png"), (drawing.draw_examples, "examples.png")):
        draw(tmp_path / "p.h5", tmp_path / name, colormap)
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 400
            assert np.asarray(picture.convert("L")).std() > 10


def test_without_composites_the_figure_says_why(pair, tmp_path):
    write(tmp_path / "p.h5", pair, None)
    drawing.draw_figure(tmp_path / "p.h5", tmp_path / "figure.png", "magma")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size[1] < 200


def test_colours_show_strength_on_one_scale_except_the_papers():
    image = np.full((8, 8, 3), 128, np.uint8)
    weak, strong = np.zeros((2, 2)), np.zeros((2, 2))
    weak[0, 0], strong[0, 0] = 0.1, 1.0
    grey = image / 255
    for name in ("diverging", "magma"):
        low, high = (drawing.blend(image, m, 1.0, name)[0, 0] for m in (weak, strong))
        base = drawing.blend(image, weak, 1.0, name)[7, 7]
        assert np.abs(low - base).sum() < 0.5 * np.abs(high - base).sum(), name
    np.testing.assert_allclose(
        drawing.blend(image, weak, 1.0, "jet"), drawing.blend(image, strong, 1.0, "jet"), atol=0.02
    )
    against = drawing.blend(image, -strong, 1.0, "diverging")[0, 0]
    assert against[2] > against[0]  # blue
    for name in ("magma", "jet"):
        np.testing.assert_allclose(drawing.blend(image, -strong, 1.0, name), grey)

"""Composites are of the report halves and the same for all; planted interference is found by networks."""

import numpy as np
import pytest
import torch

from tests.memories import test_planted as planted
from tests.memories.test_planted import HUES, NAMES, SIDE, TEXTURES
from transferlens.comparison.harm import composites, interference
from transferlens.comparison.harm.artefacts import INTERFERENCE_ANSWERS
from transferlens.comparison.harm.interference import Answered
from transferlens.comparison.settings import CompositeSettings
from transferlens.core import artefacts, labelled
from transferlens.data.index import Index
from transferlens.data.pasting import Composed
from transferlens.estimation import designs

GIVEN = CompositeSettings(number=120, side=0.5, smallest_side=8)
REPORT, MEMORY, BOUND = 1, 2, 0
MODELS = 24


def index_of(images, names):
    return Index(names, [""] * len(names), images.examples, images.examples, names)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return planted.source_images(rng), planted.target_images(rng)


@pytest.fixture(scope="module")
def indexes(images):
    return [index_of(of, names) for of, names in zip(images, NAMES, strict=True)]


def test_composites_are_of_the_report_halves_spread_over_classes_and_the_same_again(indexes):
    drawn = composites.draw(*indexes, SIDE, GIVEN, 0)
    source, target = (index.val for index in indexes)
    assert len(drawn) == 120
    assert set(np.bincount(drawn.source_class)) == {120 // HUES}
    assert set(source.halves[drawn.background]) == set(target.halves[drawn.overlay]) == {REPORT}
    np.testing.assert_array_equal(source.labels[drawn.background], drawn.source_class)
    np.testing.assert_array_equal(target.labels[drawn.overlay], drawn.target_class)
    assert drawn.x.min() >= 0
    assert drawn.y.max() <= SIDE - drawn.side[0]
    for name, values in vars(composites.draw(*indexes, SIDE, GIVEN, 0)).items():
        np.testing.assert_array_equal(values, getattr(drawn, name))
    few = composites.draw(*indexes, SIDE, CompositeSettings(number=2), 0)
    assert len(few) == HUES  # at least one of each class


def test_nothing_is_pasted_on_a_class_of_its_own_name(images):
    names = ["stripes", *NAMES[0][1:]]
    drawn = composites.draw(index_of(images[0], names), index_of(images[1], NAMES[1]), SIDE, GIVEN, 0)
    assert set(drawn.target_class[drawn.source_class == 0]) == {1}
    assert set(drawn.target_class[drawn.source_class == 1]) == {0, 1}


def test_too_few_pixels_are_told_with_the_cure():
    assert composites.too_small(28, GIVEN) == ""
    assert "has 14 px a side, fewer than comparison.composites.smallest_side 15" in composites.too_small(
        28, CompositeSettings(side=0.5, smallest_side=15)
    )


def models(masks, remembers):
    """Networks whose heads take a class that they saw for a target class, if they remember it."""
    for row, mask in enumerate(masks):
        rng = np.random.default_rng(row)
        features = planted.backbone(rng, range(HUES))
        remembered = np.zeros((HUES, 16))
        remembered[np.arange(HUES), 4 + np.arange(HUES)] = 600
        head = np.zeros((TEXTURES, 16))
        head[0, :2] = head[1, 2:4] = 60
        head += rng.normal(0, 3, head.shape)
        if remembers and mask[MEMORY]:
            head[BOUND] += 10 * remembered[MEMORY]
        yield planted.network(features, head)


def test_planted_interference_is_found_and_none_where_none_is(images, indexes, tmp_path):
    drawn = composites.draw(*indexes, SIDE, GIVEN, 0)
    made = Composed(drawn, *images, composites.CONTROLS, "blocks", 0)
    masks = designs.draw_masks("complementary", HUES, 0.5, 0, range(MODELS))
    seen = masks[:, drawn.source_class]
    drops = []
    for remembers in (True, False):
        drops.append(np.stack([composites.drops(n, drawn, made) for n in models(masks, remembers)]))
        path = tmp_path / f"{remembers}.h5"
        composites.write(path, drawn, *indexes, {"model": np.arange(MODELS), "mask": seen, "drop": drops[-1]})
    stored = labelled.read(tmp_path / "False.h5", INTERFERENCE_ANSWERS)
    np.testing.assert_array_equal(stored["drop"].values, drops[1])
    found = interference.compare(Answered(seen, drops, drawn.background, drawn.overlay), by_pairs=True)
    assert found.low[0, 0] > 0
    assert found.low[0, 1] < 0 < found.high[0, 1]
    assert found.high[1, 1] < 0
    bound = (drawn.source_class == MEMORY) & (drawn.target_class != BOUND)
    elsewhere = drawn.source_class != MEMORY
    of_class = (drops[0] - drops[1])[seen[:, bound][:, 0]]
    assert of_class[:, bound].mean() > 10 * abs(of_class[:, elsewhere].mean())


def test_the_drop_is_the_scrambled_probability_minus_the_whole_one(images, indexes):
    """Against a forward pass of each composite, made by hand."""
    drawn = composites.draw(*indexes, SIDE, GIVEN, 0)
    made = Composed(drawn, *images, composites.CONTROLS, "blocks", 0)
    network = next(models(np.ones((1, HUES), bool), True))
    with torch.inference_mode():
        p = [
            network(made.composite(np.array([7]), control)).softmax(1)[0, drawn.target_class[7]]
            for control in ("scrambled", "object")
        ]
    np.testing.assert_allclose(composites.drops(network, drawn, made)[7], p[0] - p[1], atol=1e-6)


def test_no_composites_say_why(tmp_path):
    composites.write_none(tmp_path / "none.h5", np.arange(3), "too small")
    with artefacts.open(tmp_path / "none.h5", INTERFERENCE_ANSWERS) as file:
        assert file.attrs["skipped"] == "too small"
        assert file["drop"].shape == (3, 0)

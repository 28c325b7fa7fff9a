"""Strips show what they say: known crops, plain means, one scale for all steps."""

import numpy as np
import pytest
import torch

from transferlens.dynamics.units import shown as of_unit
from transferlens.dynamics.units import strips, tracking
from transferlens.dynamics.units.choice import DRIFT, Shown
from transferlens.dynamics.units.fields import Fields
from transferlens.dynamics.units.shown import Looks
from transferlens.dynamics.units.strips import Scale

CELL = 8


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture
def fields():
    """Of a grid of 4 x 4 cells, each of which sees its own square."""
    edges = np.arange(0, 33, CELL)
    own = np.stack([edges[:-1], edges[1:]], axis=1)
    return Fields(own, own)


def peaks(values, cells):
    maps = np.zeros((len(values), 1, 4, 4), np.float32)
    for image, (value, cell) in enumerate(zip(values, cells, strict=True)):
        maps[image, 0, *cell] = value
    return tracking.peaks(torch.from_numpy(maps)), maps


def test_the_field_of_a_known_peak_is_the_crop_there(pixels, fields):
    found, maps = peaks([0, 0, 3, 0], [(0, 0), (0, 0), (1, 3), (0, 0)])
    unit = Shown(0, DRIFT, np.array([2, 1]))
    made = of_unit.strips_of(unit, maps[None, [2, 1], 0], pixels, Looks(fields, 2, CELL), [found])
    crop = pixels[2, CELL : 2 * CELL, 3 * CELL :]
    assert made.averaged.tolist() == [1]  # the other image has no peak
    np.testing.assert_array_equal(made.field[0], strips.field_tile(crop))
    # The tile is the crop enlarged: its means over the crop's pixels are near.
    small = made.field[0].reshape(CELL, 12, CELL, 12, 3).mean((1, 3))
    assert np.corrcoef(small.ravel(), crop.ravel())[0, 1] > 0.95


def test_means_of_crops_are_weighted(pixels):
    boxes = np.array([[0, 8, 0, 8], [8, 16, 0, 8], [4, 12, 20, 28]])
    crops = np.stack([pixels[0, :8, :8], pixels[1, 8:16, :8], pixels[2, 4:12, 20:28]]).astype(float)

    def average(*weights):
        return strips.field_average(pixels[:3], boxes, np.array(weights), (8, 8))

    np.testing.assert_allclose(average(2.0, 2.0, 2.0), crops.mean(0))
    np.testing.assert_allclose(average(1.0, 3.0, 0.0), (crops[0] + 3 * crops[1]) / 4)
    np.testing.assert_allclose(average(-1.0, -1.0, 5.0), crops[2])  # a weight below 0 counts as 0
    np.testing.assert_allclose(average(0.0, 0.0, 0.0), crops.mean(0))


def test_crops_are_brought_to_the_size_of_the_smallest():
    image = np.full((1, 32, 32, 3), 7, np.uint8).repeat(2, 0)
    boxes = np.array([[0, 4, 0, 10], [0, 12, 0, 6]])
    assert strips.smallest_crop(boxes) == (4, 6)
    average = strips.field_average(image, boxes, np.ones(2), strips.smallest_crop(boxes))
    np.testing.assert_allclose(average, np.full((4, 6, 3), 7), atol=1e-9)
    tile = strips.field_tile(average)
    assert (tile == 7).all((0, 2)).sum() == 0  # the sides keep their proportion: bars above and below
    assert (tile == 7).all(2).sum() == strips.TILE * strips.TILE * 4 // 6


def test_units_with_small_fields_get_no_strip(pixels, fields):
    found, maps = peaks([1, 2, 3, 4], [(0, 0)] * 4)
    unit = Shown(0, DRIFT, np.array([3, 2]))
    made = of_unit.strips_of(unit, maps[None, [3, 2], 0], pixels, Looks(fields, 2, CELL + 1), [found])
    assert made.skipped == f"its smallest field is {CELL} pixels a side, below {CELL + 1}"
    silent, maps = peaks([0, 0, 0, 0], [(0, 0)] * 4)
    made = of_unit.strips_of(unit, maps[None, [3, 2], 0], pixels, Looks(fields, 2, 1), [silent])
    assert made.skipped == "no image moves the unit"


def test_a_step_at_which_the_unit_is_dead_has_an_empty_tile(pixels, fields):
    alive, maps = peaks([1, 2, 3, 4], [(1, 1)] * 4)
    dead, none = peaks([0, 0, 0, 0], [(0, 0)] * 4)
    both = np.stack([maps[[3, 2], 0], none[[3, 2], 0]])
    unit = Shown(0, DRIFT, np.array([3, 2]))
    made = of_unit.strips_of(unit, both, pixels, Looks(fields, 2, CELL), [alive, dead])
    assert made.averaged.tolist() == [2, 0]
    assert np.ptp(made.field[0]) > 0
    assert np.ptp(made.field[1]) == 0
    assert made.peak.tolist() == [[4, 0], [3, 0]]


def test_one_scale_for_all_steps_and_images_of_a_unit(pixels):
    """The same value has the same colour at every step, however strong the rest of the map is."""
    maps = np.zeros((3, 2, 4, 4))
    maps[:, :, 0, 0] = 2
    maps[1, 0, 3, 3] = 10
    scale = strips.scale_of(maps)
    assert (scale.low, scale.high) == (0, 10)
    tiles = strips.activation_tiles(pixels[0], maps[:, 0], scale)
    assert tiles.shape == (3, strips.TILE, strips.TILE, 3)
    np.testing.assert_array_equal(tiles[0, :20, :20], tiles[1, :20, :20])
    own = strips.activation_tiles(pixels[0], maps[[0], 0], strips.scale_of(maps[0, 0]))
    assert (own[0, :8, :8] != tiles[0, :8, :8]).any()


def test_scales_hold_zero_and_stand_a_flat_map():
    assert strips.scale_of(np.array([[1.0, 3.0]])) == Scale(0.0, 3.0)
    assert strips.scale_of(np.array([[-2.0, -1.0]])) == Scale(-2.0, 0.0)
    np.testing.assert_array_equal(strips.scale_of(np.zeros((2, 2))).relative(np.zeros((2, 2))), 0)
    np.testing.assert_array_equal(Scale(-1, 3).relative(np.array([-5, -1, 1, 9])), [0, 0, 0.5, 1])

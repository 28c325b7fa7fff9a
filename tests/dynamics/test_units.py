"""What is told of single units: planted maps with known peaks, networks changed in known ways."""

import copy

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE
from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.dynamics.capability import CAPABILITY
from transferlens.dynamics.units import choice, filtered, passes, pictures, probes, tables, tracking
from transferlens.dynamics.units.artefacts import UNITS
from transferlens.dynamics.units.passes import Asked
from transferlens.dynamics.units.probes import Probe
from transferlens.models import contract
from transferlens.training.capability import CAPABILITY as TRAINING
from transferlens.training.networks import Moment


def planted(values: list[float], cells: list[tuple[int, int]]) -> tracking.Peaks:
    """Of one unit on a grid of 4 x 6 cells: zero but for a value in a cell of each image."""
    maps = torch.zeros(len(values), 1, 4, 6)
    for image, (value, cell) in enumerate(zip(values, cells, strict=True)):
        maps[image, 0, *cell] = value
    return tracking.peaks(maps)


def test_peaks_are_where_they_were_planted():
    found = planted([2.0, 0.0, 5.0], [(1, 2), (0, 0), (3, 5)])
    np.testing.assert_array_equal(found.value[:, 0], [2, 0, 5])
    np.testing.assert_array_equal(found.cell[:, 0], [[1, 2], [-1, -1], [3, 5]])  # a flat map has no peak
    np.testing.assert_allclose(found.mean[:, 0], np.array([2, 0, 5]) / 24)
    parts = tracking.joined([found.of(np.array([2])), found.of(np.array([0, 1]))])
    np.testing.assert_array_equal(parts.value[:, 0], [5, 2, 0])


def test_displacement_is_in_pixels_and_over_images_with_two_peaks():
    first = planted([1.0, 1.0, 0.0, 1.0], [(0, 0), (2, 2), (0, 0), (1, 1)])
    second = planted([1.0, 9.0, 1.0, 0.0], [(3, 4), (2, 2), (1, 1), (0, 0)])
    assert tracking.displacement(first, second, (2.0, 2.0)) == [(2 * 5.0 + 0.0) / 2]
    assert tracking.displacement(first, second, (1.0, 0.0)) == [3 / 2]
    np.testing.assert_array_equal(tracking.displacement(first, first, (2.0, 2.0)), 0)
    assert np.isnan(tracking.displacement(first, planted([0.0] * 4, [(0, 0)] * 4), (1, 1))).all()


def test_dead_units_have_one_value_everywhere():
    maps = torch.rand(5, 4, 3, 3) - 0.5
    maps[:, 1] = 0
    maps[:, 2] = -maps[:, 2].abs()  # below 0, but alive: it is no ReLU's
    maps[1:, 3] = 0
    assert tracking.dead(tracking.peaks(maps)).tolist() == [False, True, False, False]


def test_images_that_move_a_unit_most():
    found = planted([3.0, 0.0, 5.0, 1.0, 4.0], [(0, 0)] * 5)
    assert tracking.strongest(found, 2)[:, 0].tolist() == [False, False, True, False, True]
    assert tracking.strongest(found, 9)[:, 0].tolist() == [True, False, True, True, True]
    other = tracking.strongest(planted([3.0, 0.0, 5.0, 1.0, 0.0], [(0, 0)] * 5), 2)
    assert tracking.jaccard(tracking.strongest(found, 2), other) == [1 / 3]
    assert np.isnan(tracking.jaccard(np.zeros((5, 1), bool), np.zeros((5, 1), bool)))


def test_drift_and_identity_of_units():
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.random((40, 5, 2, 2)))
    swapped, scaled = maps[:, [1, 0, 2, 3, 4]].clone(), 3 * maps + 1
    swapped[:, 4] = 0.7
    first = tracking.peaks(maps)
    np.testing.assert_array_equal(tracking.drift(first, first), 0)  # exactly
    np.testing.assert_allclose(tracking.drift(first, tracking.peaks(scaled)), 0, atol=1e-6)
    expected = 1 - np.corrcoef(first.mean[:, 0], first.mean[:, 1])[0, 1]
    drift = tracking.drift(first, tracking.peaks(swapped))
    assert drift[:2] == pytest.approx([expected, expected])
    assert drift[2:4] == pytest.approx([0, 0], abs=1e-7)
    assert np.isnan(drift[4])
    np.testing.assert_array_equal(tracking.same_unit(first, tracking.peaks(swapped)), [0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(tracking.same_unit(first, tracking.peaks(scaled)), 1)


def test_units_are_chosen_by_drift_and_at_random_none_twice_and_none_dead():
    drifts = np.array([0.1, np.nan, 0.9, 0.3, 0.2, 0.8, np.nan, 0.4])
    found = choice.chosen(drifts, 2, np.random.default_rng(0))
    assert found[choice.DRIFT].tolist() == [2, 5]
    assert len(found[choice.RANDOM]) == 2
    assert set(found[choice.RANDOM]) <= {0, 3, 4, 7}
    few = choice.chosen(drifts[:3], 2, np.random.default_rng(0))
    assert few[choice.DRIFT].tolist() == [2, 0]
    assert len(few[choice.RANDOM]) == 0


def test_the_select_half_chooses():
    """A unit that changes on the report half alone is not among those that drift most."""
    rng = np.random.default_rng(0)
    report = np.arange(40) < 20
    maps = torch.from_numpy(rng.random((40, 6, 2, 2)))
    changed = maps.clone()
    changed[:20, 1] = torch.from_numpy(rng.random((20, 2, 2)))
    changed[20:, 4] = torch.from_numpy(rng.random((20, 2, 2)))
    found = [tracking.peaks(maps), tracking.peaks(changed)]
    (shown,) = [unit for unit in choice.choose(found, report, 1, rng) if unit.why == choice.DRIFT]
    assert shown.number == 4
    first, other = shown.images
    assert first == found[0].value[:20, 4].argmax()
    assert other != first


# Per-filter similarities


def test_floors_compare_other_images_and_other_units():
    rng, labels = np.random.default_rng(0), np.array([0, 0, 1, 1, 1, 2])
    assert filtered.other_of_class(labels).tolist() == [1, 0, 3, 4, 2, 0]
    assert (filtered.shifted(7, rng) != np.arange(7)).all()
    assert sorted(filtered.shifted(7, rng)) == list(range(7))
    maps = torch.from_numpy(rng.random((6, 5, 8, 8)))
    maps[:, 2] = 0
    found = filtered.compare(maps, maps, labels, rng)
    np.testing.assert_allclose(found.layer.value[0], 1)
    assert (found.layer.value[1:] < 0.9).all()
    assert (found.layer.low[1:] < found.layer.value[1:]).all()
    assert np.isnan(found.unit[:, 2]).all()
    np.testing.assert_allclose(np.delete(found.unit, 2, axis=1), 1)


def test_pairs_of_a_class_are_compared_first():
    assert probes.compared(np.array([0, 0, 0, 0, 1, 1, 1, 2]), 5).tolist() == [0, 1, 4, 5, 7]


# From networks to the file


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Moments of a network: at first, untouched, with another last block, with a dead unit in the stem."""
    torch.manual_seed(0)
    first = contract.build(ARCHITECTURE, 3).eval()
    last = copy.deepcopy(first)
    with torch.no_grad():
        for convolution in (last.backbone.block3.first[0], last.backbone.block3.second[0]):
            convolution.weight += 0.05 * torch.randn_like(convolution.weight)
    dead = copy.deepcopy(last)
    with torch.no_grad():
        dead.backbone.stem[1].weight[3] = dead.backbone.stem[1].bias[3] = 0
    kept = [Moment(step, network) for step, network in ((0, first), (1, first), (2, last), (5, dead))]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 32, 32, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 128 - 1
    labels = np.tile(np.repeat([0, 1, 2], 4), 2)
    probe = Probe(images, pixels, labels, [f"image{i}" for i in range(24)], np.arange(24) < 12)
    path = tmp_path_factory.mktemp("units") / "units.h5"
    layers = ["backbone.stem", "backbone.block2", "backbone.block3", "backbone"]
    passes.write_units(path, lambda: iter(kept), probe, Asked(layers, 2, 4, 6, 0))
    return path


def test_a_network_that_is_left_alone_keeps_its_units(followed):
    with artefacts.open(followed, UNITS) as file:
        assert artefacts.names(file["layer"]) == ["backbone.stem", "backbone.block2", "backbone.block3"]
        assert "backbone" in file.attrs["without_cells"]
        of = file["channel_layer"][:]
        for step, layers in ((0, of >= 0), (1, of >= 0), (2, of < 2)):
            assert (file["drift"][step, layers] == 0).all(), step
            assert (file["jaccard"][step, layers] == 1).all(), step
            assert (file["displacement"][step, layers] == 0).all(), step
            assert (file["same_unit"][step, layers] == 1).all(), step
            np.testing.assert_allclose(file["filter_unit"][step, layers], 1)
        assert (file["drift"][2, of == 2] > 0).all()
        assert file["jaccard"][2, of == 2].mean() < 0.9
        np.testing.assert_allclose(file["filter"][:3, 0, 0], 1)
        assert (file["filter"][:, :, 1:, :2] < 0.95).all()


def test_the_unit_that_dies_is_told(followed):
    with artefacts.open(followed, UNITS) as file:
        dead = file["dead"][:]
        assert dead[:3].sum() == 0
        assert np.flatnonzero(dead[3]).tolist() == [3]
        assert np.isnan([file[name][3, 3] for name in ("drift", "displacement", "same_unit")]).all()
        shown = set(zip(file["shown_layer"][:].tolist(), file["shown_number"][:].tolist(), strict=True))
        assert (0, 3) not in shown


def test_chance_levels(followed):
    """Of sets of 4 of the 12 report images; of peaks in two images of 32 pixels a side."""
    rng = np.random.default_rng(0)
    first, second = (rng.random((12, 20_000)).argsort(0).argsort(0) < 4 for _ in range(2))
    with artefacts.open(followed, UNITS) as file:
        assert file.attrs["jaccard_chance"] == pytest.approx(
            tracking.jaccard(first, second).mean(), abs=0.004
        )
        chance = file["displacement_chance"][:]
        assert (chance > 4).all()
        assert (chance < 32).all()


def test_what_is_shown(followed):
    with artefacts.open(followed, UNITS) as file:
        of_layer = [choice.DRIFT] * 2 + [choice.RANDOM] * 2
        assert artefacts.names(file["shown_why"]) == of_layer * 3
        assert file["activation_tile"].shape == (12, 2, 4, 96, 96, 3)
        assert file["field_tile"].shape == (12, 4, 96, 96, 3)
        skipped = artefacts.names(file["field_skipped"])
        assert skipped[0].startswith("its smallest field is ")
        assert skipped[-1] == ""
        # Of the first two layers nothing changes until the last step; nor do their tiles.
        for name in ("activation_tile", "field_tile"):
            tiles = np.moveaxis(file[name][4:8], -4, 0)
            np.testing.assert_array_equal(tiles[0], tiles[1])
            np.testing.assert_array_equal(tiles[0], tiles[2])


def test_figures_and_table(followed, tmp_path):
    pictures.draw_curves(followed, [tmp_path / "curves.svg"])
    pictures.draw_filters(followed, [tmp_path / "filters.svg"])
    pictures.draw_strips(followed, tmp_path / "strips.png")
    assert len(list(tmp_path.iterdir())) == 3
    assert "random sets" in (tmp_path / "curves.svg").read_text()
    assert "floor: another unit" in (tmp_path / "filters.svg").read_text()
    table = tables.table(followed).set_index(["layer", "step"])
    assert table.dead["backbone.stem", 5] == 1 / ARCHITECTURE.width
    assert table.jaccard["backbone.block2", 2] == 1
    assert table.cka_same["backbone.stem", 2] == pytest.approx(1)


def run_of(**given) -> Run:
    recipes = {"full": {"kind": "full"}}
    base = {"source": "digits-and-clothes", "targets": {"optdigits": {"recipes": ["full"]}}}
    base |= {"architecture": ARCHITECTURE.model_dump(include={"name", "width"})}
    return Run({**base, "recipes": recipes, "dynamics": given}, [DATA, TRAINING, CAPABILITY])


def test_layers_without_cells_are_refused_before_anything_runs():
    CAPABILITY.check_networks(run_of(layers=["backbone", "backbone.stem"]))
    CAPABILITY.check_networks(run_of(layers=["backbone"], units=None))
    with pytest.raises(
        ConfigError, match=r"units: no layer of backbone has cells.*set dynamics\.units: null"
    ):
        CAPABILITY.check_networks(run_of(layers=["backbone"]))

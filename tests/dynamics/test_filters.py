"""Filters compared in space: maps one by one, dead maps, and how high chance is."""

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from skimage.metrics import structural_similarity

from transferlens.core.errors import DataError
from transferlens.dynamics.similarity import cka, compare_maps, filters


def maps(seed=0, shape=(6, 5, 9, 9)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def related(seed=0):
    one = maps(seed)
    return one.relu(), (one + 0.5 * maps(seed + 1)).relu()


def cells(function, one, other):
    """A function of two maps float64[h, w], map by map: float64[n, c]."""
    n, c = one.shape[:2]
    pairs = [[(one[i, j].double().numpy(), other[i, j].double().numpy()) for j in range(c)] for i in range(n)]
    return np.array([[function(*pair) for pair in row] for row in pairs])


def test_cka_map_by_map():
    """Of maps whose rows have lost their means, as the paper's code, by the metric of whole layers."""
    one, other = related()

    def single(a, b):
        return cka.linear(a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True))

    assert filters.linear_cka(one, other).numpy() == pytest.approx(cells(single, one, other), abs=1e-12)


@pytest.mark.parametrize(("centre", "axis"), [("rows", 1), ("columns", 0)])
def test_procrustes_map_by_map(centre, axis):
    one, other = related()

    def single(a, b):
        a, b = (m - m.mean(axis, keepdims=True) for m in (a, b))
        return orthogonal_procrustes(a / np.linalg.norm(a), b / np.linalg.norm(b))[1]

    found = filters.procrustes(one, other, centre).numpy()
    assert found == pytest.approx(cells(single, one, other), abs=1e-12)


def test_ssim_map_by_map():
    one, other = related()

    def single(a, b):
        return structural_similarity(a, b, win_size=9, data_range=4.0, use_sample_covariance=False)

    found = filters.ssim(one, other, 4.0).numpy()
    assert found == pytest.approx(cells(single, one, other), abs=1e-12)


def test_blocks_change_nothing(monkeypatch):
    whole = compare_maps(*related())
    monkeypatch.setattr(filters, "_CELLS", 9 * 9 * 7)
    for found, expected in zip(compare_maps(*related()), whole, strict=True):
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-12)


def test_the_same_maps_are_1_whatever_their_size_and_offset_but_not_with_cells_elsewhere():
    one, _ = related()
    scaled = 3 * one + 2
    assert filters.linear_cka(one, scaled).numpy() == pytest.approx(1, abs=1e-6)  # float32 maps
    assert filters.procrustes(one, scaled).numpy() == pytest.approx(1, abs=1e-6)
    assert filters.ssim(one, one, 4.0).numpy() == pytest.approx(1, abs=1e-12)
    elsewhere = one.flatten(2)[:, :, torch.randperm(81, generator=torch.Generator().manual_seed(0))]
    elsewhere = elsewhere.unflatten(2, (9, 9))
    assert (filters.linear_cka(one, elsewhere) < 0.9).all()
    assert (filters.procrustes(one, elsewhere) < 0.9).all()


def test_dead_maps_are_undefined_and_counted():
    one, other = related()
    one[2, 3] = 0
    one[4, 3] = 0.1  # nor does a constant that is no sum of powers of 2 leave rounding errors
    other[1, 0] = 0
    found = compare_maps(one, other)
    undefined = torch.zeros(6, 5, dtype=torch.bool)
    undefined[2, 3] = undefined[4, 3] = undefined[1, 0] = True
    for values in (found.cka, found.procrustes, found.ssim):
        assert torch.equal(values.isnan(), undefined)
    assert found.dead_share.numpy() == pytest.approx(np.array([[0, 0, 0, 1 / 3, 0], [1 / 6, 0, 0, 0, 0]]))


def test_all_maps_of_a_layer_may_be_dead():
    found = compare_maps(torch.zeros(2, 3, 4, 4), maps(shape=(2, 3, 4, 4)))
    assert found.cka.isnan().all()
    assert found.procrustes.isnan().all()
    assert found.ssim.isnan().all()


def test_maps_whose_rows_alone_differ_have_no_cka():
    one, other = related()
    one[0, 0] = torch.linspace(0.1, 0.7, 9)[:, None]
    assert filters.linear_cka(one, other)[0, 0].isnan()
    assert not filters.procrustes(one, other, "columns")[0, 0].isnan()
    assert filters.procrustes(one, other, "rows")[0, 0].isnan()


def test_ssim_of_unrelated_maps_is_not_near_1():
    one, other = maps(0, (20, 8, 14, 14)).relu(), maps(1, (20, 8, 14, 14)).relu()
    assert compare_maps(one, other).ssim.mean() < 0.5
    assert filters.ssim(one, other, filters.PAPER_SPAN).mean() > 0.98  # what is mended


@pytest.mark.parametrize("side", [14, 28])
def test_chance_is_high_for_unrelated_maps(side):
    one, other = maps(0, (4, 8, side, side)).relu(), maps(1, (4, 8, side, side)).relu()
    assert 0.40 < filters.linear_cka(one, other).mean() < 0.50
    assert 0.62 < filters.procrustes(one, other, "rows").mean() < 0.75


def test_spans_are_those_of_both_networks_and_of_all_images():
    one, other = maps(0), maps(1)
    whole = filters.spans_of(torch.cat([one, other]))
    joined = filters.spans_of(one).joined(filters.spans_of(other))
    assert torch.equal(joined.width, whole.width)
    assert torch.equal(whole.width, (torch.cat([one, other]).double().amax((0, 2, 3)) - whole.low))
    assert torch.equal(compare_maps(one, other).ssim, filters.ssim(one, other, whole.width))
    part = compare_maps(one[:2], other[:2], spans=whole).ssim
    assert torch.equal(part, compare_maps(one, other).ssim[:2])


def test_large_maps_are_averaged():
    one, other = maps(0, (2, 3, 8, 8)), maps(1, (2, 3, 8, 8))
    halves = [m.double().unflatten(3, (4, 2)).mean(4).unflatten(2, (4, 2)).mean(3) for m in (one, other)]
    found = compare_maps(one, other, max_side=4)
    assert found.cka.numpy() == pytest.approx(filters.linear_cka(*halves).numpy(), abs=1e-12)
    assert found.procrustes.numpy() == pytest.approx(filters.procrustes(*halves).numpy(), abs=1e-12)
    assert filters.pooled(maps(0, (2, 3, 8, 12)), 10).shape == (2, 3, 8, 10)
    assert torch.equal(compare_maps(one, other, max_side=8).cka, compare_maps(one, other, max_side=None).cka)


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(DataError, match="one shape"):
        compare_maps(maps(), maps(shape=(6, 5, 9, 8)))
    with pytest.raises(DataError, match="one shape"):
        compare_maps(torch.zeros(6, 5), torch.zeros(6, 5))

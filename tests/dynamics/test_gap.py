"""Gaps between the features of two sets of different images."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from tests.dynamics.features import rotation
from transferlens.core.errors import ConfigError, DataError
from transferlens.dynamics.similarity import gap, gaps


def sets(n=90, m=70, d=5, apart=1.0, seed=0):
    """Two sets of features, the second `apart` in one direction and wider."""
    rng = np.random.default_rng(seed)
    second = rng.normal(size=(m, d)) * 1.5
    second[:, 0] += apart
    return rng.normal(size=(n, d)), second


def tensors(*arrays):
    return [torch.as_tensor(values, dtype=torch.float64) for values in arrays]


def mmd(kernel, x, y):
    """Unbiased squared MMD by loops over pairs."""

    def within(v):
        return np.mean([kernel(v[i], v[j]) for i in range(len(v)) for j in range(len(v)) if i != j])

    return within(x) + within(y) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_mmd_pair_by_pair():
    x, y = sets(12, 9, 3)
    both = np.vstack([x, y])
    width = np.median([((a - b) ** 2).sum() for a in both for b in both])
    assert gap.mmd_linear(*tensors(x, y)) == pytest.approx(mmd(np.dot, x, y), abs=1e-12)
    gaussian = mmd(lambda a, b: math.exp(-((a - b) ** 2).sum() / width), x, y)
    assert gap.mmd_rbf(*tensors(x, y)) == pytest.approx(gaussian, abs=1e-12)


def test_distance_of_means_by_hand():
    x = np.array([[0.0, 0], [2, 0], [0, 0], [2, 0]])  # variance 4/3
    y = x[:, ::-1] + [3, 5]  # the means differ by 2 and 6, to which chance adds 2 / 3
    assert gap.distance_of_means(*tensors(x, y)) == pytest.approx((2**2 + 6**2 - 2 / 3) / (8 / 3))


@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 5), (12, 9, 20)])
def test_frechet_by_roots_of_matrices(n, m, d):
    x, y = sets(n, m, d)
    a, b = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert gap.frechet(*tensors(x, y)) == pytest.approx(expected, rel=1e-5)


def test_frechet_of_normal_distributions_along_the_same_axes():
    u, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 4)) @ np.eye(4))
    u = np.linalg.qr(u - u.mean(0))[0] * math.sqrt(49)  # covariance exactly 1
    s, t = np.array([1, 2, 3, 4]), np.array([2, 2, 1, 0.5])
    expected = ((s - t) ** 2).sum() + 4 * 0.7**2
    assert gap.frechet(*tensors(u * s, u * t + 0.7)) == pytest.approx(expected, abs=1e-10)


def test_what_gaps_are_blind_to():
    x, y = sets()
    turn, shift = rotation(5), np.linspace(-4, 9, 5)
    before, after = gaps(x, y), gaps(x @ turn + shift, y @ turn + shift)
    larger = gaps(3 * x, 3 * y)
    swapped = gaps(y, x)
    for name, found in before.items():
        value = found.interval.value
        assert after[name].interval.value == pytest.approx(value, abs=1e-10)
        assert swapped[name].interval.value == pytest.approx(value, abs=1e-10)
        squared = 9 if name in ("mmd_linear", "frechet") else 1
        assert larger[name].interval.value == pytest.approx(squared * value, abs=1e-9)


def test_unbiased_gaps_are_0_in_the_mean_for_sets_of_one_kind():
    rng = np.random.default_rng(0)
    drawn = [tensors(rng.normal(size=(15, 30)), rng.normal(size=(11, 30))) for _ in range(300)]
    for measure in (gap.distance_of_means, gap.mmd_linear, gap.mmd_rbf):
        values = [measure(*pair) for pair in drawn]
        assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(300)


def test_intervals_leave_out_one_block_of_both_sets():
    x, y = sets(64, 40)
    found = gaps(x, y, blocks=8)
    without = [
        gap.mmd_linear(*tensors(np.delete(x, np.s_[k::8], 0), np.delete(y, np.s_[k::8], 0))) for k in range(8)
    ]
    spread = math.sqrt(7 / 8 * np.sum((np.array(without) - np.mean(without)) ** 2))
    interval = found["mmd_linear"].interval
    assert interval.high - interval.value == pytest.approx(2.3646242516 * spread, rel=1e-9)
    assert math.isnan(found["frechet"].interval.low)
    assert found["frechet"].note.startswith("no interval")


def test_too_few_images_for_an_interval():
    found = gaps(*sets(40, 31))
    assert math.isnan(found["means"].interval.low)
    assert not math.isnan(found["means"].interval.value)
    assert found["means"].note == "no interval: needs 32 images of each set"


def test_constant_features_have_no_gap():
    found = gaps(np.full((40, 3), 0.1), np.full((40, 3), 0.1))
    for name in ("means", "mmd_rbf"):
        assert math.isnan(found[name].interval.value)
        assert found[name].note.startswith("constant")


def test_features_of_two_networks_are_refused():
    with pytest.raises(DataError, match="5 and 4"):
        gaps(sets()[0], sets()[1][:, :4])
    with pytest.raises(DataError, match="at least 4"):
        gaps(sets()[0], sets()[1][:3])
    with pytest.raises(ConfigError, match="at least 2"):
        gaps(*sets(), blocks=1)

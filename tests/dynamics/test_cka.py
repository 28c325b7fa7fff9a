"""CKA of two arrays: published values, closed forms, what it does not depend on, and faults that recur."""

import cka as pytorch_cka
import ckatorch
import numpy as np
import pytest
import torch

from transferlens.core.errors import DataError
from transferlens.dynamics.similarity import cka
from transferlens.dynamics.similarity.grams import u_centred

MEASURES = {
    "linear": cka.linear,
    "unbiased": cka.unbiased,
    "rbf": cka.rbf,
    "unbiased rbf": lambda x, y: cka.rbf(x, y, unbiased=True),
}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def golden():
    legacy = np.random.RandomState(1337)
    x = legacy.randn(100, 10)
    return x, legacy.randn(100, 10) + x


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def song(k, kk):
    """The unbiased HSIC as Song et al. write it."""
    n, ones = len(k), np.ones(len(k))
    k, kk = k - np.diag(np.diag(k)), kk - np.diag(np.diag(kk))
    whole = (ones @ k @ ones) * (ones @ kk @ ones) / ((n - 1) * (n - 2))
    return (np.trace(k @ kk) + whole - 2 / (n - 2) * ones @ k @ kk @ ones) / (n * (n - 3))


def song_cka(x, y):
    k, kk = x @ x.T, y @ y.T
    return song(k, kk) / np.sqrt(song(k, k) * song(kk, kk))


def test_golden_values(golden):
    assert cka.linear(*golden) == pytest.approx(0.557613, abs=5e-7)
    assert cka.unbiased(*golden) == pytest.approx(0.513456, abs=5e-7)
    assert cka.rbf(*golden, tau=0.5) == pytest.approx(0.654831, abs=5e-7)


@pytest.mark.parametrize("d", [8, 300])
def test_three_routes_to_the_same_value(rng, d):
    """Products of features, Gram matrices (from the same features in a wider space), and the sums of Song."""
    x, y = rng.normal(size=(2, 60, 8))
    y += 0.5 * x
    wide = np.linalg.qr(rng.normal(size=(300, 300)))[0][:8]
    given = (x, y) if d == 8 else (x @ wide, y @ wide)
    assert cka.unbiased(*given) == pytest.approx(song_cka(x, y), abs=1e-10)
    centred = [each - each.mean(0) for each in (x, y)]
    k, kk = (each @ each.T for each in centred)
    biased = (k * kk).sum() / np.linalg.norm(k) / np.linalg.norm(kk)
    assert cka.linear(*given) == pytest.approx(biased, abs=1e-10)


def test_closed_forms(rng):
    n, d = 40, 9
    whole = rng.normal(size=(n, d))
    u = np.linalg.qr(whole - whole.mean(0))[0]
    for k in (1, 4, 9):
        assert cka.linear(u, u[:, :k]) == pytest.approx(np.sqrt(k / d), abs=1e-10)
    s = rng.uniform(0.1, 3, d)
    expected = (s**2).sum() / np.sqrt(d * (s**4).sum())
    assert cka.linear(u, u * s) == pytest.approx(expected, abs=1e-10)


@every_measure
def test_invariances(measure, rng):
    x, y = rng.normal(size=(2, 50, 6))
    y += x
    value, order = measure(x, y), rng.permutation(50)
    same = {
        "itself": (measure(x, x), 1),
        "symmetric": measure(y, x),
        "features permuted": measure(x[:, ::-1], y),
        "rotated": measure(x @ rotation(rng, 6), y),
        "scaled": measure(1e-4 * x, 1e3 * y),
        "shifted": measure(x + 10, y - rng.normal(size=6)),
        "both permuted": measure(x[order], y[order]),
    }
    own, expected = same.pop("itself")
    assert own == pytest.approx(expected, abs=1e-10)
    assert same == pytest.approx(dict.fromkeys(same, value), abs=1e-10)
    assert abs(measure(x @ np.diag([9, 1, 1, 1, 1, 1]), y) - value) > 1e-3
    assert abs(measure(x[order], y) - value) > 0.05


def test_arrays_and_tensors_of_any_precision_are_taken(golden):
    x, y = golden
    assert cka.linear(torch.tensor(x), torch.tensor(y)) == cka.linear(x, y)
    assert cka.linear(x.astype(np.float32), torch.tensor(y)) == pytest.approx(0.557613, abs=1e-6)


def test_the_angle_of_the_biased_form_is_a_distance(rng):
    for _ in range(20):
        x, y, z = rng.normal(size=(3, 12, 3)) + rng.uniform(0, 2) * rng.normal(size=(12, 3))
        a, b, c = (np.arccos(cka.linear(*pair)) for pair in ((x, y), (y, z), (x, z)))
        assert c <= a + b + 1e-9


@pytest.mark.parametrize(
    ("n", "d", "level"), [(2048, 512, 0.20), (512, 512, 0.50), (64, 512, 0.89), (64, 4096, 0.98)]
)
def test_the_biased_form_finds_similarity_where_there_is_none(n, d, level, rng):
    """Fault 1: another factor before the sum cancels, and does not make it unbiased."""
    x, y = rng.normal(size=(2, n, d))
    assert cka.linear(x, y) == pytest.approx(level, abs=0.01)
    assert abs(cka.unbiased(x, y)) < 0.03


@pytest.mark.parametrize(("n", "published"), [(32, 0.195), (64, 0.102), (128, 0.057), (256, 0.029)])
def test_independent_normals_of_eight_features(n, published, rng):
    pairs = [rng.normal(size=(2, n, 8)) for _ in range(20)]
    assert np.mean([cka.linear(*pair) for pair in pairs]) == pytest.approx(8 / (n + 7), abs=0.012)
    assert published == pytest.approx(8 / (n + 7), abs=0.012)
    assert abs(np.mean([cka.unbiased(*pair) for pair in pairs])) < 0.012


def test_no_similarity_on_average_where_there_is_none(rng):
    found = [cka.unbiased(*rng.normal(size=(2, 24, 15))) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_the_diagonal_is_zeroed_and_nothing_else_is_taken_from_it(rng):
    """Fault 2: a matrix minus its diagonal as a vector takes that from every row."""
    x = rng.normal(size=(7, 3)) + 5
    centred = u_centred(torch.tensor(x @ x.T)).numpy()
    assert not np.diagonal(centred).any()
    np.testing.assert_allclose(centred.sum(0), 0, atol=1e-10)
    np.testing.assert_allclose(centred, centred.T, atol=1e-12)
    own = (centred**2).sum() / (7 * 4)
    assert own == pytest.approx(song(x @ x.T, x @ x.T), abs=1e-9)
    assert own > 0


def test_the_denominator_has_its_root(rng):
    """Fault 3: without it, values would depend on scale; a multiple of itself is like itself."""
    x = rng.normal(size=(30, 5))
    for measure in MEASURES.values():
        assert measure(x, 17 * x) == pytest.approx(1, abs=1e-10)


def test_small_sets_give_numbers_some_of_them_negative(rng):
    """Faults 4 and 12: the product of a Gram with itself is never negative; that of two may be."""
    found = np.array(
        [cka.unbiased(*rng.normal(size=(2, n, d))) for n in (4, 5, 6) for d in (1, 3, 50) for _ in range(40)]
    )
    assert (np.abs(found) <= 1 + 1e-9).all()
    assert (found < 0).mean() > 0.3


def test_the_unbiased_form_does_not_depend_on_the_number_of_images(rng):
    """Fault 6: biased values of sets of different sizes are no comparison."""
    mixing = rng.normal(size=(20, 20)) / np.sqrt(20)

    def mean(measure, n):
        return np.mean(
            [
                measure(x, 0.5 * x @ mixing + noise)
                for x, noise in (rng.normal(size=(2, n, 20)) for _ in range(80))
            ]
        )

    assert mean(cka.linear, 16) - mean(cka.linear, 128) > 0.2
    assert mean(cka.unbiased, 16) == pytest.approx(mean(cka.unbiased, 128), abs=0.04)


@every_measure
def test_features_are_centred_and_images_are_not(measure, rng):
    """Fault 8: rows that lose their own means."""
    x, y = rng.normal(size=(2, 30, 4))
    assert measure(x, y + 3 * rng.normal(size=4)) == pytest.approx(measure(x, y), abs=1e-10)
    assert abs(measure(x, y + 3 * rng.normal(size=(30, 1))) - measure(x, y)) > 1e-3


@every_measure
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_a_constant_layer_has_no_similarity(measure, value, rng):
    """Fault 13."""
    constant, x = np.full((33, 5), value), rng.normal(size=(33, 5))
    assert np.isnan([measure(constant, x), measure(x, constant), measure(constant, constant)]).all()
    assert cka.why_undefined(constant) == "all images have the same features"
    assert cka.why_undefined(x) is None


def test_a_layer_that_tells_one_image_from_all_others_has_no_unbiased_similarity(rng):
    x, lone = rng.normal(size=(33, 5)), np.zeros((33, 3))
    lone[7] = 0.3, 2, 1 / 3
    assert np.isnan(cka.unbiased(lone, x))
    assert np.isnan(cka.unbiased(np.tile(lone, 30), x))
    assert cka.linear(lone, x) > 0
    assert cka.why_undefined(lone) == "but for one image, all have the same features"


def test_what_the_input_explains_is_taken_out(rng):
    z = rng.normal(size=(300, 12))
    x, y = (np.hstack([z, rng.normal(size=(300, 4))]) for _ in range(2))
    assert cka.unbiased(x, y) > 0.5
    assert abs(cka.partial(x, y, z)) < 0.05
    shared = rng.normal(size=(300, 4))
    x, y = (np.hstack([z, shared + 0.1 * rng.normal(size=(300, 4))]) for _ in range(2))
    assert cka.partial(x, y, z) > 0.9


def test_partial_is_to_cka_what_partial_correlations_are_to_correlations(rng):
    z = rng.normal(size=(40, 3))
    x, y = (np.hstack([z, rng.normal(size=(40, 2))]) for _ in range(2))
    xy, xz, yz = cka.unbiased(x, y), cka.unbiased(x, z), cka.unbiased(y, z)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert cka.partial(x, y, z) == pytest.approx(expected, abs=1e-10)
    assert np.isnan(cka.partial(x, 2 * z, z))
    assert cka.partial(x, y, np.ones((40, 2))) == pytest.approx(xy, abs=1e-10)


def test_what_others_find(rng):
    x, y = rng.normal(size=(2, 35, 6))
    y += x
    tensors = torch.tensor(x), torch.tensor(y)
    assert cka.unbiased(x, y) == pytest.approx(float(pytorch_cka.cka_from_features(*tensors)), abs=1e-10)
    assert cka.unbiased(x, y) == pytest.approx(float(ckatorch.cka_base(*tensors, unbiased=True)), abs=1e-10)
    assert cka.linear(x, y) == pytest.approx(float(ckatorch.cka_base(*tensors)), abs=1e-10)
    rbf = ckatorch.cka_base(*tensors, kernel="rbf", threshold=0.4)
    assert cka.rbf(x, y, 0.4) == pytest.approx(float(rbf), abs=1e-10)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((9, 2)), "features of 9 and 10 images"),
        (np.ones((10, 2, 2)), r"shape \[10, 2, 2\]"),
        (np.full((10, 2), np.nan), "NaN or infinite"),
    ],
)
def test_what_is_refused(x, words):
    with pytest.raises(DataError, match=words):
        cka.unbiased(x, np.eye(10))


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="3 images; at least 4"):
        cka.linear(np.eye(3), np.eye(3))

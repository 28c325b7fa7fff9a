"""CKA from rows of Grams, batch by batch: its sums, intervals and nulls; exactly 1 where nothing moved."""

import ckatorch
import numpy as np
import pytest
import torch
from scipy import stats

from transferlens.core.errors import DataError
from transferlens.dynamics.similarity import cka, grams, minibatch
from transferlens.dynamics.similarity.minibatch import Products

B, N, D = 6, 16, 5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def features(rng):
    """Three related layers, [3, batches, images, features]."""
    made = rng.normal(size=(3, B, N, D))
    return made + made[0]


def rows_of(features):
    """Rows [batches, layers, pairs] of features [layers, batches, images, ...]."""
    return np.stack(
        [
            grams.batch_rows({str(i): torch.tensor(each) for i, each in enumerate(batch)}).numpy()
            for batch in features.swapaxes(0, 1)
        ]
    )


def test_rows_keep_inner_products(rng):
    x, y = rng.normal(size=(2, 9, 4))
    a, b = (grams.u_centred(torch.tensor(each @ each.T)) for each in (x, y))
    rows = [grams.packed(each) for each in (a, b)]
    assert rows[0].dtype == torch.float32
    assert float((rows[0].double() * rows[1]).sum()) == pytest.approx(float((a * b).sum()), rel=1e-6)
    torch.testing.assert_close(grams.unpacked(rows[0]).double(), a, rtol=0, atol=1e-6)
    torch.testing.assert_close(grams.batch_rows({"x": torch.tensor(x)})[0], rows[0], rtol=0, atol=1e-5)


def test_permuted_rows_are_those_of_permuted_images(rng):
    x, order = torch.tensor(rng.normal(size=(9, 4))), torch.tensor(rng.permutation(9))
    permuted = grams.permuted(grams.batch_rows({"x": x}), order)
    torch.testing.assert_close(permuted, grams.batch_rows({"x": x[order]}), rtol=0, atol=1e-5)


def test_one_batch_is_the_unbiased_value(features):
    found = minibatch.cka(minibatch.products(rows_of(features[:, :1])))
    for i in range(3):
        for j in range(3):
            assert found[i, j] == pytest.approx(cka.unbiased(features[i, 0], features[j, 0]), abs=1e-6)


def test_products_are_summed_before_their_ratio(features):
    """Fault 5: the mean of the batches' ratios is another number."""
    rows = rows_of(features)
    found = minibatch.cka(minibatch.products(rows))[0, 1]
    theirs = float(ckatorch.cka_batch(torch.tensor(features[0]), torch.tensor(features[1])))
    assert found == pytest.approx(theirs, abs=1e-6)
    ratios = [cka.unbiased(x, y) for x, y in zip(features[0], features[1], strict=True)]
    assert abs(np.mean(ratios) - found) > 1e-3


def test_the_order_of_batches_does_not_matter(features, rng):
    rows = rows_of(features)
    one, other = (minibatch.jackknife(minibatch.products(r)) for r in (rows, rows[rng.permutation(B)]))
    np.testing.assert_allclose(one.value, other.value, atol=1e-12)
    np.testing.assert_allclose(one.low, other.low, atol=1e-12)


def test_rows_that_are_equal_are_exactly_similar(features):
    """As those of a layer that training left untouched, in any block and whatever else is asked."""
    rows = rows_of(features)
    later = np.concatenate([rows[:, :2], rows[:, 2:] + 1e-3], axis=1)
    whole = minibatch.jackknife(minibatch.products(np.concatenate([rows, later], axis=1)))
    across = minibatch.cka(minibatch.products(rows, later))
    for found in (whole.value[:3, 3:], across):
        assert found[0, 0] == found[1, 1] == 1
        assert found[2, 2] < 1
    assert (np.diagonal(whole.value) == 1).all()
    assert whole.se[0, 3] == 0
    assert (whole.value[:, 0] == whole.value[:, 3]).all()
    assert (whole.value == whole.value.T).all()


def test_blocks_and_stored_products_give_the_whole(features):
    rows = rows_of(features)
    whole = minibatch.products(rows)
    block = minibatch.products(rows[:, :1], list(torch.tensor(rows[:, 1:])))
    np.testing.assert_allclose(minibatch.cka(block), minibatch.cka(whole)[:1, 1:], atol=1e-12)
    assert (minibatch.cka(Products.of_all(whole.between)) == minibatch.cka(whole)).all()
    halves = Products.joined(minibatch.products(part) for part in (rows[:2], rows[2:]))
    np.testing.assert_allclose(minibatch.cka(halves), minibatch.cka(whole), atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4 / 3])
def test_constant_layers_are_undefined(features, value):
    """Fault 13; means of equal float32 numbers need not be that number."""
    features[1] = value
    rows = rows_of(features)
    assert not rows[:, 1].any()
    found = minibatch.jackknife(minibatch.products(rows))
    defined = np.outer([True, False, True], [True, False, True])
    for part in (found.value, found.se, found.low, found.high):
        assert (np.isfinite(part) == defined).all()
    null = minibatch.null(rows, rows, 5, np.random.default_rng(0))
    assert (np.isnan(null.p) == [False, True, False]).all()


def test_a_layer_that_is_constant_up_to_rounding_is_undefined(rng):
    noise = 1 + torch.tensor(rng.integers(-1, 2, (N, 100))) * torch.finfo(torch.float32).eps
    assert not grams.batch_rows({"x": 3 * noise.float()}).any()


def test_products_are_of_float32_numbers_whatever_is_allowed(rng):
    """Fault 11: large means, half precision, autocast."""
    x = torch.tensor(5 + 0.1 * rng.normal(size=(64, 400)))
    y = x + torch.tensor(0.001 * rng.normal(size=(64, 400)))
    truth = cka.unbiased(x, y)
    rows = grams.batch_rows({"x": x, "y": y})
    assert minibatch.cka(minibatch.products([rows]))[0, 1] == pytest.approx(truth, abs=2e-6)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu"):
            again = grams.batch_rows({"x": x, "y": y})
        with grams.full_precision(x.device):
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert (again == rows).all()


def test_the_jackknife_by_hand(features):
    rows = rows_of(features)
    found = minibatch.jackknife(minibatch.products(rows))
    without = [minibatch.cka(minibatch.products(np.delete(rows, k, axis=0)))[0, 1] for k in range(B)]
    se = np.sqrt((B - 1) / B * np.sum((without - np.mean(without)) ** 2))
    assert found.se[0, 1] == pytest.approx(se, rel=1e-9)
    reach = stats.t.ppf(0.975, B - 1) * se
    assert found.high[0, 1] - found.value[0, 1] == pytest.approx(reach, rel=1e-9)


def test_a_single_batch_has_no_interval(features):
    with pytest.raises(DataError, match="at least 2 are needed, 16 are advised"):
        minibatch.jackknife(minibatch.products(rows_of(features[:, :1])))


def test_negative_values_stay(rng):
    """Fault 12: values that are clipped before they are averaged are above zero where nothing is shared."""
    found = [
        minibatch.jackknife(minibatch.products(rows_of(rng.normal(size=(2, 4, 8, 20))))) for _ in range(60)
    ]
    values = np.array([each.value[0, 1] for each in found])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert np.mean([each.low[0, 1] < 0 for each in found]) > 0.8


def test_intervals_hold_the_truth(rng):
    """Of features with known covariances, that of x with x W + noise is |W|^2 / (|I| |W' W + s^2 I|)."""
    batches, held, weights = 16, [], rng.normal(size=(D, D)) / np.sqrt(D)
    truth = (weights**2).sum() / np.sqrt(D) / np.linalg.norm(weights.T @ weights + np.eye(D))
    for _ in range(200):
        x, noise = rng.normal(size=(2, batches, 32, D))
        found = minibatch.jackknife(minibatch.products(rows_of(np.stack([x, x @ weights + noise]))))
        held.append(found.low[0, 1] <= truth <= found.high[0, 1])
    assert 0.91 <= np.mean(held) <= 0.99


def test_the_null_is_of_images_in_another_order(features):
    rows, draws = rows_of(features), 3
    found = minibatch.null(rows[:, :2], rows[:, 1:], draws, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    orders = [[rng.permutation(N) for _ in range(draws)] for _ in range(B)]
    for draw in range(draws):
        moved = np.stack([[features[i, k, orders[k][draw]] for k in range(B)] for i in range(3)])
        expected = minibatch.cka(minibatch.products(rows[:, :2], rows_of(moved[1:])))
        np.testing.assert_allclose(found.draws[draw], np.diagonal(expected), atol=1e-5)
    expected = minibatch.cka(minibatch.products(rows))
    np.testing.assert_allclose(found.value, [expected[0, 1], expected[1, 2]], atol=1e-12)


def test_the_null_tells_what_is_shared_from_what_is_not(features, rng):
    own = rows_of(features)
    found = minibatch.null(own, own[:, [1, 2, 0]], 99, rng)
    assert (found.p == 0.01).all()
    assert (found.p95 < found.value).all()
    assert np.abs(found.mean).max() < 0.05
    p = [
        minibatch.null(*(rows_of(each[None]) for each in rng.normal(size=(2, 3, 6, 3))), 19, rng).p[0]
        for _ in range(150)
    ]
    assert stats.kstest(np.array(p) - rng.uniform(0, 0.05, 150), "uniform").pvalue > 0.01


def test_excess():
    np.testing.assert_allclose(minibatch.excess(np.array([0.2, 0.6, 1]), np.array(0.2)), [0, 0.5, 1])


def test_partial_takes_out_what_the_input_explains(features):
    given = minibatch.products(rows_of(features[:, :1]))
    found = minibatch.partial(given, 2)
    expected = cka.partial(*features[:, 0])
    assert found[0, 1] == pytest.approx(expected, abs=1e-5)
    assert np.isnan(found[2]).all()
    many = minibatch.products(rows_of(features))
    estimate = minibatch.jackknife(many, lambda each: minibatch.partial(each, 2))
    assert estimate.low[0, 1] < minibatch.partial(many, 2)[0, 1] < estimate.high[0, 1]


def test_rows_that_do_not_belong_together_are_refused(features):
    rows = rows_of(features)
    with pytest.raises(DataError, match="6 batches beside 5"):
        minibatch.products(rows, rows[1:])
    with pytest.raises(DataError, match="batches of 16 and 8 images"):
        minibatch.products(rows, rows_of(features[:, :, :8]))
    with pytest.raises(DataError, match="7 numbers"):
        grams.images_of(7)
    with pytest.raises(DataError, match="a batch of 3 images"):
        grams.batch_rows({"x": torch.rand(3, 2)})
    with pytest.raises(DataError, match="different numbers"):
        grams.batch_rows({"x": torch.rand(4, 2), "y": torch.rand(5, 2)})

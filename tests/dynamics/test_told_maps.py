"""Similarities of whole maps along the way: what is exact, what is chance, and what stands beside them."""

import numpy as np
import pytest
import scipy
import torch

from tests.dynamics import activities
from transferlens.core.statistics import permutation_p
from transferlens.dynamics.similarity import grams
from transferlens.dynamics.told import levels, maps


def told(tmp_path, features, permutations=39, **more):
    with activities.probed(activities.write(tmp_path / "a.h5", features, **more)) as probed:
        return maps.told(probed, permutations, seed=0)


def cka(first, second, batch=activities.BATCH):
    """Unbiased minibatch CKA of features [images, d], by the formula of Song et al. as it is printed."""
    sums = np.zeros(3)
    for start in range(0, len(first), batch):
        k, other = (own[start : start + batch] @ own[start : start + batch].T for own in (first, second))
        sums += [hsic(k, other), hsic(k, k), hsic(other, other)]
    return sums[0] / np.sqrt(sums[1] * sums[2])


def hsic(k, other):
    n, ones = len(k), np.ones(len(k))
    k, other = (own * (1 - np.eye(n)) for own in (k, other))
    rest = (ones @ k @ ones) * (ones @ other @ ones) / ((n - 1) * (n - 2))
    return (np.trace(k @ other) + rest - 2 / (n - 2) * ones @ k @ other @ ones) / (n * (n - 3))


def test_networks_that_never_move_are_exactly_what_they_were(tmp_path):
    made = told(tmp_path, activities.walks(speeds=[0, 0]))
    for name in ("to_start", "to_end", "mean_to_start", "mean_to_end", "mean_to_start_low", "excess"):
        assert (made[name] == 1).all(), name
    assert (made["to_start_se"] == 0).all()
    np.testing.assert_allclose(made["corrected_to_start"], 1)


def test_a_layer_that_moves_leaves_an_untouched_one_at_exactly_one(tmp_path):
    made = told(tmp_path, activities.walks(speeds=[0, 1]))
    assert (made["to_start"][:, 0] == 1).all()
    assert (made["to_start"][:, 1, 1:] < 0.95).all()
    assert (made["cka"][:, 0, :, 0] == 1).all()


def test_similarities_are_those_of_the_printed_formula(tmp_path):
    features = activities.walks()
    made = told(tmp_path, features)
    assert made["cka"].shape == (2, 2, 4, 2, 4)
    for row, model in enumerate((0, 2)):
        for step in range(4):
            own = features[model, step, 1]
            assert made["to_start"][row, 1, step] == pytest.approx(cka(own, features[model, 0, 1]), abs=1e-5)
            assert made["to_end"][row, 1, step] == pytest.approx(cka(own, features[model, -1, 1]), abs=1e-5)
            assert made["cka"][row, 0, 2, 1, step] == pytest.approx(cka(features[model, 2, 0], own), abs=1e-5)


def test_intervals_leave_out_one_batch_at_a_time(tmp_path):
    features = activities.walks(images=96)
    made = told(tmp_path, features)
    batch = np.arange(96) // activities.BATCH
    first, last = features[0, 0, 1], features[0, -1, 1]
    without = np.array([cka(first[batch != b], last[batch != b]) for b in range(6)])
    se = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    assert made["to_start_se"][0, 1, -1] == pytest.approx(se, rel=1e-3)
    reach = scipy.stats.t.ppf(0.975, 5) * se
    assert made["to_start_high"][0, 1, -1] == pytest.approx(cka(first, last) + reach, rel=1e-3)


def test_what_pixels_explain_is_taken_off(tmp_path):
    """A layer that shows pixels beside something of its own is told by the rest alone."""
    rng, pixels = np.random.default_rng(0), activities.pixels(128)
    features = np.zeros((2, 2, 1, 128, 20))
    features[..., :12] = pixels
    features[..., 12:] = rng.normal(size=(2, 2, 1, 128, 8))  # nothing in common
    made = told(tmp_path, features)
    assert made["to_start"][0, 0, 1] > 0.4
    assert abs(made["corrected_to_start"][0, 0, 1]) < 0.1
    first, second, given = (
        np.concatenate(
            [grams.unpacked(torch.from_numpy(row)).numpy().ravel() for row in activities.packed(of)]
        )
        for of in (features[0, 0, 0], features[0, 1, 0], pixels)
    )
    rest = [own - own @ given / (given @ given) * given for own in (first, second)]
    expected = rest[0] @ rest[1] / np.sqrt((rest[0] @ rest[0]) * (rest[1] @ rest[1]))
    assert made["corrected_to_start"][0, 0, 1] == pytest.approx(expected, abs=1e-5)


def test_a_layer_of_noise_is_not_told_from_chance_and_one_that_moved_a_little_is(tmp_path):
    rng = np.random.default_rng(1)
    features = activities.walks(speeds=[0.1, 0])
    features[:, 1:, 1] = rng.normal(size=features[:, 1:, 1].shape)
    made = told(tmp_path, features, permutations=99)
    assert (made["to_start_q"][:, 0] < 0.05).all()
    assert (made["to_start_q"][:, 1, 1:] > 0.05).all()
    assert (made["mean_to_start_q"][1, 1:] > 0.05).all()
    assert (np.abs(made["excess"][:, 1, 1:]) < 0.1).all()
    assert (made["to_start_low"][:, 1, 1:] < 0).mean() > 0.8


def test_p_is_uniform_where_nothing_is_shared():
    """Of 400 networks that make noise of the images."""
    rng = np.random.default_rng(0)
    rows = np.stack([activities.packed(own) for own in rng.normal(size=(401, 48, 3))])
    null = maps.Shuffled.of(activities.BATCH, 3, 19, rng).null(rows)
    value = [cka_of_rows(rows[0], own) for own in rows[1:]]
    p = permutation_p(np.array(value), null[:, 1:])
    assert scipy.stats.chisquare(np.bincount(np.round(20 * p).astype(int), minlength=21)[1:]).pvalue > 0.01
    assert np.abs(null[:, 1:].mean()) < 3 * null[:, 1:].std() / np.sqrt(400)


def cka_of_rows(first, second):
    """From packed rows [batches, pairs]."""
    return (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())


def test_bands_are_students_intervals_over_models(tmp_path):
    made = told(tmp_path, activities.walks(models=8))
    expected = scipy.stats.ttest_1samp(made["to_start"][:, 1, 2], 0).confidence_interval()
    assert made["mean_to_start"][1, 2] == pytest.approx(made["to_start"][:, 1, 2].mean())
    assert made["mean_to_start_low"][1, 2] == pytest.approx(expected.low)
    assert made["mean_to_start_high"][1, 2] == pytest.approx(expected.high)


def test_one_model_has_no_band(tmp_path):
    made = told(tmp_path, activities.walks(models=2))
    assert np.isnan(made["mean_to_start_low"]).all()
    np.testing.assert_array_equal(made["mean_to_start"], made["to_start"][0])
    np.testing.assert_array_equal(made["mean_to_start_p"], made["to_start_p"][0])


def test_a_constant_layer_is_nan_with_a_reason_and_costs_no_other_one_anything(tmp_path):
    features = activities.walks()
    plain = told(tmp_path, features)
    features[2, 3, 0] = 5
    made = told(tmp_path, features)
    assert np.isnan(made["to_start"][1, 0, 3])
    assert np.isnan(made["to_start_p"][1, 0, 3])
    np.testing.assert_array_equal(made["layer_note"][1], "")
    assert made["layer_note"][0].startswith("the same for all images in 1 of 8 networks")
    np.testing.assert_allclose(made["to_start"][:, 1], plain["to_start"][:, 1])
    np.testing.assert_allclose(made["to_start"][0], plain["to_start"][0])
    assert np.isnan(made["mean_to_start"][0]).tolist() == [False, False, False, True]


def test_references_are_of_other_networks_of_the_same_images(tmp_path):
    features = activities.walks(models=6)
    with activities.probed(activities.write(tmp_path / "a.h5", features)) as probed:
        made = levels.told(probed)
    starts = [cka(features[2 * r, 0, 1], features[2 * r + 1, 0, 1]) for r in range(3)]
    ends = [cka(features[2 * r, -1, 1], features[2 * r + 1, -1, 1]) for r in range(3)]
    assert made["random_init"][1] == pytest.approx(np.mean(starts), abs=1e-5)
    assert made["scratch_end"][1] == pytest.approx(np.mean(ends), abs=1e-5)
    pairs = np.array([cka(features[a, 2, 1], features[b, 2, 1]) for a, b in ((2, 4), (0, 4), (0, 2))])
    assert made["other_seed"][1, 2] == pytest.approx(pairs.mean(), abs=1e-5)
    # Without a model, one pair is left.
    reach = scipy.stats.t.ppf(0.975, 2) * np.sqrt(2 / 3 * ((pairs - pairs.mean()) ** 2).sum())
    assert made["other_seed_high"][1, 2] == pytest.approx(pairs.mean() + reach, abs=1e-4)


def test_references_of_few_models_have_no_interval(tmp_path):
    with activities.probed(activities.write(tmp_path / "a.h5", activities.walks(models=4))) as probed:
        made = levels.told(probed)
        assert not np.isnan(made["other_seed"]).any()
        assert np.isnan(made["other_seed_low"]).all()
    with activities.probed(activities.write(tmp_path / "b.h5", activities.walks(models=2))) as probed:
        assert np.isnan(levels.told(probed)["other_seed"]).all()

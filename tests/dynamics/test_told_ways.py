"""Ways from start to end: length, straightness and half of the change; and what is kept within classes."""

import numpy as np
import pytest
import scipy
import torch

from tests.dynamics import activities
from transferlens.dynamics.similarity import cka
from transferlens.dynamics.told import classes, images, paths


def turned(angles, n=40, seed=0):
    """Features [steps, n, 4] whose Gram matrices turn by these angles from a first to a second direction."""
    noise = np.random.default_rng(seed).normal(size=(n, 5))
    noise[:, 0] = 1
    axes = np.linalg.qr(noise)[0][:, 1:]  # orthonormal, centred
    return torch.from_numpy(np.stack([axes * np.sqrt(np.repeat([np.cos(a), np.sin(a)], 2)) for a in angles]))


def test_a_straight_way_is_as_long_as_the_angle_of_its_ends():
    length, straightness = paths.path(turned([0, 0.1, 0.4, 0.9]))
    assert length == pytest.approx(0.9)
    assert straightness == pytest.approx(1)


def test_a_way_there_and_back_is_not_straight():
    length, straightness = paths.path(turned([0, 0.9, 0.3]))
    assert length == pytest.approx(0.9 + 0.6)
    assert straightness == pytest.approx(0.3 / 1.5)


def test_what_does_not_move_has_no_straightness():
    length, straightness = paths.path(turned([0.3, 0.3, 0.3]))
    assert length == 0
    assert np.isnan(straightness)


def test_half_of_the_change_is_at_the_first_step_that_reaches_it():
    steps = np.array([0, 1, 2, 4, 8])
    excess = np.array([[1, 0.95, 0.8, 0.75, 0.6], [1, 0.5, 0.9, 0.7, 0.6], [1, 0.9, 0.9, 0.9, 0.6]])
    half = paths.half_change_step(steps, excess, end_high=np.full(3, 0.7))
    assert half.tolist() == [2, 1, 8]
    assert np.isnan(paths.half_change_step(steps, excess, end_high=np.full(3, 1.0))).all()


def test_ways_of_models_have_means_and_bands(tmp_path):
    features = activities.walks(models=6)
    excess = np.ones((3, 2, 4)) - np.arange(4) / 4
    excess[1, :, 1:] = 0.25
    with activities.probed(activities.write(tmp_path / "a.h5", features)) as probed:
        made = paths.told(probed, excess, np.full((3, 2), 0.5))
    assert made["half_change_step"][:, 0].tolist() == [2, 1, 2]
    assert made["mean_half_change_step"][0] == pytest.approx(4 ** (1 / 3))
    own = torch.from_numpy(features[2, :, 1].astype(np.float32).astype(float))
    assert made["path_length"][1, 1] == pytest.approx(paths.path(own)[0])
    assert made["pooled_to_start"][1, 1, 2] == pytest.approx(cka.unbiased(own[2], own[0]))
    expected = scipy.stats.ttest_1samp(made["straightness"][:, 1], 0).confidence_interval()
    assert made["mean_straightness_low"][1] == pytest.approx(expected.low)


@pytest.mark.parametrize("channels", [6, 50])
def test_leaving_out_an_image_is_doing_so(channels):
    """More images than features, and fewer."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(34, channels)).clip(0)
    features = np.stack([start, start + 0.3 * rng.normal(size=start.shape), rng.normal(size=start.shape)])
    made = images.to_first(torch.from_numpy(features))
    whole = [cka.unbiased(start, own) for own in features]
    without = [
        [cka.unbiased(np.delete(start, i, 0), np.delete(own, i, 0)) for own in features] for i in range(34)
    ]
    se = np.sqrt(33 / 34 * np.square(without - np.mean(without, axis=0)).sum(0))
    np.testing.assert_allclose(made.value, whole, atol=1e-12)
    np.testing.assert_allclose(made.se, se, atol=1e-12)
    np.testing.assert_allclose(made.high, whole + scipy.stats.t.ppf(0.975, 33) * se)
    assert made.value[0] == 1
    assert made.se[0] == 0


def test_intervals_over_images_cover():
    """Of the CKA of many images, in three quarters of an axis shared."""
    rng = np.random.default_rng(0)

    def pair(n):
        shared = rng.normal(size=(n, 3))
        return torch.from_numpy(np.stack([shared + rng.normal(size=(n, 3)) for _ in range(2)]))

    true = cka.unbiased(*pair(100_000))
    made = [images.to_first(pair(60)) for _ in range(300)]
    covered = np.mean([one.low[1] <= true <= one.high[1] for one in made])
    assert 0.91 < covered < 0.98


def test_constant_features_have_no_similarity_and_cost_others_nothing():
    features = turned([0, 0.2, 0.5])
    expected = images.to_first(features).value[2]
    features[1] = 3
    made = images.to_first(features)
    assert np.isnan(made.value).tolist() == [False, True, False]
    assert made.value[2] == expected
    features[0] = 3
    assert np.isnan(images.to_first(features).value).all()


def test_a_class_is_told_by_its_own_images_and_a_small_one_is_not(tmp_path):
    """The images of class b alone move; class c has too few."""
    rng = np.random.default_rng(0)
    names = ["a", "b", "a", "b", "c"]
    features = np.repeat(rng.normal(size=(4, 1, 1, 160, 5)), 3, axis=1)
    of_b = np.arange(160) % 5 % 2 == 1
    features[:, 2, :, of_b] = rng.normal(size=(of_b.sum(), 4, 1, 5))
    names[4], sizes = "c", [64, 64, 32]
    with activities.probed(activities.write(tmp_path / "a.h5", features, classes=names)) as probed:
        made = classes.told(probed, "source_class")
        assert made["source_class"].tolist() == ["a", "b", "c"]
        assert made["source_class_images"].tolist() == sizes
        assert (made["source_class_to_start"][[0, 2]] == 1).all()
        assert (made["source_class_to_start"][1, :, 0, 2] < 0.2).all()
        probed.classes[4] = "a"  # one image less
        made = classes.told(probed, "source_class")
    assert made["source_class_note"].tolist() == ["", "", "31 probe images, fewer than 32"]
    assert np.isnan(made["source_class_to_start"][2]).all()
    assert np.isnan(made["mean_source_class_to_start"][2]).all()
    assert not np.isnan(made["source_class_to_start_low"][:2]).any()

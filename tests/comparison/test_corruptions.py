"""Corruptions of images whose outcome is known, and against other libraries."""

from typing import get_args

import numpy as np
import pytest
from scipy import ndimage
from skimage import color

from transferlens.comparison.measures.corruptions import CONSTANTS, corrupt, disc
from transferlens.comparison.settings import Corruption

ALL = [(name, severity) for name in CONSTANTS for severity in (1, 3, 5)]
SIDE = 20


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Four images; of the first, one pixel is black and one is white."""
    made = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    made[0, 0, 0], made[0, 1, 1] = 0, 255
    return made


def of(name, severity, pixels):
    return corrupt(name, severity, pixels, [f"image {i}" for i in range(len(pixels))])


def test_those_that_can_be_asked_for_are_there() -> None:
    assert set(get_args(Corruption)) == set(CONSTANTS)


@pytest.mark.parametrize(("name", "severity"), ALL)
def test_an_image_is_corrupted_alike_alone_and_among_others(pixels, name, severity) -> None:
    """And stays in [0, 1], and is another one."""
    together = of(name, severity, pixels)
    alone = corrupt(name, severity, pixels[2:3], ["image 2"])
    assert together.dtype == np.float32
    assert (together[2:3] == alone).all()
    assert (together.min() >= 0) & (together.max() <= 1)
    assert np.abs(together - pixels / 255).mean() > 0.01


def test_noise_is_an_images_own_and_each_severitys() -> None:
    grey = np.full((2, SIDE, SIDE, 3), 128, np.uint8)
    for name in ("gaussian_noise", "shot_noise", "impulse_noise"):
        first, second = of(name, 1, grey)
        assert (first != second).any()
    (weak, *_), (strong, *_) = (of("gaussian_noise", severity, grey) for severity in (1, 2))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] < 0.2


def test_noise_has_the_moments_that_it_should() -> None:
    grey = np.full((1, 200, 200, 3), 51, np.uint8)  # 0.2
    gaussian, shot, impulse = (
        of(name, severity, grey)
        for name, severity in (("gaussian_noise", 1), ("shot_noise", 1), ("impulse_noise", 5))
    )
    assert gaussian.mean() == pytest.approx(0.2, abs=2e-3)
    assert gaussian.std() == pytest.approx(0.08, rel=0.02)  # 2.5 deviations from 0: clipping takes little
    assert shot.mean() == pytest.approx(0.2, abs=2e-3)
    assert shot.var() == pytest.approx(0.2 / 60, rel=0.03)
    assert (impulse == 1).mean() == pytest.approx(0.27 / 2, abs=5e-3)
    assert (impulse == 0).mean() == pytest.approx(0.27 / 2, abs=5e-3)


def test_contrast_about_the_mean_of_a_channel() -> None:
    x = np.zeros((1, 2, 2, 3), np.uint8)
    x[..., 0] = [[0, 255], [0, 255]]
    x[..., 1] = 51
    found = of("contrast", 1, x)[0]  # 0.4
    np.testing.assert_allclose(found[..., 0], [[0.3, 0.7], [0.3, 0.7]], atol=1e-6)
    np.testing.assert_allclose(found[..., 1:], [[[0.2, 0]] * 2] * 2, atol=1e-6)


def test_brightness_is_added_to_the_value(pixels) -> None:
    for severity, more in ((1, 0.1), (5, 0.5)):
        hsv = color.rgb2hsv(pixels)
        hsv[..., 2] = np.minimum(hsv[..., 2] + more, 1)
        np.testing.assert_allclose(of("brightness", severity, pixels), color.hsv2rgb(hsv), atol=1e-5)


def test_pixelated_images_are_means_of_blocks(pixels) -> None:
    """At severity 5, of 4 x 4 pixels; means are rounded to bytes, once by rows and once by columns."""
    blocks = pixels.reshape(4, SIDE // 4, 4, SIDE // 4, 4, 3).mean((2, 4)) / 255
    expected = blocks.repeat(4, 1).repeat(4, 2)
    np.testing.assert_allclose(of("pixelate", 5, pixels), expected, atol=1.01 / 255)


def test_an_image_smaller_than_a_pixel_of_it_is_its_mean() -> None:
    x = np.array([[[[0] * 3, [255] * 3], [[255] * 3, [0] * 3]]], np.uint8)
    np.testing.assert_allclose(of("pixelate", 5, x), 0.5, atol=1 / 255)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_a_blur_is_a_convolution_with_a_disc(pixels, severity) -> None:
    """At severity 5 the kernel is as wide as the image."""
    kernel = disc(*CONSTANTS["defocus_blur"][severity - 1])
    expected = ndimage.convolve(pixels / 255, kernel[None, :, :, None].astype(float), mode="mirror")
    np.testing.assert_allclose(of("defocus_blur", severity, pixels), expected, atol=1e-5)


def test_a_disc_is_as_wide_as_released() -> None:
    """Without a Gaussian to speak of: 29 pixels within a radius of 3. With one, it is round and of sum 1."""
    sharp, smooth = disc(3, 0.1), disc(6, 0.5)
    assert np.unique(sharp).tolist() == pytest.approx([0, 1 / 29])
    assert (sharp > 0).sum() == 29
    assert smooth.sum() == pytest.approx(1)
    np.testing.assert_allclose(smooth, smooth.T, atol=1e-8)
    assert (np.diff(smooth[8, 8:]) <= 1e-8).all()
    assert smooth[8, 14] > smooth[8, 15] > 0


def test_jpeg_of_a_lower_quality_is_further_from_the_image(pixels) -> None:
    errors = [np.abs(of("jpeg", severity, pixels) - pixels / 255).mean() for severity in range(1, 6)]
    assert errors == sorted(errors)


def test_flat_images_stay_flat_under_all_but_noise() -> None:
    grey = np.full((1, SIDE, SIDE, 3), 102, np.uint8)
    for name in ("defocus_blur", "contrast", "pixelate"):
        np.testing.assert_allclose(of(name, 5, grey), 0.4, atol=1e-5)
    np.testing.assert_allclose(of("jpeg", 5, grey), 0.4, atol=2.01 / 255)
    np.testing.assert_allclose(of("brightness", 2, grey), 0.6, atol=1e-6)

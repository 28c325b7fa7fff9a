"""Augmentation of batches against definitions and torchvision."""

import numpy as np
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from transferlens.data import augmentation


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(n=4, side=12):
    values = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(values)


def test_normalise_equals_torchvision():
    images, mean, std = picture(), [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    found = augmentation.normalise(images, torch.tensor(mean), torch.tensor(std))
    tensor = v2.ToDtype(torch.float32, scale=True)(images.permute(0, 3, 1, 2))
    torch.testing.assert_close(found, v2.Normalize(mean, std)(tensor))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_translate_shifts_whole_images_and_fills_with_black():
    images = picture(64)
    moved = augmentation.translate(images, 2, generator())
    padded = torch.nn.functional.pad(images, (0, 0, 2, 2, 2, 2))
    shifts = set()
    for i in range(64):
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(moved[i], padded[i, y : y + 12, x : x + 12])
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 15  # of 25


def test_flip_mirrors_about_half():
    images = torch.randn(400, 3, 4, 4)
    flipped = augmentation.flip(images, generator())
    mirrored = [torch.equal(f, i.flip(2)) for f, i in zip(flipped, images, strict=True)]
    same = [torch.equal(f, i) for f, i in zip(flipped, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 160 < sum(mirrored) < 240


def ramp(side):
    """A batch whose value is its own x coordinate in its first channel and y in its second."""
    line = (torch.arange(side) + 0.5) / side
    x, y = line.expand(side, side), line[:, None].expand(side, side)
    return torch.stack([x, y, torch.ones(side, side)])[None].repeat(200, 1, 1, 1)


def test_random_resized_crops_are_rectangles_of_the_wanted_area_and_shape():
    crops = augmentation.random_resized_crop(ramp(64), 32, (0.2, 0.6), generator())
    interior = crops[:, :2, 2:-2, 2:-2]
    width = (interior[:, 0, 0, -1] - interior[:, 0, 0, 0]) * 32 / 27
    height = (interior[:, 1, -1, 0] - interior[:, 1, 0, 0]) * 32 / 27
    # Rows and columns stay straight.
    assert interior[:, 0].std(1).max() < 1e-4
    assert interior[:, 1].std(2).max() < 1e-4
    area, ratio = width * height, width / height
    assert area.min() > 0.18
    assert area.max() < 0.62
    assert abs(area.mean() - 0.4) < 0.03
    assert ratio.min() > 0.74
    assert ratio.max() < 1.35
    assert crops[:, :2].min() >= 0
    assert crops[:, :2].max() <= 1


def test_a_whole_crop_is_the_image_up_to_its_shape():
    constant = torch.full((5, 3, 10, 10), 0.7)
    crops = augmentation.random_resized_crop(constant, 10, (1.0, 1.0), generator())
    torch.testing.assert_close(crops, constant)


def test_enlarging_keeps_a_slope_a_slope():
    """Cubic interpolation is exact for linear functions; the outermost pixels have no neighbours to go by."""
    row = torch.arange(0, 160, 10, dtype=torch.uint8)
    images = row[None, None, :, None].expand(1, 16, 16, 3)
    larger = augmentation.enlarge(images, 64)
    expected = ((torch.arange(64) + 0.5) / 4 - 0.5) * 10
    found = larger[0, 20, 8:-8, 1].float()
    assert (found - expected[8:-8]).abs().max() <= 0.5
    assert augmentation.enlarge(images, 16) is images


def colours(images=6):
    return torch.rand((images, 3, 5, 4), generator=generator(5))


def test_colours_change_as_torchvision_changes_them():
    """With fixed draws: a factor of brightness, contrast and saturation of one image at a time."""
    images = colours()
    changed = augmentation.jitter_colours(images, 0.5, generator(1))
    draws = torch.rand((5, 6), generator=generator(1))
    factors, turns = 1 + 0.4 * (2 * draws[:3] - 1), 0.1 * (2 * draws[3] - 1)
    assert {bool(chance < 0.8) for chance in draws[4]} == {True, False}
    for i, image in enumerate(images):
        if draws[4, i] >= 0.8:
            assert torch.equal(changed[i], image)
            continue
        expected = transforms.adjust_brightness(image, float(factors[0, i]))
        expected = transforms.adjust_contrast(expected, float(factors[1, i]))
        expected = transforms.adjust_saturation(expected, float(factors[2, i]))
        expected = augmentation.turn_hues(expected[None], turns[i].view(1, 1, 1, 1))[0]
        torch.testing.assert_close(changed[i], expected, rtol=0, atol=1e-3)  # torchvision rounds its weights


def test_hues_turn_about_gray():
    images = 0.3 + 0.2 * colours()  # far from the bounds, which cut
    whole, third = (torch.full((6, 1, 1, 1), turn) for turn in (1.0, 1 / 3))
    torch.testing.assert_close(augmentation.turn_hues(images, whole), images)
    turned = augmentation.turn_hues(images, third)
    torch.testing.assert_close(augmentation.gray(turned), augmentation.gray(images))
    assert (turned - images).abs().max() > 0.02
    for _ in range(2):
        turned = augmentation.turn_hues(turned, third)
    torch.testing.assert_close(turned, images)
    gray = images.mean(1, keepdim=True).expand_as(images)
    torch.testing.assert_close(augmentation.turn_hues(gray, third), gray, rtol=0, atol=1e-3)


def test_colours_are_lost_with_the_given_chance():
    images = colours(images=400)
    gray = augmentation.lose_colours(images, 0.2, generator())
    lost = (gray[:, 0] == gray[:, 1]).flatten(1).all(1)
    assert 50 < lost.sum() < 110
    assert torch.equal(gray[~lost], images[~lost])
    torch.testing.assert_close(gray[lost][:, :1], augmentation.gray(images[lost]))


def test_no_strength_and_no_chance_change_nothing():
    images = colours()
    same = augmentation.jitter_colours(images, 0.0, generator())
    torch.testing.assert_close(same, images, rtol=0, atol=1e-6)
    assert torch.equal(augmentation.lose_colours(images, 0.0, generator()), images)

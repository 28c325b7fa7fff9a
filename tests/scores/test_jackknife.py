"""Intervals of scores over images."""

from dataclasses import replace

import numpy as np

from tests.scores.candidates import gaussian
from transferlens.scores import jackknife


def parts_of(candidate):
    return list(jackknife.without_each_group(candidate, 0))


def test_every_image_is_left_out_once_and_no_class_altogether():
    candidate = gaussian(images=50)
    few = replace(candidate, labels=np.repeat(np.arange(25), 2), classes=25)
    for each in (candidate, few):
        left = np.array([[row in part.features for row in each.features] for part in parts_of(each)])
        assert ((~left).sum(0) == 1).all()
        assert all(len(np.unique(part.labels)) == each.classes for part in parts_of(each))
        np.testing.assert_array_equal(parts_of(each)[3].logits, each.logits[left[3]])


def test_the_interval_of_a_mean():
    """Of the mean energy, that is nearly the usual one of a mean."""
    candidate = gaussian(images=400)
    each = np.logaddexp.reduce(candidate.logits, axis=1)
    (found,) = jackknife.intervals({"energy": each.mean()}, parts_of(candidate)).values()
    assert found.value == each.mean()
    usual = each.std(ddof=1) / 20
    assert 0.4 * usual < (found.high - found.low) / (2 * 2.262) < 1.6 * usual  # Student's, 9 degrees


def test_without_groups_there_is_no_interval():
    lonely = replace(gaussian(images=8), labels=np.arange(8) % 7, classes=7)
    assert parts_of(lonely) == []
    assert np.isnan(jackknife.intervals({"hscore": 1.0}, [])["hscore"].low)

"""Intervals of scores over images."""

from dataclasses import replace

import numpy as np
import pytest

from tests.scores.candidates import gaussian
from transferlens.scores import jackknife
from transferlens.scores.registry import SCORES


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
    (found,) = jackknife.intervals(candidate, ["energy"], parts_of(candidate)).values()
    each = np.logaddexp.reduce(candidate.logits, axis=1)
    assert found.value == pytest.approx(each.mean())
    usual = each.std(ddof=1) / 20
    assert 0.4 * usual < (found.high - found.low) / (2 * 2.262) < 1.6 * usual  # Student's, 9 degrees


def test_without_groups_there_is_no_interval():
    lonely = replace(gaussian(images=8), labels=np.arange(8) % 7, classes=7)
    names = [name for name, score in SCORES.items() if not score.pooled][:4]
    assert parts_of(lonely) == []
    assert all(np.isnan(i.low) for i in jackknife.intervals(lonely, names, []).values())

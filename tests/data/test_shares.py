"""Sampling rates: class-stratified parts of the training images, rounded up and nested."""

from itertools import pairwise

import numpy as np
import pytest

from tests.conftest import DATASET, changed
from transferlens.capabilities import run_of
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.data import folder, index_making
from transferlens.data.catalogue import CATALOGUE, limited, share_of
from transferlens.data.selection import at_most
from transferlens.operations import datasets

# As equal as classes can be: 5,994 training images of CUB, 6,667 of Aircraft.
CUB = np.repeat(np.arange(200), [30] * 194 + [29] * 6)
AIRCRAFT = np.repeat(np.arange(100), [67] * 67 + [66] * 33)
RATES = (0.15, 0.3, 0.5, 1.0)


def part(share, seed=0, labels=CUB):
    return at_most(labels, None, rng_for(seed, "x"), share)


@pytest.mark.parametrize(
    ("labels", "totals"), [(CUB, (1000, 1800, 3000, 5994)), (AIRCRAFT, (1067, 2067, 3367, 6667))]
)
def test_published_totals_follow_from_rounding_up_in_each_class(labels, totals):
    assert tuple(len(part(share, labels=labels)) for share in RATES) == totals


def test_a_share_is_the_decimal_as_written():
    assert [share_of(share, n) for share, n in ((0.15, 20), (0.07, 100), (0.55, 100), (0.3, 10))] == [
        3,
        7,
        55,
        3,
    ]
    assert 0.07 * 100 > 7  # what a product of floats would round up to 8


def test_parts_are_seeded_and_nested_in_every_class():
    parts = [set(part(share).tolist()) for share in RATES]
    assert all(smaller < larger for smaller, larger in pairwise(parts))
    np.testing.assert_array_equal(part(0.15), part(0.15))
    assert set(part(0.15, seed=1).tolist()) != parts[0]
    ten = at_most(CUB, 10, rng_for(0, "x"))  # the same way of counting
    assert parts[1] < set(ten.tolist()) < parts[2]
    assert len(part(0.01, labels=np.array([0, 1, 1]))) == 2  # no class is lost


def test_the_index_of_a_data_set_holds_its_share(image_folder):
    images = folder.open_folder(image_folder)
    made = {
        share: index_making.make_index("textures", images, changed(DATASET, train_share=share), 0)[0]
        for share in (0.15, 0.5)
    }
    assert np.bincount(made[0.15].train.labels).tolist() == [5, 5, 5]
    assert np.bincount(made[0.5].train.labels).tolist() == [15, 15, 15]
    assert set(made[0.15].train.ids) < set(made[0.5].train.ids)
    assert len(made[0.15].val) == 36


def test_a_plan_counts_a_share(tmp_path):
    for name, totals in (("cub-200", [1000, 1800, 3000]), ("aircraft", [1067, 2067, 3367])):
        facts = CATALOGUE[name]
        assert [limited(facts.train_images, facts.classes, None, s) for s in RATES[:3]] == totals
    given = {"source": "digits-and-clothes", "targets": {"cub-200": {"sizes": [3]}}}
    run = run_of({**given, "datasets": {"cub-200": {"train_share": 0.15}}})
    assert datasets.describe(run, "cub-200", tmp_path).train == 1000
    assert datasets.describe(run, "cub-200@3", tmp_path).train == 600  # of all images, not of the share


def test_a_share_and_a_number_exclude_each_other():
    given = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}
    both = {"optdigits": {"train_share": 0.5, "train_per_class": 3}}
    with pytest.raises(ConfigError, match=r"train_per_class 3 and train_share 0.5; give one"):
        run_of({**given, "datasets": both})
    with pytest.raises(ConfigError, match=r"datasets.optdigits.train_share.* 1.5"):
        run_of({**given, "datasets": {"optdigits": {"train_share": 1.5}}})

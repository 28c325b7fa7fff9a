import numpy as np
import pytest

from tests.relatedness.examples import task_of
from transferlens.core.errors import DataError
from transferlens.relatedness.bound import Heads, Options, relate
from transferlens.relatedness.heads import fit_head
from transferlens.relatedness.tasks import largest_remainder, part_of, standardised

FEATURES = np.array([[0.0, 5, 1], [2, 5, 1], [4, 5, 3], [6, 5, 3]])
LABELS = np.array([0, 0, 1, 1])


def made(train=FEATURES, labels=LABELS, test=FEATURES, test_labels=LABELS, classes=2):
    return standardised(train, labels, test, test_labels, classes, name="pets", model="row 3")


def test_features_are_on_the_scale_of_the_training_images():
    task = made(test=FEATURES + np.array([0, 1, 2]))
    assert np.allclose(task.train.features[:, 0], np.array([-3, -1, 1, 3]) / np.sqrt(5))
    assert (task.train.features[:, 1] == 0).all()
    assert (task.test.features[:, 1] == 0).all(), "the scale of a constant feature is unknown"
    assert np.allclose(task.test.features[:, 2], [1, 1, 3, 3])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"classes": 1}, "pets: 1 class"),
        ({"classes": 5}, "pets, training images: 4 images for 5 classes"),
        ({"classes": 3}, "pets, training images: no image of class 2"),
        ({"test_labels": np.zeros(4, int)}, "pets, test images: no image of class 1"),
        (
            {"test": np.where(np.arange(4)[:, None] == 2, np.nan, FEATURES)},
            "row 3: features of image 2 are NaN",
        ),
        # Whose deviation comes out as 1e-17.
        ({"train": np.full((10, 3), 0.1), "labels": np.arange(10) % 2}, "row 3: all features are the same"),
    ],
)
def test_bad_input_is_refused_in_one_line(bad, message):
    with pytest.raises(DataError, match=message) as error:
        made(**bad)
    assert "\n" not in str(error.value)


def test_tasks_of_different_features_are_refused():
    rng = np.random.default_rng(0)
    reference, target = task_of(rng, [5, 5], 3), task_of(rng, [5, 5], 4)
    heads = Heads(*(fit_head(of.train, 2, 0.2) for of in (reference, target)), 0.2)
    with pytest.raises(DataError, match="3 features and the target 4"):
        relate(reference, target, heads, Options(), 0)


def test_rounding_hits_the_total_and_stays_within_one_of_each_share():
    rng = np.random.default_rng(0)
    for total in range(50):
        shares = rng.dirichlet(np.ones(7))
        counts = largest_remainder(shares, total)
        assert counts.sum() == total
        assert (np.abs(counts - shares * total) < 1).all()
    assert largest_remainder(np.array([0.5, 0.25, 0.25]), 3).tolist() == [1, 1, 1]
    assert largest_remainder(np.array([0.29, 0.71]), 100).tolist() == [29, 71], "where int(n * p) loses one"


def test_a_part_keeps_frequencies_and_every_class():
    sample = task_of(np.random.default_rng(0), [60, 30, 9, 1]).train
    part = part_of(sample, 20, np.random.default_rng(0))
    assert np.bincount(part.labels).tolist() == [12, 6, 2, 1]
    rows = {row.tobytes(): label for row, label in zip(sample.features, sample.labels, strict=True)}
    assert [rows[row.tobytes()] for row in part.features] == part.labels.tolist()
    assert part_of(sample, 100, np.random.default_rng(0)) is sample

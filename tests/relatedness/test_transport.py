import numpy as np
import pytest
import scipy

from tests.relatedness.examples import clouds, digits
from transferlens.core.errors import NumericalError
from transferlens.relatedness import transport as module
from transferlens.relatedness.bound import Heads, bound
from transferlens.relatedness.heads import Head
from transferlens.relatedness.label_maps import entropy
from transferlens.relatedness.tasks import Sample
from transferlens.relatedness.transforms import Transform
from transferlens.relatedness.transport import (
    class_distances,
    distances,
    transport,
    wasserstein,
    wasserstein_floor,
)

EVEN = np.full(2, 0.5)
# The hand case: two classes a step apart, and a target whose classes lie the other way round.
REFERENCE = Sample(np.array([[0.0, 0], [1, 0], [0, 2], [1, 2]]), np.array([0, 0, 1, 1]))
TARGET = Sample(np.array([[0.0, 1], [1, 1], [0, 3], [1, 3]]), np.array([1, 1, 0, 0]))
SWAP = np.array([[0.0, 1], [1, 0]])
MIXED = np.array([[0.25, 0.75], [0.75, 0.25]])


@pytest.mark.parametrize(
    ("label_map", "shift", "found", "mismatch"),
    [
        (SWAP, (0, 0), (1, 1), 0),
        (np.eye(2), (0, 0), (3, 1), 0),
        (MIXED, (0, 0), (1.5, 1), 0.5623351446188083),
        (SWAP, (0, 1), (0, 0), 0),
    ],
)
def test_the_hand_case(label_map, shift, found, mismatch):
    transform = Transform(EVEN, label_map, np.eye(2), np.array(shift, float))
    head = Head(np.array([[0.1, 0], [0, 0.1]]), np.zeros(2))
    relation = bound(REFERENCE, TARGET, transform, Heads(head, head, None), {})
    assert np.allclose(relation.class_wasserstein, found)
    assert np.isclose(relation.wasserstein, np.mean(found))
    assert np.isclose(relation.label_mismatch, mismatch, rtol=1e-12)
    assert np.isclose(entropy(label_map, EVEN), mismatch, rtol=1e-12)


def test_weights_are_replicates_and_potentials_their_slopes():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(7, 3)), rng.normal(size=(9, 3))
    counts, others = rng.integers(1, 5, 7), rng.integers(1, 5, 9)
    cost = distances(first, second)
    solved = transport(cost, counts / counts.sum(), others / others.sum())
    repeated = wasserstein(first.repeat(counts, 0), second.repeat(others, 0))
    assert np.isclose(solved.distance, repeated, rtol=1e-12)
    program = scipy.optimize.linprog(
        cost.ravel(),
        A_eq=np.vstack([np.kron(np.eye(7), np.ones(9)), np.kron(np.ones(7), np.eye(9))]),
        b_eq=np.concatenate([counts / counts.sum(), others / others.sum()]),
    )
    assert np.isclose(solved.distance, program.fun, rtol=1e-9), "and a linear program agrees"
    assert np.isclose(
        solved.first @ counts / counts.sum() + solved.second @ others / others.sum(), solved.distance
    )
    assert (solved.first[:, None] + solved.second <= cost + 1e-12).all()


def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_ITERATIONS", 5)
    cloud = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(NumericalError, match="between 50 and 50 images is not optimal: numItermax"):
        wasserstein(cloud, -cloud)


def test_distances_of_close_images_keep_their_digits():
    rng = np.random.default_rng(0)
    first = 1e4 + rng.normal(size=(30, 8))
    second = np.vstack([first + 1e-7 * rng.normal(size=first.shape), 1e4 + rng.normal(size=(30, 8))])
    assert np.allclose(
        distances(first, second), scipy.spatial.distance.cdist(first, second), rtol=1e-10, atol=0
    )
    assert (np.diag(distances(first, first)) == 0).all()


def test_distances_of_classes_and_their_floor():
    reference, target = clouds(np.random.default_rng(0), [9, 4]), clouds(np.random.default_rng(1), [5, 6, 1])
    found = class_distances(reference, target)
    assert found.shape == (3, 2)
    assert np.isclose(found[1, 0], wasserstein(reference.of_class(0), target.of_class(1)), rtol=1e-12)
    wide = Sample(np.array([[0.0], [10], [1], [11], [3]]), np.array([0, 0, 1, 1, 2]))
    assert wasserstein_floor(wide, np.random.default_rng(0)) == 10, "the class of one image has no halves"
    assert np.isnan(wasserstein_floor(Sample(np.zeros((2, 1)), np.arange(2)), np.random.default_rng(0)))
    task = digits(0)[1]
    floor = wasserstein_floor(task.test, np.random.default_rng(0))
    assert 0 < floor < class_distances(task.test, task.test)[0, 1]

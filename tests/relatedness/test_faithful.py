"""Definitions of the published algorithm, on a tiny frozen case, against formulas written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from tests.relatedness.examples import task_of
from transferlens.core.errors import DataError
from transferlens.relatedness import faithful
from transferlens.relatedness.columns import Maps, class_averaged_distance, columns, large_tau, small_tau
from transferlens.relatedness.faithful import LARGE, SMALL, Learning, published, published_heads
from transferlens.relatedness.heads import Head
from transferlens.relatedness.penalised import penalised_loss
from transferlens.relatedness.tasks import Sample

RNG = np.random.default_rng(11)
HEAD = Head(RNG.normal(size=(2, 3)), RNG.normal(size=2))
MAPS = Maps(
    RNG.normal(size=(3, 3)),
    RNG.normal(size=3),
    RNG.normal(size=(3, 3)),  # no inverse of the matrix, as published ones are not quite
    np.array([[0.3, 0.8], [0.7, 0.2]]),
    np.array([0.4, 0.6]),
)
# Two images of reference class 0, which becomes class 1, and two of class 1.
REFERENCE = Sample(RNG.normal(size=(4, 3)), np.array([0, 0, 1, 1]))
TARGET = Sample(RNG.normal(size=(4, 3)), np.array([1, 0, 1, 0]))


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def inner(z):
    """The reference's head at features mapped back."""
    return softmax(HEAD.weight @ MAPS.inverse @ (z - MAPS.shift) + HEAD.bias)


def test_columns_are_what_they_are_said_to_be():
    prior, tau = np.array([0.5, 0.5]), 0.7
    found = columns(REFERENCE, TARGET, HEAD, MAPS, prior, tau)
    on_target = np.array([MAPS.label_map @ inner(z) for z in TARGET.features])
    moved = REFERENCE.features @ MAPS.matrix.T + MAPS.shift
    on_reference = np.array([MAPS.label_map @ inner(z) for z in moved])
    soft = MAPS.label_map[:, REFERENCE.labels].T
    own = np.array(
        [softmax(HEAD.weight @ z + HEAD.bias)[y] for z, y in zip(*vars(REFERENCE).values(), strict=True)]
    )
    loss = -(MAPS.prior[REFERENCE.labels] / 0.5 * np.log(own)).mean()
    distances = []
    for label, rows in ((0, [2, 3]), (1, [0, 1])):
        cost = cdist(moved[rows], TARGET.features[TARGET.labels == label])
        distances.append(cost[linear_sum_assignment(cost)].mean())
    entropies = [-(0.3 * np.log(0.3) + 0.7 * np.log(0.7)), -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))]
    expected = [
        100 * np.mean(on_target.argmax(1) == TARGET.labels),
        -np.log(on_target[range(4), TARGET.labels]).mean(),
        100 * np.mean(on_reference.argmax(1) == [1, 1, 0, 0]),
        -(soft * np.log(on_reference)).sum(1).mean(),
        loss,
        np.mean(distances),
        0.4 * entropies[0] + 0.6 * entropies[1],
    ]
    expected += [expected[4] + expected[6]]
    expected += [expected[7] + tau * expected[5], expected[3] + tau * expected[5], tau]
    assert np.allclose(list(vars(found).values()), expected, rtol=1e-12)


def test_a_class_that_no_reference_class_becomes_is_infinitely_far():
    maps = replace(MAPS, label_map=np.array([[0.6, 0.8], [0.4, 0.2]]))
    assert class_averaged_distance(REFERENCE, TARGET, maps) > 4e9


def gradient(of, at):
    at = torch.from_numpy(at).requires_grad_()
    return torch.autograd.grad(of(at), at)[0].norm().item()


def test_measured_constants_are_gradients_of_the_losses_they_name():
    weight, bias = torch.from_numpy(HEAD.weight), torch.from_numpy(HEAD.bias)
    drawn = np.random.default_rng(5).integers(0, 2, 4)

    def two_losses(label, other):
        return lambda u: -(logp := (weight @ u + bias).log_softmax(0))[label] - logp[other]

    both = [
        gradient(two_losses(y, r), MAPS.inverse @ (z - MAPS.shift))
        for z, y, r in zip(TARGET.features, TARGET.labels, drawn, strict=True)
    ]
    assert np.isclose(small_tau(TARGET, HEAD, MAPS, np.random.default_rng(5)), max(both))

    def mixed(label):
        label_map = torch.from_numpy(MAPS.label_map)
        return lambda u: -(label_map @ (weight @ u + bias).softmax(0))[label].log()

    rng = np.random.default_rng(5)
    moved = REFERENCE.features @ MAPS.matrix.T + MAPS.shift
    points = [*moved, *TARGET.features, *TARGET.features]
    labels = [*rng.integers(0, 2, 4), *rng.integers(0, 2, 4), *TARGET.labels]
    found = [gradient(mixed(y), MAPS.inverse @ (z - MAPS.shift)) for z, y in zip(points, labels, strict=True)]
    assert np.isclose(large_tau(REFERENCE, TARGET, HEAD, MAPS, np.random.default_rng(5)), max(found))


@pytest.mark.parametrize("large", [False, True])
def test_penalties_are_of_the_gradients_of_two_losses(large):
    """Of their sum at small scale, of each of them at large scale."""
    recipe = (LARGE if large else SMALL).target_head
    weight, bias = torch.from_numpy(3 * HEAD.weight), torch.from_numpy(HEAD.bias)
    features, labels = torch.from_numpy(TARGET.features), torch.from_numpy(TARGET.labels)
    drawn, tau = torch.tensor([0, 0, 1, 1]), 0.5

    def norm(z, of):
        z = z.clone().requires_grad_()
        logp = (weight @ z + bias).log_softmax(0)
        return torch.autograd.grad(-sum(logp[y] for y in of), z)[0].norm().item()

    rows = list(zip(features, labels, drawn, strict=True))
    gradients = [[norm(z, [y]), norm(z, [r])] if large else [norm(z, [y, r])] for z, y, r in rows]
    excess = np.square(np.maximum(np.array(gradients) - tau, 0)).sum(1).mean()
    loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, labels).item()
    found = penalised_loss(weight, bias, features, (labels, drawn), tau, recipe)
    assert np.isclose(found.item(), loss + recipe.penalty * excess)
    assert excess > 0


def learning(recipe, transform="LearnedAll", counts=(40, 7)):
    task = task_of(np.random.default_rng(0), list(counts), 3)
    head = Head(HEAD.weight, HEAD.bias)
    prior = task.prior if recipe.large else np.full(2, 0.5)
    return Learning(task.train, task.train, head, prior, transform, recipe, np.random.default_rng(1))


def test_batches_truncate_and_are_capped():
    of = learning(replace(SMALL, batch=15))
    rows = of.batch(of.reference, np.array([0.53, 0.47]))
    assert np.bincount(of.reference.labels[rows]).tolist() == [7, 7]  # int(7.95), int(7.05)
    rows = of.batch(of.reference, np.array([0.04, 0.96]))
    assert np.bincount(of.reference.labels[rows]).tolist() == [0, 7], (
        "14 of 7 there are, and none of int(0.6)"
    )
    assert len(set(rows)) == 7


@pytest.mark.parametrize("recipe", [SMALL, LARGE])
def test_the_objective_is_the_published_one(recipe):
    """Term by term at random variables, the transport by assignment of equal numbers of images."""
    of = learning(recipe, counts=(6, 6))
    rng = np.random.default_rng(3)
    for variable in (of.matrix, of.inverse, of.shift, of.prior_logits):
        variable.data += 0.3 * torch.from_numpy(rng.normal(size=variable.shape))
    maps = of.maps()
    rows, others = np.arange(1, 10), rng.permutation(12)[:9]
    terms = {name: term.item() for name, term in of.objective(rows, others).items()}
    moved = of.reference.features[rows] @ maps.matrix.T + maps.shift
    labels, target_labels = maps.label_map.T[of.reference.labels[rows]], np.eye(2)[of.target.labels[others]]
    there = of.target.features[others]
    pairs = linear_sum_assignment(cdist(moved, there) + recipe.label_cost * cdist(labels, target_labels))
    squared = cdist(moved, there) ** 2 + recipe.label_cost * cdist(labels, target_labels) ** 2
    assert np.isclose(terms["WD"], 2 * squared[pairs].mean())
    assert np.isclose(terms["CE"], -(maps.prior * (maps.label_map * np.log(maps.label_map)).sum(0)).sum())
    assert np.isclose(terms["PM"], np.square([0.5, 0.5] - maps.label_map @ maps.prior).sum())
    products = maps.matrix @ maps.inverse, maps.inverse @ maps.matrix
    assert np.isclose(terms["IC"], sum(np.square(p - np.eye(3)).sum() for p in products))
    # Images 1 to 5 are of class 0 and 6 to 9 of class 1: four of each at small scale.
    used = range(12) if recipe.large else [1, 2, 3, 4, 6, 7, 8, 9]
    weighted = [maps.prior[of.reference.labels[r]] / 0.5 * of.losses[r] for r in used]
    assert np.isclose(terms["WS"], np.mean(weighted))


def test_transforms_learn_what_they_are_named_after():
    rng = np.random.default_rng(0)
    reference, target = task_of(rng, [9, 9], 3), task_of(rng, [9, 9], 3)
    recipe = replace(SMALL, steps=30, batch=12)
    lines = {}
    for transform in ("FixedAll", "LearnedA", "LearnedAll"):
        found, maps = published(reference, target, HEAD, transform, recipe, 0)
        again, _ = published(reference, target, HEAD, transform, recipe, 0)
        assert found == again
        lines[transform] = found
        assert (maps.matrix == np.eye(3)).all() == (transform == "FixedAll")
        assert set(maps.label_map.ravel()) == {0, 1} or transform == "LearnedAll"
        assert (maps.prior == 0.5).all() == (transform != "LearnedAll")
    assert lines["LearnedA"].wasserstein < lines["FixedAll"].wasserstein


def test_penalised_heads_stay_near_tau():
    rng = np.random.default_rng(0)
    task = task_of(rng, [20, 20], 3)
    small = replace(SMALL.target_head, rounds=300, batch=40, rate=1e-2)
    large = replace(LARGE.target_head, rounds=300, batch=20, rate=1e-5)
    recipe = replace(SMALL, reference_head=small, target_head=large)
    heads = published_heads(task, task, recipe, 0)
    assert heads.reference.lipschitz < 0.2, "half of what the sum of two losses may be, or less"
    assert heads.target.lipschitz < 0.5
    assert heads.tau == 0.2


def test_different_numbers_of_classes_are_refused():
    rng = np.random.default_rng(0)
    reference, target = task_of(rng, [5, 5, 5], 3), task_of(rng, [5, 5], 3)
    with pytest.raises(DataError, match="as many reference classes as target classes: 3 and 2"):
        published(reference, target, HEAD, "FixedAll", faithful.SMALL, 0)

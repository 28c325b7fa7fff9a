from dataclasses import fields
from itertools import product

import numpy as np
import pytest

from tests.relatedness.examples import digits, task_of
from transferlens.core.errors import NumericalError
from transferlens.relatedness.bound import Heads, Options, bound, fit_heads, relate
from transferlens.relatedness.heads import Head
from transferlens.relatedness.stages import Stage, check
from transferlens.relatedness.transforms import Transform


def test_every_stage_holds_for_200_random_transforms():
    """With random heads, priors, label maps, feature maps and numbers of classes."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        k_r, k_t = rng.integers(2, 6, 2)
        reference, target = (task_of(rng, list(rng.integers(2, 7, k)), 3) for k in (k_r, k_t))
        heads = Heads(*(Head(3 * rng.normal(size=(k, 3)), rng.normal(size=k)) for k in (k_r, k_t)), None)
        transform = Transform(
            rng.dirichlet(np.ones(k_r)),
            rng.dirichlet(np.full(k_t, 0.3), k_r).T,
            rng.normal(size=(3, 3)),
            rng.normal(size=3),
        )
        relation = bound(reference.test, target.test, transform, heads, {})
        assert all(stage.slack >= -1e-9 for stage in relation.stages)
        assert relation.transformed_loss <= relation.bound_tight <= relation.bound + 1e-12
        assert np.isclose(relation.class_prior @ relation.class_bound, relation.bound_tight)
        assert np.isclose(
            relation.transformed_loss, transformed_loss(target.test, transform, heads.reference)
        )
        warned = relation.probe_loss > relation.transformed_loss
        assert len(relation.warnings) == warned


def transformed_loss(sample, transform, head):
    """By the true inverse, image by image."""
    losses = []
    for z, label in zip(sample.features, sample.labels, strict=True):
        logits = head.weight @ np.linalg.inv(transform.matrix) @ (z - transform.shift) + head.bias
        p = np.exp(logits - logits.max())
        losses.append(-np.log(transform.label_map[label] @ p / p.sum()))
    return np.mean(losses)


def test_a_permutation_of_labels_costs_nothing():
    rng = np.random.default_rng(0)
    reference, target = task_of(rng, [8, 5, 7]), task_of(rng, [8, 5, 7])
    heads = fit_heads(reference, target, 0.3)
    transform = Transform(reference.prior, np.eye(3)[[2, 0, 1]], np.eye(6), np.zeros(6))
    relation = bound(reference.test, target.test, transform, heads, {})
    assert relation.label_mismatch == 0
    assert np.isclose(relation.stages[0].slack, 0, atol=1e-12)
    # Classes of 7, 8 and 5 images where the target has 8, 5 and 7.
    assert np.isclose(
        relation.prior_gap, (np.array([8, 5, 7]) - [7, 8, 5]) / 20 @ relation.class_reference_loss
    )


def test_a_task_is_related_to_itself_at_no_distance():
    task = task_of(np.random.default_rng(0), [9, 6, 5])
    heads = fit_heads(task, task, 0.3)
    transform = Transform(task.prior, np.eye(3), np.eye(6), np.zeros(6))
    relation = bound(task.test, task.test, transform, heads, {})
    assert relation.wasserstein == 0
    assert relation.bound == relation.reference_loss
    assert np.isclose(relation.bound, heads.reference.losses(task.test).mean(), rtol=1e-14)
    assert np.isclose(relation.bound_tight, relation.transformed_loss, rtol=1e-14)
    assert relation.bound == pytest.approx(relation.probe_loss)


def test_what_is_learned_is_bounded():
    """Every transform and feature map, from five seeds; labels, features and all learn something."""
    found = {}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        reference, target = task_of(rng, [12, 10, 14, 9], 5), task_of(rng, [9, 12, 8], 5)
        heads = fit_heads(reference, target, 0.3)
        for names in product(("FixedAll", "LearnedA", "LearnedAll"), ("identity", "orthogonal", "affine")):
            relation = relate(reference, target, heads, Options(*names, "random", 12, 400), seed)
            assert relation.transformed_loss <= relation.bound_tight <= relation.bound
            assert np.allclose(relation.label_map.sum(0), 1, atol=1e-12)
            assert np.isclose(relation.prior.sum(), 1, atol=1e-12)
            found[seed, *names] = relation.bound
    mean = {
        name: np.mean([found[seed, name, "orthogonal"] for seed in range(5)])
        for name in ("FixedAll", "LearnedA", "LearnedAll")
    }
    assert mean["LearnedA"] < mean["FixedAll"] - 0.1


def test_orthogonal_maps_reach_the_prototype_on_digits():
    """A prototype had accuracy .67 and bound 2.42; of these features, means of three seeds are better."""
    relations = []
    for seed in range(3):
        reference, target = digits(seed)
        heads = fit_heads(reference, target, 0.2)
        relations.append(relate(reference, target, heads, Options(), seed))
    assert np.mean([r.transformed_accuracy for r in relations]) > 0.67
    assert np.mean([r.bound for r in relations]) < 2.42
    for relation in relations:
        assert relation.lipschitz == pytest.approx(0.2)
        assert relation.probe_loss < relation.transformed_loss < relation.log_classes < relation.bound


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    rng = np.random.default_rng(0)
    reference, target = task_of(rng, [12, 10, 14]), task_of(rng, [9, 12, 8])
    heads = [fit_heads(reference, target, 0.3) for _ in range(2)]
    options = Options("LearnedAll", "affine", "random", 5, 20)
    once, again, other = (
        relate(reference, target, h, options, s) for h, s in zip((*heads, heads[0]), (4, 4, 5), strict=True)
    )
    for field in fields(once):
        value = getattr(once, field.name)
        if isinstance(value, np.ndarray):
            assert value.tobytes() == getattr(again, field.name).tobytes()
        elif isinstance(value, float):
            assert value == getattr(again, field.name)
    assert once.feature_map[0].tobytes() == again.feature_map[0].tobytes()
    assert other.bound != once.bound


def test_a_violated_stage_is_an_error():
    check((Stage("rounding", 1 + 1e-12, 1),))
    for left in (1.1, np.nan):
        with pytest.raises(NumericalError, match="Stage 'label map' of the bound does not hold"):
            check((Stage("label map", left, 1),))


@pytest.mark.parametrize("slant", [0, 1e-15])
def test_a_feature_map_without_an_inverse_is_an_error(slant):
    rng = np.random.default_rng(0)
    task = task_of(rng, [5, 5], 3)
    heads = fit_heads(task, task, 0.3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    flat = turn @ np.diag([1, 1, slant]) @ turn[[1, 2, 0]]
    with pytest.raises(NumericalError, match="not invertible"):
        bound(task.test, task.test, Transform(task.prior, np.eye(2), flat, np.zeros(3)), heads, {})

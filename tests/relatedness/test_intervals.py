import numpy as np
import scipy

from tests.relatedness.examples import task_of
from transferlens.relatedness.bound import Heads, bound
from transferlens.relatedness.evaluation import evaluate
from transferlens.relatedness.heads import Head
from transferlens.relatedness.intervals import _class_means, _interval, _of_reference, _of_target
from transferlens.relatedness.tasks import Sample
from transferlens.relatedness.transforms import Transform


def setting(seed=0, sizes=(9, 14, 6)):
    rng = np.random.default_rng(seed)
    reference, target = task_of(rng, [8, 11], 4), task_of(rng, list(sizes), 4)
    heads = Heads(*(Head(rng.normal(size=(k, 4)), rng.normal(size=k)) for k in (2, 3)), None)
    transform = Transform(
        np.array([0.3, 0.7]), rng.dirichlet(np.ones(3), 2).T, rng.normal(size=(4, 4)), rng.normal(size=4)
    )
    return reference.test, target.test, heads, transform


def test_terms_are_sums_of_class_means_of_what_images_add():
    """The very numbers come back, so nothing is left out of an interval, or counted twice."""
    reference, target, heads, transform = setting()
    relation = bound(reference, target, transform, heads, {})
    seen = evaluate(reference, target, transform, heads.reference, heads.target)
    of_reference, of_target = _of_reference(seen), _of_target(seen)
    assert set(of_reference) | set(of_target) == set(relation.intervals)
    for name in relation.intervals:
        value = getattr(relation, name) - (relation.label_mismatch if name == "bound" else 0)
        found = 0
        for sample, parts in ((reference, of_reference), (target, of_target)):
            if name in parts:
                found = found + sum(
                    parts[name][..., sample.labels == k].mean(-1) for k in range(sample.classes)
                )
        assert np.allclose(found, value), name


def test_the_error_is_that_of_a_bootstrap_within_classes_with_potentials_held():
    reference, target, heads, transform = setting()
    relation = bound(reference, target, transform, heads, {})
    seen = evaluate(reference, target, transform, heads.reference, heads.target)
    rng = np.random.default_rng(1)
    replicates = np.zeros(20_000)
    for sample, parts in ((reference, _of_reference(seen)), (target, _of_target(seen))):
        for label in range(sample.classes):
            values = parts["bound"][sample.labels == label]
            drawn = rng.integers(0, len(values), (len(replicates), len(values) - 1))
            replicates += values[drawn].mean(1)
    interval = relation.intervals["bound"]
    # Student's quantile, of degrees of freedom between those of the smallest class and of all.
    quantile = (interval.high - interval.value) / replicates.std()
    assert 2.0 < quantile < 2.6
    assert np.isclose(interval.high + interval.low, 2 * relation.bound)


def test_two_classes_make_welchs_interval():
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 1, 4), rng.normal(0, 3, 9)
    sample = Sample(np.zeros((13, 1)), np.repeat([0, 1], [4, 9]))
    found = _interval(first.mean() - second.mean(), *_class_means(sample, np.append(first, -second)))
    welch = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert np.allclose([found.low, found.high], [welch.low, welch.high])


def test_one_image_of_a_class_tells_no_error():
    reference, target, heads, transform = setting(sizes=(1, 5, 5))
    relation = bound(reference, target, transform, heads, {})
    assert np.isnan(relation.intervals["bound"].high)
    assert np.isnan(relation.intervals["class_bound"].high).tolist() == [True, False, False]
    assert np.isfinite(relation.intervals["reference_loss"].high)


def test_images_that_are_all_alike_leave_no_doubt():
    reference, _, heads, transform = setting()
    alike = Sample(np.zeros((6, 4)), np.array([0, 0, 1, 1, 2, 2]))
    relation = bound(reference, alike, transform, heads, {})
    interval = relation.intervals["transformed_loss"]
    assert interval.low == interval.high == relation.transformed_loss

import numpy as np
import pytest
import scipy

from tests.relatedness.examples import clouds, digits, task_of
from transferlens.relatedness.bound import Options, fit_heads, fit_transform, relate
from transferlens.relatedness.feature_maps import FEATURE_MAPS, Matched, orthogonal
from transferlens.relatedness.heads import fit_head
from transferlens.relatedness.label_maps import hungarian_pairs, learnable_map, paired_map, random_pairs
from transferlens.relatedness.learning import Lesson, learn, look, of_joint
from transferlens.relatedness.tasks import Sample, Task
from transferlens.relatedness.transforms import Transform


def turned(task: Task, angle: float, labels: np.ndarray, rng: np.random.Generator) -> Task:
    """The same images, turned and shifted, with other labels, in another order."""
    skew = rng.normal(size=(6, 6))
    matrix, shift = scipy.linalg.expm(angle * (skew - skew.T)), rng.normal(size=6) * angle
    samples = []
    for of in (task.train, task.test):
        order = rng.permutation(len(of.labels))
        samples.append(Sample(of.features[order] @ matrix.T + shift, labels[of.labels[order]]))
    return Task(*samples, task.classes)


@pytest.mark.parametrize(
    ("transform", "start", "angle", "labels"),
    [
        ("FixedAll", "hungarian", 0, [2, 0, 1]),
        ("LearnedA", "hungarian", 0.1, [0, 1, 2]),
        ("LearnedA", "hungarian", 0.1, [2, 0, 1]),
        ("LearnedAll", "uniform", 0.2, [1, 2, 0]),
    ],
)
def test_a_turned_and_shifted_task_with_other_labels_is_recovered(transform, start, angle, labels):
    rng = np.random.default_rng(0)
    reference = task_of(rng, [50, 40, 30], spread=3)
    target = turned(reference, angle, np.array(labels), rng)
    heads = fit_heads(reference, target, 0.2)
    relation = relate(reference, target, heads, Options(transform, "orthogonal", start, 60, 400), 0)
    assert relation.wasserstein < 1e-6
    becomes = np.zeros((3, 3))
    becomes[labels, range(3)] = 1
    assert np.allclose(relation.label_map, becomes, atol=1e-6)
    assert np.isclose(relation.bound, relation.reference_loss, atol=1e-6)
    accuracy = (
        heads.reference.log_probabilities(reference.test.features).argmax(1) == reference.test.labels
    ).mean()
    assert np.isclose(relation.transformed_accuracy, accuracy)


def lesson_of(reference: Sample, target: Sample, tau: float = 0.2) -> Lesson:
    head = fit_head(reference, reference.classes, tau)
    return Lesson(reference, target, target.frequencies, head, reference.class_means(head.losses(reference)))


def soft_transform(lesson: Lesson, rng: np.random.Generator) -> Transform:
    """Any label map that makes the target's classes as frequent as they are."""
    shares = rng.dirichlet(np.ones(lesson.reference.classes), lesson.target.classes)
    d = lesson.target.features.shape[1]
    return Transform(*of_joint(shares * lesson.target.frequencies[:, None]), np.eye(d), np.zeros(d))


def test_slopes_of_the_labels_are_those_of_finite_differences():
    """Of the distance in the joint distribution, along any change that keeps the target's frequencies."""
    rng = np.random.default_rng(0)
    lesson = lesson_of(clouds(rng, [9, 12, 8]), clouds(rng, [7, 11]))
    at = soft_transform(lesson, rng)
    joint = at.label_map * at.prior
    change = rng.normal(size=joint.shape)
    change -= change.mean(1, keepdims=True)

    def distance(h):
        prior, label_map = of_joint(joint + h * change)
        return look(lesson, Transform(prior, label_map, at.matrix, at.shift), False).parts["wasserstein"]

    slope = (look(lesson, at, True).slopes * change).sum()
    assert np.isclose((distance(1e-7) - distance(-1e-7)) / 2e-7, slope, rtol=1e-5)


@pytest.mark.parametrize("name", ["orthogonal", "affine"])
def test_no_step_of_a_feature_map_raises_the_objective(name):
    reference, target = (task.train for task in digits(1))
    lesson = lesson_of(reference, target)
    start = Transform(target.frequencies, np.eye(5), np.eye(32), np.zeros(32))
    transform, trace = learn(lesson, start, FEATURE_MAPS[name], False, 6)
    assert (np.diff(trace["objective"]) < 1e-9).all()
    assert trace["objective"][-1] < trace["objective"][0] - 0.1
    if name == "orthogonal":
        assert np.abs(transform.matrix @ transform.matrix.T - np.eye(32)).max() < 1e-10
        assert np.isclose(trace["lipschitz"], lesson.head.lipschitz, rtol=1e-10).all()


def test_orthogonal_steps_end_where_no_turn_and_no_shift_is_better():
    """Of the mean distance of given pairs, some of which are far off: least squares end elsewhere."""
    rng = np.random.default_rng(0)
    images, noise = rng.normal(size=(60, 3)), rng.standard_t(1.5, (60, 3))
    order = np.arange(60)
    matched = Matched(images, images[:, [1, 2, 0]] + noise, order, order, rng.dirichlet(np.ones(60)))

    def distance(matrix, shift):
        return matched.mass @ np.linalg.norm(images @ matrix.T + shift - matched.target, axis=1)

    matrix, shift = np.eye(3), np.zeros(3)
    for _ in range(2000):
        matrix, shift = orthogonal(matched, None, matrix, shift)
    for _ in range(20):
        skew, step = rng.normal(size=(3, 3)), rng.normal(size=3)
        ends = [
            distance(scipy.linalg.expm(h * (skew - skew.T)) @ matrix, shift + h * step) for h in (-1e-4, 1e-4)
        ]
        assert min(ends) > distance(matrix, shift)


def test_a_map_is_found_where_the_quick_decomposition_does_not_end(monkeypatch):
    rng, order = np.random.default_rng(0), np.arange(30)
    matched = Matched(*rng.normal(size=(2, 30, 4)), order, order, np.full(30, 1 / 30))
    expected = orthogonal(matched, None, np.eye(4), np.zeros(4))

    def fails(products):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    for made, known in zip(orthogonal(matched, None, np.eye(4), np.zeros(4)), expected, strict=True):
        np.testing.assert_allclose(made, known, atol=1e-12)


def test_labels_that_are_learned_keep_the_frequencies_and_lose_entropy():
    reference, target = digits(0)
    heads = fit_heads(reference, target, 0.2)
    transform, trace = fit_transform(reference, target, heads.reference, Options(label_start="uniform"), 0)
    assert np.allclose(transform.target_prior, target.prior, atol=1e-12)
    assert trace["label_mismatch"][0] > 1.6
    assert trace["label_mismatch"][-1] < 1e-6
    assert np.isclose(transform.prior.sum(), 1)


def test_nothing_is_learned_where_all_is_fixed():
    reference, target = digits(0)
    heads = fit_heads(reference, target, 0.2)
    transform, trace = fit_transform(
        reference, target, heads.reference, Options("FixedAll", label_start="random"), 3
    )
    assert (transform.matrix == np.eye(32)).all()
    assert (transform.shift == 0).all()
    assert (transform.prior == reference.prior).all()
    assert sorted(map(tuple, transform.label_map.T)) == sorted(map(tuple, np.eye(5)))
    assert len(trace["objective"]) == 21
    assert np.ptp(trace["objective"]) == 0


@pytest.mark.parametrize(("targets", "references"), [(3, 3), (3, 8), (8, 3)])
def test_starts_leave_no_class_out(targets, references):
    rng = np.random.default_rng(0)
    reference, target = (clouds(rng, list(rng.integers(2, 9, n))) for n in (references, targets))
    for pairs in (random_pairs(targets, references, rng), hungarian_pairs(rng.random((targets, references)))):
        assert pairs.any(0).all()
        assert pairs.any(1).all()
        assert pairs.sum() == max(targets, references)
    for start in ("random", "hungarian", "uniform"):
        for make in (paired_map, learnable_map):
            label_map = make(start, reference, target, target.frequencies, rng)
            assert np.allclose(label_map.sum(0), 1)
            assert (label_map.sum(1) > 0).all()
            assert (label_map > 0).all() or make is paired_map, "learning never mixes in what has no part"
    hard = paired_map("random", reference, target, target.frequencies, rng)
    assert (hard.max(0) == 1).all() == (references >= targets)


def test_the_cheapest_pairs_are_taken_and_the_rest_joins_the_cheapest():
    cost = np.array([[1.0, 9, 3, 2], [9, 2, 9, 9]])
    assert hungarian_pairs(cost).astype(int).tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]
    assert hungarian_pairs(cost.T).astype(int).T.tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]

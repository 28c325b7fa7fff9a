"""Areas under ROC curves against the definition; what distraction adds where it does, and where not."""

import numpy as np
import pytest

from transferlens.memories.images import failures, ranking
from transferlens.memories.images.failures import Predictor


def test_parts_of_an_area_average_to_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, failed = rng.integers(0, 5, 40).astype(float), rng.random(40) < 0.3
    above, below = scores[failed][:, None], scores[~failed][None]
    expected = ((above > below) + 0.5 * (above == below)).mean()
    parts = failures.roc_parts(scores, failed)
    assert parts.mean() == pytest.approx(expected)
    # The jackknife over images is what their spread stands for.
    without = []
    for i in range(40):
        kept = np.arange(40) != i
        without.append(failures.roc_parts(scores[kept], failed[kept]).mean())
    jackknife = np.sqrt(39 / 40 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert parts.std(ddof=1) / np.sqrt(40) == pytest.approx(jackknife, rel=0.05)


def test_models_that_never_fail_and_images_without_a_score_do_not_count():
    scores = np.array([[3.0, 1, 2, 9], [3, 1, 2, 9]])
    failed = np.array([[True, False, False, False], [False] * 4])
    found = failures.area(Predictor(scores, failed, np.array([True, True, True, False])))
    assert (found.value, found.models) == (1, 1)
    assert np.isnan(found.se)
    never = failures.area(Predictor(scores, np.zeros((2, 4), bool), np.ones(4, bool)))
    assert np.isnan(never.value)


def drawn(rng, adds, models=4, images=300):
    """Failures by a trivial score, and by distraction if it adds anything; distraction follows the former."""
    trivial = rng.normal(size=(models, images))
    distraction = 0.7 * trivial + rng.normal(size=trivial.shape)
    failed = trivial + adds * distraction + rng.normal(size=trivial.shape) > 1
    everywhere = np.ones(images, bool)
    return {"trivial": Predictor(trivial, failed, everywhere)}, Predictor(distraction, failed, everywhere)


def test_what_distraction_adds_is_found_and_what_it_repeats_is_not():
    adding = [failures.added(*drawn(np.random.default_rng(seed), 0.8), seed) for seed in range(10)]
    assert all(a.low > 0 for a in adding)
    repeating = [failures.added(*drawn(np.random.default_rng(seed), 0.0), seed) for seed in range(40)]
    # Alone it predicts failures well all the while.
    assert failures.area(drawn(np.random.default_rng(0), 0.0)[1]).low > 0.55
    assert sum(a.low > 0 for a in repeating) <= 3
    assert abs(np.mean([a.value for a in repeating])) < 0.005


def test_a_regression_never_sees_the_images_and_models_that_it_is_tried_on():
    """Failures that are told by the number of the image alone are not told."""
    rng = np.random.default_rng(0)
    failed = np.repeat(rng.random((1, 60)) < 0.4, 3, 0)
    columns = np.repeat(np.eye(60)[None], 3, 0)
    predicted = failures.cross_fitted(columns, failed, np.arange(60) % 5)
    area = failures.area(Predictor(predicted, failed, np.ones(60, bool)))
    assert area.value < 0.6
    assert np.isfinite(predicted).all()


# Three source classes, of which the first means the first target class.
OVERLAP = np.array([[True, False], [False, False], [False, False]])


def test_classes_apart_are_of_groups_that_share_no_meaning_with_the_target():
    assert ranking.apart(OVERLAP, ["digits", "digits", "clothes"]).tolist() == [False, False, True]
    assert ranking.apart(OVERLAP, ["", "", ""]).tolist() == [False, True, True]
    assert not ranking.apart(np.ones((2, 2), bool), ["a", "b"]).any()


def recalled(overlap=OVERLAP):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 200)
    memory = rng.dirichlet(np.ones(3), (3, 200))
    wrong = rng.random((3, 200)) < np.where(labels == 0, 1 - memory[..., 0], 0.3)
    binding = rng.normal(size=(3, 2))
    unsure, scratch = rng.random((3, 200)), rng.random((3, 200)) < 0.4
    apart = ranking.apart(overlap, ["digits", "digits", "clothes"])
    return ranking.Recalled(labels, memory, unsure, wrong, scratch, binding, overlap, apart)


def test_predictors_are_what_they_are_called():
    given = recalled()
    known = ranking.predictors(given, seed=0)
    (name,), (others,), (distraction,) = (known[n] for n in ("true name", "other groups", "distraction"))
    np.testing.assert_array_equal(name.known, given.labels == 0)
    np.testing.assert_allclose(name.scores[:, name.known], 1 - given.memory[:, name.known, 0])
    away = ranking.pull(given.binding, OVERLAP)
    np.testing.assert_allclose(others.scores, given.memory[..., 2] * away[2][given.labels])
    np.testing.assert_allclose(distraction.scores[:, 0], given.distraction(away)[:, 0])
    assert len(known["permuted bindings"]) == failures.PERMUTATIONS
    told = ranking.tell_failures(given, seed=0)
    assert told.areas["true name"].low > 0.5
    assert told.areas["uncertainty"].low < 0.5 < told.areas["uncertainty"].high
    assert np.isfinite(told.added.se)


def test_without_overlap_there_is_no_true_name():
    told = ranking.tell_failures(recalled(np.zeros((3, 2), bool)), seed=0)
    assert np.isnan(told.areas["true name"].value)
    assert np.isfinite(told.areas["other groups"].value)
    assert np.isfinite(told.added.value)

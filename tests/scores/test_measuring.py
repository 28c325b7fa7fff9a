"""Measuring: reasons where a score cannot be had, what is refused, and whose seconds are whose."""

from dataclasses import replace

import numpy as np
import pytest

from tests.scores.candidates import gaussian
from transferlens.core.errors import ConfigError, DataError
from transferlens.scores import shared
from transferlens.scores.candidate import Candidate
from transferlens.scores.measuring import measure, pool
from transferlens.scores.registry import SCORES


def test_every_score_is_measured():
    found = measure(gaussian(), list(SCORES))
    assert list(found) == list(SCORES)
    for name, measured in found.items():
        assert measured.reason == "", name
        assert np.isfinite(measured.values).all(), name
        assert len(measured.values) == len(SCORES[name].parts)


def with_hole(candidate):
    features, logits = candidate.features.copy(), candidate.logits.copy()
    features[17, 3] = logits[17, 3] = np.nan
    return replace(candidate, features=features, logits=logits)


CASES = {
    "no head": (lambda c: replace(c, logits=None), "leep", "needs the outputs of a source head"),
    "no source": (lambda c: replace(c, source=None), "f_otce", "needs source images"),
    "hole": (with_hole, "logme", "features of image 17 are not finite"),
    "hole in logits": (with_hole, "nce", "logits of image 17 are not finite"),
    "constant": (
        lambda c: replace(c, features=np.ones_like(c.features)), "hscore", "the same for all images"
    ),
    "one class": (
        lambda c: replace(c, labels=np.zeros_like(c.labels), classes=1), "sfda", "the target has one class"
    ),
    "few images": (lambda c: gaussian(images=20), "knn_20", "needs more than 20 images, and there are 20"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_had_says_why(case):
    change, name, reason = CASES[case]
    found = measure(change(gaussian()), [name])[name]
    assert reason in found.reason
    assert np.isnan(found.values).all()


def test_the_others_go_on():
    found = measure(replace(gaussian(), logits=None), ["leep", "hscore"])
    assert found["leep"].reason
    assert not found["hscore"].reason


def test_without_features_the_head_still_scores():
    found = measure(replace(gaussian(), features=np.ones((120, 2)), source=None), ["leep", "knn_5"])
    assert not found["leep"].reason
    assert found["knn_5"].reason


def test_a_value_that_is_not_finite_has_a_reason():
    found = measure(replace(gaussian(), features=1e200 * gaussian().features), ["pactran_gauss"])
    assert found["pactran_gauss"].reason


@pytest.mark.parametrize("name", SCORES)
def test_classes_of_one_image_and_features_without_variance(name):
    """As many classes as images, two features constant: a number or a reason, never an exception."""
    rng = np.random.default_rng(0)
    features = np.hstack([rng.normal(size=(24, 3)), np.ones((24, 2))])
    few = Candidate(features, np.arange(24), 24, features, (features, np.arange(24)))
    found = measure(few, [name])[name]
    assert np.isfinite(found.values).all() != bool(found.reason)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1, 3], 4, "3 images of 4 classes"),
        ([0, 0, 2, 2], 3, "no image of class 1 of 3"),
        ([0, 1, 2, 5], 3, "not all in 0 to 2"),
    ],
)
def test_labels_that_are_no_target_are_refused(labels, classes, message):
    with pytest.raises(DataError, match=message):
        Candidate(np.zeros((len(labels), 2)), np.array(labels), classes)


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(DataError, match="labels of shape"):
        Candidate(np.zeros((4, 2)), np.arange(3), 3)
    with pytest.raises(DataError, match="5 features of source images, but 2"):
        Candidate(np.zeros((4, 2)), np.arange(4), 4, source=(np.zeros((3, 5)), np.arange(3)))


def test_an_unknown_score():
    with pytest.raises(ConfigError, match="did you mean 'logme'"):
        measure(gaussian(), ["log_me"])


def test_pooled_scores_and_others():
    parts = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(pool("etran", parts), [0.15, 0.85])
    np.testing.assert_array_equal(pool("logme", parts[:, :1]), [0, 1])


def test_a_score_answers_for_the_seconds_of_what_it_shares(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(shared, "perf_counter", lambda: clock[0])

    def takes(seconds, *parts):
        def work():
            for part in parts:
                part()
            clock[0] += seconds

        return work

    all_shared = shared.Shared()
    inner = lambda: all_shared.part("inner", takes(1))  # noqa: E731
    outer = lambda: all_shared.part("outer", takes(10, inner))  # noqa: E731
    for work, expected in ((takes(100, outer, inner), 111), (takes(100, outer), 111), (takes(5, inner), 6)):
        assert all_shared.timed(work)[1] == expected

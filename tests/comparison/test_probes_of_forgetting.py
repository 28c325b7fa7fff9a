"""Probes of source and adapted models: the same images, and no change where nothing changed."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.comparison.adapted import KEPT, Study, study_of
from transferlens.comparison.measures.artefacts import PROBES_AFTER, SOURCE_PROBES
from transferlens.comparison.measures.probes import STRENGTHS, Probe, write_probes
from transferlens.core import labelled
from transferlens.core.errors import DataError
from transferlens.training import engine


@pytest.fixture(scope="module")
def study(dataset, tmp_path_factory):
    return study_of(dataset, tmp_path_factory.mktemp("study"))


def probe_of(of: Study, images: int = 8, seed: int = 0) -> Probe:
    return Probe.of(of.dataset, of.train, of.val, images, seed)


def test_images_are_few_of_each_class_and_of_the_report_half(study) -> None:
    probe, more, other = probe_of(study, 4), probe_of(study, 5), probe_of(study, 4, seed=1)
    train, val = study.dataset.train, study.dataset.val
    assert np.bincount(train.labels[probe.fitted]).tolist() == [4] * 3
    assert np.bincount(probe.labels).tolist() == [4] * 3
    assert np.bincount(train.labels[probe.fitted][probe.held]).tolist() == [1] * 3
    assert (np.diff(probe.fitted) > 0).all()
    assert set(val.halves[probe.tried]) == {1}
    assert set(probe.fitted) < set(more.fitted)
    assert (probe.fitted != other.fitted).any()


def test_all_images_are_taken_where_there_are_fewer(study) -> None:
    probe = probe_of(study, 1000)
    assert len(probe.fitted) == len(study.train)
    assert probe.tried.tolist() == study.dataset.val.of_half("report").tolist()


def test_a_probe_is_a_logistic_regression_of_the_chosen_features(study) -> None:
    """scikit-learn's answers, with the strength that its own regressions are best with."""
    probe, network = probe_of(study), next(study.models())
    features, tried = (
        engine.evaluate(network.backbone, images).double().numpy()[positions]
        for images, positions in ((study.train, probe.fitted), (study.val, probe.tried))
    )
    centre, scale = features.mean(), features.std()
    labels, held = study.dataset.train.labels[probe.fitted], probe.held

    def fit(strength, chosen):
        model = LogisticRegression(C=strength, tol=1e-10, max_iter=5000)
        return model.fit((features[chosen] - centre) / scale, labels[chosen])

    scores = [fit(c, ~held).score((features[held] - centre) / scale, labels[held]) for c in STRENGTHS]
    best = fit(STRENGTHS[int(np.argmax(scores))], np.full(len(labels), True))
    expected = best.predict((tried - centre) / scale) == probe.labels
    assert (probe.correct(network) == expected).all()
    assert expected.mean() > 0.4


def test_equal_backbones_are_told_alike_and_others_are_not(study, tmp_path) -> None:
    """`fixed` leaves the backbone as it was: forgetting is exactly 0, image by image."""
    probe, found = probe_of(study), {}
    write_probes(tmp_path / "before.h5", SOURCE_PROBES, study.models(), KEPT, probe)
    for recipe in ("fixed", "full"):
        models = (model.network for model in study.adapted(recipe))
        write_probes(tmp_path / f"{recipe}.h5", PROBES_AFTER, models, KEPT, probe)
        found[recipe] = labelled.read(tmp_path / f"{recipe}.h5", PROBES_AFTER)
    before = labelled.read(tmp_path / "before.h5", SOURCE_PROBES)
    assert before.model.values.tolist() == KEPT
    assert before.attrs["train_images"] == 24
    assert before.example.values.tolist() == [study.val.examples.ids[i] for i in probe.tried]
    assert (before.correct.values == found["fixed"].correct.values).all()
    assert (before.example.values == found["full"].example.values).all()


def test_one_image_of_every_class_is_too_few(study) -> None:
    with pytest.raises(DataError, match="at most 1 images of one; raise train_per_class"):
        probe_of(study, 1)

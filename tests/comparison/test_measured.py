"""What is measured of adapted models is what their networks say, image by image."""

import numpy as np
import pytest
import torch

from tests.comparison.adapted import KEPT, study_of
from transferlens.comparison.measures import corruptions, measured
from transferlens.comparison.measures.artefacts import MEASURES
from transferlens.core import labelled
from transferlens.training import engine
from transferlens.training.artefacts import SUMMARY
from transferlens.training.reading import read_outputs
from transferlens.training.summary import write_summary

CORRUPTED = {"names": ["gaussian_noise", "contrast"], "severities": [1, 5]}


@pytest.fixture(scope="module")
def study(dataset, tmp_path_factory):
    return study_of(dataset, tmp_path_factory.mktemp("study"))


def measure(study, recipe, path, rows=KEPT, source=True, corrupted=CORRUPTED):
    """As the step does; the source's images are the target's."""
    half = measured.Reported(study.val, study.dataset.class_names)
    transfers, models = study.transfers[recipe], study.adapted(recipe, rows)
    measured.write_measures(path, models, transfers, rows, half, half if source else None, corrupted)
    return labelled.read(path, MEASURES)


def test_answers_are_those_of_the_networks_and_of_the_summary(study, tmp_path) -> None:
    found = measure(study, "full", tmp_path / "m.h5")
    report = study.dataset.val.of_half("report")
    assert found.example.values.tolist() == [study.val.examples.ids[i] for i in report]
    for i, model in enumerate(study.adapted("full")):
        p = engine.evaluate(model.network, study.val)[report].double().softmax(1).numpy()
        labels = study.val.examples.labels[report]
        np.testing.assert_allclose(found.confidence[i], p.max(1), atol=1e-6)
        np.testing.assert_allclose(found.p_true[i], p[np.arange(len(p)), labels], atol=1e-6)
        assert (found.correct[i].values == (p.argmax(1) == labels)).all()
    write_summary(tmp_path / "s.h5", study.transfers["full"])
    summary = read_outputs(tmp_path / "s.h5", ["correct"])
    summarised = summary.correct.sel(model=KEPT).values[:, summary.example_half.values == "report"]
    assert (found.correct.values == summarised).all()
    assert SUMMARY.kind == summary.attrs["kind"]


def test_retention_is_that_of_the_sources_head(study, tmp_path) -> None:
    """On fixed features nothing is lost; on fine-tuned ones the old head answers otherwise."""
    fixed, full = (measure(study, name, tmp_path / f"{name}.h5") for name in ("fixed", "full"))
    report = study.dataset.val.of_half("report")
    labels = study.val.examples.labels[report]
    assert (fixed.retained.values == fixed.source_correct.values).all()
    assert (full.source_correct.values == fixed.source_correct.values).all()
    for i, model in enumerate(study.adapted("full")):
        features = engine.evaluate(model.network.backbone, study.val)[report]
        with torch.no_grad():
            answers = model.source.head(features).argmax(1).numpy()
        assert (full.retained[i].values == (answers == labels)).all()
        own = engine.evaluate(model.source, study.val)[report].argmax(1).numpy()
        assert (full.source_correct[i].values == (own == labels)).all()


def test_how_far_weights_moved(study, tmp_path) -> None:
    fixed, full = (measure(study, name, tmp_path / f"{name}.h5") for name in ("fixed", "full"))
    assert (fixed.moved.values == 0).all()
    assert (full.moved.values > 0).all()
    (model, *_) = study.adapted("full")
    layer = full.layer.values[0]
    before, after = (
        one.backbone.get_parameter(layer).detach().numpy() for one in (model.source, model.network)
    )
    assert full.moved.values[0, 0] == pytest.approx(np.sqrt(((after - before) ** 2).sum()), rel=1e-5)
    assert full.moved_of.values[0, 0] == pytest.approx(np.sqrt((before**2).sum()), rel=1e-5)
    assert not any("running" in name for name in full.layer.values)


def test_corrupted_images_are_asked_about_at_the_networks_input(study, tmp_path) -> None:
    found = measure(study, "full", tmp_path / "m.h5")
    report = study.dataset.val.of_half("report")
    ids = [study.val.examples.ids[i] for i in report]
    mean, std = (np.array(values) for values in (study.val.settings.mean, study.val.settings.std))
    pixels = corruptions.corrupt("contrast", 5, study.val.bytes_of(report), ids)
    batch = torch.from_numpy(((pixels - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    for i, model in enumerate(study.adapted("full")):
        with torch.no_grad():
            answers = model.network(batch).argmax(1).numpy()
        right = found.corrupted_correct.sel(corruption="contrast", severity=5)[i].values
        assert (right == (answers == study.val.examples.labels[report])).all()


def test_pixels_are_the_images_bytes(study) -> None:
    positions = np.array([0, 3, 30])
    (found,) = measured.pixels_of(study.val, positions)
    assert (found == study.val.bytes_of(positions)).all()
    assert (
        measured.as_input(found.astype(np.float32) / 255, study.val) - study.val.pick(positions)[0]
    ).abs().max() < 1e-5


def test_models_from_scratch_retain_nothing_and_nothing_need_be_corrupted(study, tmp_path) -> None:
    """Rows of both shards, in the order asked for."""
    none = {"names": [], "severities": [1]}
    found = measure(study, "full", tmp_path / "m.h5", rows=[3, 1], source=False, corrupted=none)
    assert found.model.values.tolist() == [3, 1]
    assert found.retained.shape == found.source_correct.shape == (2, 0)
    assert found.corrupted_correct.shape == (2, 0, 1, 18)
    assert found.correct.shape == (2, 18)

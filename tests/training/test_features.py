"""Features are those of a forward pass, are asked for by several capabilities and made once."""

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed, rows_of
from tests.runs import ROOMS
from transferlens.core import labelled
from transferlens.core.capability import Capability, Features
from transferlens.core.errors import ArtefactError
from transferlens.core.run import Run
from transferlens.training import engine, features, networks, reading, source, transfer
from transferlens.training.artefacts import ADAPTED_FEATURES, FEATURES
from transferlens.training.recipes.settings.plain import FullSettings

CPU = torch.device("cpu")
SHORT = changed(TRAINING, epochs=1)
FULL = FullSettings(training=SHORT)


@pytest.fixture
def shards(textures, tmp_path):
    """Two shards of a study, of two source models and of one."""
    _, train, val = textures
    paths = []
    for first, masks in ((0, [[1, 1, 1], [1, 1, 0]]), (2, [[0, 1, 1]])):
        paths.append(tmp_path / f"source-{first}.h5")
        table, labels = rows_of(masks, range(first, first + len(masks)), first), train.examples.labels
        source.train_shard(paths[-1], table, labels, list(CLASSES), train, val, ARCHITECTURE, FULL, False)
    return paths


@pytest.fixture
def extracted(shards, textures, tmp_path):
    """The features of each shard on the val images."""
    made, _, val = textures
    paths = [tmp_path / f"features-{i}.h5" for i in range(len(shards))]
    for path, shard in zip(paths, shards, strict=True):
        features.write_features(path, shard, val, made.class_names, ARCHITECTURE)
    return paths


def assert_of(network, stored, images):
    """Stored features are the network's own to the bit, and its logits follow from them."""
    np.testing.assert_array_equal(stored.features, engine.evaluate(network.backbone, images).numpy())
    np.testing.assert_array_equal(stored.weight, network.head.weight.detach().numpy())
    np.testing.assert_array_equal(stored.bias, network.head.bias.detach().numpy())
    logits = engine.evaluate(network, images)
    assert stored.logits.dtype == np.float32
    np.testing.assert_allclose(stored.logits, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(stored.logits.argmax(1), logits.argmax(1))


def test_features_of_source_models_are_those_of_a_forward_pass(shards, extracted, textures):
    _, _, val = textures
    models = list(reading.model_features(extracted, [2, 0]))
    expected = list(networks.source_networks(shards, ARCHITECTURE, CPU, [2, 0]))
    for network, stored in zip(expected, models, strict=True):
        assert_of(network, stored, val)
    assert not np.array_equal(models[0].features, models[1].features)
    assert reading.feature_rows(extracted).numbers.tolist() == [0, 1, 2]
    with pytest.raises(ArtefactError, match="row 3 is in none of these 2 shards"):
        next(reading.model_features(extracted, [3]))


def test_features_say_what_they_are_of(extracted, textures):
    made, _, val = textures
    stored = labelled.read(extracted[0], FEATURES)
    assert stored.features.dims == ("model", "example", "feature")
    assert stored.example.values.tolist() == val.examples.ids
    assert stored.example_class.values.tolist() == [made.class_names[c] for c in val.examples.labels]
    assert set(stored.example_half.values.tolist()) == {"select", "report"}
    assert stored.source_class.values.tolist() == list(CLASSES)
    assert stored.mask.values.tolist() == [[True] * 3, [True, True, False]]


def test_features_of_adapted_models_may_be_of_any_images(shards, textures, tmp_path):
    made, train, val = textures
    runs, path = tmp_path / "runs.h5", tmp_path / "adapted.h5"
    recipe = FULL
    transfer.transfer_shard(runs, shards[0], made, train, val, ARCHITECTURE, recipe, True, "global")
    features.write_adapted_features(path, shards[0], runs, train, made.class_names, ARCHITECTURE)
    expected = list(networks.adapted_networks(shards[:1], [runs], ARCHITECTURE, CPU))
    models = list(reading.model_features([path], [0, 1], ADAPTED_FEATURES))
    for both, stored in zip(expected, models, strict=True):
        assert_of(both.network, stored, train)
        assert not np.allclose(stored.features, engine.evaluate(both.source.backbone, train).numpy())
    stored = labelled.read(path, ADAPTED_FEATURES)
    assert set(stored.example_half.values.tolist()) == {"select"}
    with pytest.raises(ArtefactError, match="holds 'adapted features' where 'features' was expected"):
        reading.feature_rows([path])


class Reader(Capability):
    """Reads features of the reference study, as many as it is told."""

    def __init__(self, name, *requests):
        self.name, self.requests = name, requests

    def features(self, run):
        return self.requests


def run_with(*readers, **given):
    base = {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {"recipes": ["full"]}},
        "recipes": {"full": {"kind": "full"}},
        "studies": {"reference": {"repeats": 4, "shard_size": 2}, "influence": None},
    }
    return Run(base | given, [*ROOMS, *readers])


def jobs(run, step):
    return sorted(run.file(step.replace("_", " "), **wildcards) for wildcards in run.jobs_of(step))


def test_features_are_made_once_for_all_who_read_them():
    where = "reference", "optdigits", "train"
    run = run_with(Reader("one", Features(*where, rows=2)), Reader("two", Features(*where, rows=5)))
    place = "results/studies/reference/features/optdigits/train/{}.h5"
    assert jobs(run, "features") == [place.format(shard) for shard in ("0000", "0001", "0002")]
    everything = run_with(Reader("one", Features(*where)), Reader("two", Features(*where, rows=5)))
    assert everything.feature_shards(*where) == ["0000", "0001", "0002", "0003"]
    (job, *_) = run.jobs_of("features")
    assert run.inputs("features", job) == {
        "source": "results/studies/reference/source/0000.h5",
        "index": "results/data/optdigits/index.h5",
        "images": "results/data/optdigits/train.beton",
    }
    assert run.inputs("features", job) == everything.inputs("features", job)
    assert run.settings_of("features", job) == everything.settings_of("features", job)
    assert run.wants_gpu("features")
    assert run_with().jobs_of("features") == run.jobs_of("adapted_features") == []


def test_features_of_adapted_models_bring_their_transfers():
    """Of a study that nobody else transfers, and whose networks are kept for this alone."""
    of = ("optdigits", "full")
    studies = {"influence": {"models": 32, "shard_size": 16}}
    plain = run_with(studies=studies)
    run = run_with(
        Reader("one", Features("influence", "digits-and-clothes", "val", rows=20, of=of)), studies=studies
    )
    place = "results/studies/influence/adapted_features/optdigits/full/digits-and-clothes/val/{}.h5"
    assert jobs(run, "adapted_features") == [place.format("0000"), place.format("0001")]
    (job, *_) = run.jobs_of("adapted_features")
    (transferred,) = (
        w for w in run.jobs_of("transfer") if w["study"] == "influence" and w["shard"] == "0000"
    )
    inputs = run.inputs("adapted_features", job)
    assert inputs["transfer"] == run.file("transfer runs", **transferred)
    assert inputs["images"] == "results/data/digits-and-clothes/val.beton"
    for one, keeps in ((run, "true"), (plain, "false")):
        assert f'"keep_weights": {keeps}' in one.settings_of("transfer", transferred)
    unread = {"study": "reference", "target": "optdigits", "recipe": "full", "shard": "0000"}
    assert run.settings_of("transfer", unread) == plain.settings_of("transfer", unread)


def test_adapted_features_depend_on_how_models_are_adapted():
    of = ("optdigits", "fixed")
    recipes = {"fixed": {"kind": "fixed"}, "full": {"kind": "full"}}
    run = run_with(
        Reader("one", *(Features("reference", "optdigits", "val", of=(of[0], recipe)) for recipe in recipes)),
        targets={"optdigits": {"recipes": list(recipes)}},
        recipes=recipes,
    )
    first = {w["recipe"]: w for w in run.jobs_of("adapted_features") if w["shard"] == "0000"}
    assert run.code_of("adapted_features", first["fixed"]) != run.code_of("adapted_features", first["full"])

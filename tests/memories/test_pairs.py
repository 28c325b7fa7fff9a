"""Pairs of models: the full and the scratch model of the same repeat, whatever shards they lie in."""

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Rows
from transferlens.counterfactual import label_mapping
from transferlens.memories import pairs
from transferlens.training import engine, networks, source, transfer
from transferlens.training.recipes.settings import FullSettings

CPU = torch.device("cpu")
SHORT = changed(TRAINING, epochs=1)


@pytest.fixture(scope="module")
def study(dataset, tmp_path_factory):
    """The reference study of two repeats in shards of three and one, and its transfer runs."""
    from tests.conftest import INPUT
    from transferlens.data import pipeline

    made, files = dataset
    train, val = (pipeline.open_images(files["raw"][s], made.split(s), INPUT, CPU) for s in ("train", "val"))
    labels, place = ["full-0", "scratch-0", "full-1", "scratch-1"], tmp_path_factory.mktemp("study")
    shards = []
    for shard, numbers in (("0", [0, 1, 2]), ("1", [3])):
        masks = np.repeat([[row % 2 == 0] for row in numbers], 3, axis=1)
        names = [labels[row] for row in numbers]
        rows = Rows(masks, np.array(numbers), np.array(numbers) // 2, names, list(CLASSES), [""] * 3)
        paths = place / f"s{shard}.h5", place / f"t{shard}.h5"
        given = list(CLASSES), train, val, ARCHITECTURE, SHORT, False
        source.train_shard(paths[0], rows, train.examples.labels, *given, config={}, inputs=[])
        recipe = FullSettings(training=SHORT)
        adaptation = made, train, val, ARCHITECTURE, recipe, True, "global"
        transfer.transfer_shard(paths[1], paths[0], *adaptation, config={}, inputs=[])
        shards.append(paths)
    return shards, train


def assert_same(network, expected):
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_pairs_are_the_models_of_a_repeat(study):
    shards, _ = study
    sources, transfers = zip(*shards, strict=True)
    models = list(networks.adapted_networks(sources, transfers, ARCHITECTURE, CPU))
    found = list(pairs.read_pairs(shards, None, ARCHITECTURE, 2, CPU))
    for pair, full, scratch in zip(found, models[::2], models[1::2], strict=True):
        assert_same(pair.source, full.source)
        assert_same(pair.fine_tuned, full.network)
        assert_same(pair.scratch, scratch.network)
        assert not pair.fine_tuned.training
    assert not torch.equal(found[0].fine_tuned.head.weight, found[1].fine_tuned.head.weight)


def test_a_pretrained_model_takes_the_place_of_the_full_ones(study):
    shards, _ = study
    first = next(pairs.read_pairs(shards, None, ARCHITECTURE, 1, CPU))
    found = list(pairs.read_pairs(shards, shards[0], ARCHITECTURE, 2, CPU))
    assert len(found) == 2
    for pair in found:
        assert_same(pair.fine_tuned, first.fine_tuned)
    with pytest.raises(ConfigError, match="3 pairs are asked for, the reference study has 2"):
        next(pairs.read_pairs(shards, None, ARCHITECTURE, 3, CPU))


def test_labels_are_mapped_by_the_models_that_saw_all(study, tmp_path):
    shards, train = study
    sources = [paths[0] for paths in shards]
    path = tmp_path / "m.h5"
    label_mapping.write_label_mapping(path, sources, train, ARCHITECTURE, config={}, inputs=[])
    counts = []
    for network in networks.source_networks(sources, ARCHITECTURE, CPU, [0, 2]):
        counts.append(np.bincount(engine.evaluate(network, train).argmax(1).numpy(), minlength=3))
    np.testing.assert_array_equal(label_mapping.read_label_mapping(path), np.mean(counts, 0))

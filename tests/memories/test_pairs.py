"""Pairs of models: the full and the scratch model of the same repeat, whatever shards they lie in."""

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Reference
from transferlens.data.units import Units
from transferlens.memories import pairs
from transferlens.training import networks, source, transfer
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
    units, place = Units(list(CLASSES), [""] * 3, np.arange(3)), tmp_path_factory.mktemp("study")
    shards = []
    for shard, numbers in (("0", range(3)), ("1", range(3, 4))):
        rows = Reference.draw({"seed": 0}, units, numbers, {}, made)
        paths = place / f"s{shard}.h5", place / f"t{shard}.h5"
        given = list(CLASSES), train, val, ARCHITECTURE, SHORT, False
        source.train_shard(paths[0], rows, train.examples.labels, *given)
        recipe = FullSettings(training=SHORT)
        adaptation = made, train, val, ARCHITECTURE, recipe, True, "global"
        transfer.transfer_shard(paths[1], paths[0], *adaptation)
        shards.append(paths)
    return shards, train


def assert_same(network, expected):
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_pairs_are_the_models_of_a_repeat(study):
    shards, _ = study
    sources, transfers = zip(*shards, strict=True)
    models = list(networks.adapted_networks(sources, transfers, ARCHITECTURE, CPU))
    found = list(pairs.read_pairs(*zip(*shards, strict=True), None, ARCHITECTURE, range(2), CPU))
    for pair, full, scratch in zip(found, models[::2], models[1::2], strict=True):
        assert_same(pair.source, full.source)
        assert_same(pair.fine_tuned, full.network)
        assert_same(pair.scratch, scratch.network)
        assert not pair.fine_tuned.training
    assert not torch.equal(found[0].fine_tuned.head.weight, found[1].fine_tuned.head.weight)
    (second,) = pairs.read_pairs(*zip(*shards, strict=True), None, ARCHITECTURE, range(1, 2), CPU)
    assert_same(second.fine_tuned, models[2].network)
    assert_same(second.scratch, models[3].network)


def test_no_pair_sees_both_halves():
    settings = {"models": 3, "choosing": 2}
    assert pairs.repeats_of("report", settings) == range(3)
    assert pairs.repeats_of("select", settings) == range(3, 5)
    assert pairs.halves_seen({"models": 3, "choosing": 0}) == ["report"]


def test_a_pretrained_model_takes_the_place_of_the_full_ones(study):
    shards, _ = study
    first = next(pairs.read_pairs(*zip(*shards, strict=True), None, ARCHITECTURE, range(1), CPU))
    found = list(pairs.read_pairs(*zip(*shards, strict=True), shards[0], ARCHITECTURE, range(2), CPU))
    assert len(found) == 2
    for pair in found:
        assert_same(pair.fine_tuned, first.fine_tuned)
    with pytest.raises(ConfigError, match="3 pairs are asked for, the reference study has 2"):
        next(pairs.read_pairs(*zip(*shards, strict=True), None, ARCHITECTURE, range(1, 3), CPU))

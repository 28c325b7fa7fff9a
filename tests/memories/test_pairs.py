"""Pairs of models: the full and the scratch model of the same repeat, whatever shards they lie in."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Pretrained, Reference
from transferlens.data import pipeline
from transferlens.data.units import Units
from transferlens.memories import pairs
from transferlens.training import networks, pretrained, source, transfer
from transferlens.training.recipes.settings.plain import FullSettings

CPU = torch.device("cpu")
SHORT = changed(TRAINING, epochs=1)


@pytest.fixture(scope="module")
def study(dataset, tmp_path_factory):
    """The reference study of two repeats in shards of three and one, and its transfer runs."""
    made, files = dataset
    train, val = (pipeline.open_images(files["raw"][s], made.split(s), INPUT, CPU) for s in ("train", "val"))
    units, place = Units(list(CLASSES), [""] * 3, np.arange(3)), tmp_path_factory.mktemp("study")
    shards = []
    for shard, numbers in (("0", range(3)), ("1", range(3, 4))):
        rows = Reference.draw({"seed": 0}, units, numbers, {}, made)
        paths = place / f"s{shard}.h5", place / f"t{shard}.h5"
        recipe = FullSettings(training=SHORT)
        given = list(CLASSES), train, val, ARCHITECTURE, recipe, False
        source.train_shard(paths[0], rows, train.examples.labels, *given)
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
    found = list(pairs.read_pairs(*zip(*shards, strict=True), ARCHITECTURE, range(2), CPU))
    for pair, full, scratch in zip(found, models[::2], models[1::2], strict=True):
        assert_same(pair.source, full.source)
        assert_same(pair.fine_tuned, full.network)
        assert_same(pair.scratch, scratch.network)
        assert not pair.fine_tuned.training
    assert not torch.equal(found[0].fine_tuned.head.weight, found[1].fine_tuned.head.weight)
    (second,) = pairs.read_pairs(*zip(*shards, strict=True), ARCHITECTURE, range(1, 2), CPU)
    assert_same(second.fine_tuned, models[2].network)
    assert_same(second.scratch, models[3].network)


def test_no_pair_sees_both_halves():
    settings = {"models": 3, "choosing": 2}
    assert pairs.repeats_of("report", settings) == range(3)
    assert pairs.repeats_of("select", settings) == range(3, 5)
    assert pairs.halves_seen({"models": 3, "choosing": 0}) == ["report"]


def test_more_pairs_than_there_are(study):
    shards, _ = study
    with pytest.raises(ConfigError, match="3 pairs are asked for, the study has 2"):
        next(pairs.read_pairs(*zip(*shards, strict=True), ARCHITECTURE, range(1, 3), CPU))


def test_fine_tunings_of_given_weights_are_paired_with_models_from_scratch(dataset, tmp_path):
    """One source for all, adapted with seeds of its own; scratch models start where the reference's do."""
    made, files = dataset
    train, val = (pipeline.open_images(files["raw"][s], made.split(s), INPUT, CPU) for s in ("train", "val"))
    given = source.initial_network(ARCHITECTURE, 3, 11)
    torch.save(given.state_dict(), tmp_path / "w.pt")
    units = Units(list(CLASSES), [""] * 3, np.arange(3))
    rows = Pretrained.draw({"seed": 0}, units, range(4), {}, made)
    weights = list(CLASSES), pretrained.Given(str(tmp_path / "w.pt")), None, None, val, ARCHITECTURE
    pretrained.load_pretrained(tmp_path / "s.h5", rows, *weights)
    adaptation = made, train, val, ARCHITECTURE, FullSettings(training=SHORT), True, "global"
    transfer.transfer_shard(tmp_path / "t.h5", tmp_path / "s.h5", *adaptation)
    found = list(pairs.read_pairs([tmp_path / "s.h5"], [tmp_path / "t.h5"], ARCHITECTURE, range(2), CPU))
    for pair in found:
        assert_same(pair.source, given)
    heads = [tensor for pair in found for tensor in (pair.fine_tuned.head.weight, pair.scratch.head.weight)]
    assert not any(torch.equal(a, b) for a, b in combinations(heads, 2))
    reference = Reference.draw({"seed": 0}, units, range(4), {}, made)
    np.testing.assert_array_equal(rows.training_seeds, reference.training_seeds)
    np.testing.assert_array_equal(rows.masks, reference.masks)
    assert rows.roles == ["pretrained", "scratch"] * 2

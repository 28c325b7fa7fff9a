"""The published protocol: every epoch and head is tried, and the run stays the house's own."""

import numpy as np
import pytest

from tests.comparison.sources import start_of, write_sources
from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed
from tests.training.adapting import assert_same
from tests.training.test_resumption import SEED, Interrupted, interrupt_after, network
from transferlens.comparison.tuning import published
from transferlens.comparison.tuning.part import Part
from transferlens.comparison.tuning.published import OWN, EveryEpoch
from transferlens.core import artefacts
from transferlens.training import resumption, transfer
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import KINDS, read
from transferlens.training.resumption import NOTHING
from transferlens.training.runs import Job

QUICK = changed(TRAINING, epochs=2, crop="random_resized", flip=True)
# Those with networks or modules beside the one that is trained, or with more than a phase.
TOLD_APART = {
    "fixed": {},
    "wise_ft": {"batchnorm": "train"},
    "lora": {},
    "ema": {},
    "stoch_norm": {},
    "bi_tuning": {},
    "concept_tuning": {"patch_source": "feature"},
    "simclr": {},
}


def recipe_of(kind, **given):
    return read({"kind": kind, "training": QUICK.model_dump(), **given})


def report_half(val):
    return published.ReportHalf(Part(val, val.examples.halves == 1), len(CLASSES), "global")


@pytest.mark.parametrize("kind", TOLD_APART)
def test_looking_at_every_epoch_changes_no_bit(textures, kind):
    """Of any recipe, with a network that draws at random."""
    _, train, val = textures
    recipe, every = recipe_of(kind, **TOLD_APART[kind]), EveryEpoch(test=report_half(val))
    data = Data(train, np.arange(len(train)))
    (looked,) = train_block([Job(network, data, recipe, SEED, network, every)])
    (alone,) = train_block([Job(network, data, recipe, SEED, network)])
    assert_same(looked.network, alone.network)
    assert list(every.told) == list(range(1, 1 + KINDS[kind].epochs(recipe)))


@pytest.fixture(scope="module")
def shard(dataset, tmp_path_factory):
    """Two source models."""
    return write_sources(tmp_path_factory.mktemp("published") / "s.h5", dataset)


def as_published(path, shard, textures, recipe, models=2, minutes=None):
    _, train, val = textures
    progress = resumption.Progress(path, minutes, "identity")
    starts = transfer.starts([shard], ARCHITECTURE, range(models))
    published.as_published(path, starts, range(models), train, report_half(val), recipe, progress)
    with artefacts.open(path, published.PUBLISHED) as file:
        return file["accuracy"][:], artefacts.names(file["head"])


def house_s_own(path, shard, textures, recipe):
    """Accuracy on the report half of transfers."""
    transfer.transfer_shard(path, shard, *textures, ARCHITECTURE, recipe, False, "global")
    with artefacts.open(path) as file:
        return file["accuracy"][:, 1]


def test_the_last_epoch_is_that_of_the_house_s_transfer(textures, shard, tmp_path):
    """`wise_ft`: what is evaluated is another network than the one that is trained."""
    recipe = recipe_of("wise_ft")
    accuracy, heads = as_published(tmp_path / "p.h5", shard, textures, recipe)
    assert heads == [OWN]
    np.testing.assert_array_equal(accuracy[:, -1, 0], house_s_own(tmp_path / "t.h5", shard, textures, recipe))


def test_heads_on_a_backbone_that_stays_are_asked_as_whole_networks_are(textures, shard):
    """The features of the report half are made once, not after every epoch."""
    _, train, val = textures
    recipe, every = recipe_of("fixed"), EveryEpoch(test=report_half(val))
    with start_of(shard) as start:
        told = published.tried(start, train, report_half(val), recipe, NOTHING)
        list(train_block([start.job(Data(train, np.arange(len(train))), len(CLASSES), recipe, every)]))
    assert told == every.told


def test_a_second_head_is_tried_as_if_it_were_the_networks(textures, shard, tmp_path):
    """Training is the same with either head, so that what one calls its own is the other's further one."""
    heads, told = ("classifier", "bottleneck"), []
    for head, other in (heads, heads[::-1]):
        recipe = recipe_of("concept_tuning", patch_source="feature", head=head)
        accuracy, named = as_published(tmp_path / f"{head}.h5", shard, textures, recipe, models=1)
        assert named == [OWN, other]
        told.append(accuracy)
    np.testing.assert_array_equal(told[0], told[1][:, :, ::-1])


@pytest.mark.parametrize("after", [3, 14])
def test_a_killed_job_goes_on_to_the_house_s_accuracies(textures, shard, tmp_path, monkeypatch, after):
    """In its first model, and in its second; all epochs are there."""
    recipe, path = recipe_of("full"), tmp_path / "p.h5"
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(Interrupted):
            as_published(path, shard, textures, recipe, minutes=0.0)
    again, _ = as_published(path, shard, textures, recipe, minutes=0.0)
    whole, _ = as_published(tmp_path / "whole.h5", shard, textures, recipe)
    np.testing.assert_array_equal(again, whole)

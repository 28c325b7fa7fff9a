"""The published protocol: every epoch and head is tried, and the run stays the house's own."""

import h5py
import numpy as np
import pytest

from tests.comparison.sources import write_sources
from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed
from tests.training.adapting import assert_same
from tests.training.test_resumption import SEED, Interrupted, interrupt_after, network
from transferlens.comparison.tuning import published
from transferlens.comparison.tuning.part import Part
from transferlens.comparison.tuning.published import OWN, EveryEpoch
from transferlens.core import artefacts
from transferlens.training import resumption, transfer
from transferlens.training.block import Job, train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import KINDS, read

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


def as_published(path, shard, textures, recipe, models=1, minutes=None):
    _, train, val = textures
    progress = resumption.Progress(path, minutes, "identity")
    starts = transfer.starts([shard], ARCHITECTURE, range(models))
    published.as_published(path, starts, range(models), train, report_half(val), recipe, progress)
    with artefacts.open(path, published.PUBLISHED) as file:
        return file["accuracy"][:], artefacts.names(file["head"])


@pytest.mark.parametrize("kind", ["fixed", "wise_ft", "lora"])
def test_the_last_epoch_is_that_of_the_house_s_transfer(textures, tmp_path, kind):
    made, train, val = textures
    shard, recipe = write_sources(tmp_path / "s.h5", textures, 2), recipe_of(kind)
    transfer.transfer_shard(tmp_path / "t.h5", shard, made, train, val, ARCHITECTURE, recipe, False, "global")
    accuracy, _ = as_published(tmp_path / "p.h5", shard, textures, recipe, models=2)
    with h5py.File(tmp_path / "t.h5") as file:
        np.testing.assert_array_equal(accuracy[:, -1, 0], file["accuracy"][:, 1])


@pytest.mark.parametrize(("head", "other"), [("classifier", "bottleneck"), ("bottleneck", "classifier")])
def test_a_second_head_is_tried_as_if_it_were_the_networks(textures, tmp_path, head, other):
    """Training is the same with either head, so that what one calls its own is the other's further one."""
    shard = write_sources(tmp_path / "s.h5", textures, 1)
    given = {"kind": "concept_tuning", "patch_source": "feature"}
    one, heads = as_published(tmp_path / "a.h5", shard, textures, recipe_of(**given, head=head))
    two, _ = as_published(tmp_path / "b.h5", shard, textures, recipe_of(**given, head=other))
    assert heads == [OWN, other]
    np.testing.assert_array_equal(one[:, :, 0], two[:, :, 1])


@pytest.mark.parametrize("after", [3, 14])
def test_a_killed_job_goes_on_to_the_same_accuracies(textures, tmp_path, monkeypatch, after):
    """In its first model, and in its second."""
    shard, recipe = write_sources(tmp_path / "s.h5", textures, 2), recipe_of("full")
    whole, _ = as_published(tmp_path / "whole.h5", shard, textures, recipe, models=2)
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(Interrupted):
            as_published(tmp_path / "p.h5", shard, textures, recipe, models=2, minutes=0.0)
    again, _ = as_published(tmp_path / "p.h5", shard, textures, recipe, models=2, minutes=0.0)
    np.testing.assert_array_equal(again, whole)

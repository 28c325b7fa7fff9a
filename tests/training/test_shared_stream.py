"""Models trained in turn on one stream of images: each is what it is alone, after a kill, too."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, changed, rows_of
from tests.training.test_resumption import Interrupted, interrupt_after
from transferlens.capabilities import run_of
from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.settings import ResizeSettings
from transferlens.data import ffcv_files, pipeline
from transferlens.data.shared import Drawn, Share, SharedImages
from transferlens.training import interleaved, resumption, source
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.block import train_block
from transferlens.training.capability import TRAIN_SOURCE
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import read
from transferlens.training.runs import Job
from transferlens.training.sequential import sequential

CPU = torch.device("cpu")
# The second epoch is larger, and begins in the second pass of each model.
GROWING = changed(
    TRAINING,
    epochs=2,
    crop="random_resized",
    flip=True,
    resize=ResizeSettings(low=20, high=28, start=0, end=1),
)
# Unequal numbers of images, so of steps; one model of none; the last two see none together.
SEEN = [np.arange(90), np.arange(0, 90, 2), np.arange(0), np.arange(0, 40), np.arange(40, 90)]


@pytest.fixture(scope="module")
def images(dataset):
    made, files = dataset
    return SharedImages(files["jpg"]["train"], made.train, changed(INPUT, loading="shared"), CPU, 7)


def network(seed):
    """With dropout, which draws from torch's own generator in every step."""
    made = source.initial_network(ARCHITECTURE, 3, seed).to(memory_format=torch.channels_last)
    made.backbone.append(nn.Dropout(0.2))
    return made


def job(images, number, steps=None, kind="full", training=GROWING, kept=resumption.NOTHING):
    recipe = read({"kind": kind, "training": training})
    return Job(lambda: network(number), Data(images, SEEN[number], steps), recipe, 10 + number, kept=kept)


def content(trained):
    return {**trained.network.state_dict(), "log": torch.from_numpy(trained.log)}


def assert_same(found, expected):
    torch.testing.assert_close(content(found), content(expected), rtol=0, atol=0)


@pytest.fixture(scope="module")
def alone(images):
    """Every model by itself, one after the other."""
    return list(sequential([job(images, number) for number in range(len(SEEN))]))


def test_random_crops_are_drawn_by_the_image(images):
    """Those of an image do not depend on others; no two images, passes or seeds draw alike."""
    two_passes = [shared_batches_of(images, number, [whole(SEEN[0])])[0] for number in (0, 1)]
    orders = [Drawn.of(images.seed, number, 90, GROWING).order for number in (0, 1)]
    first, second = (two_passes[number][np.argsort(orders[number])] for number in (0, 1))
    assert not (first == second).flatten(1).all(1).any()
    part = shared_batches_of(images, 0, [whole(SEEN[4]), whole(SEEN[3])])[1]
    own = orders[0][np.isin(orders[0], SEEN[3])]
    assert torch.equal(part, first[own])


def whole(positions):
    return Share(positions, 2, 0, len(positions) // 2)


def shared_batches_of(images, number, shares):
    """The images of every share, in their order."""
    found = [[] for _ in shares]
    for model, (batch, _) in images.shared_batches(number, 28, GROWING, shares):
        found[model].append(batch)
    return [torch.cat(batches) for batches in found]


@pytest.mark.parametrize("models", [1, 2, 3, 8])
def test_a_model_is_the_same_for_any_size_of_block(images, alone, models):
    torch.manual_seed(models)  # whatever was drawn before
    together = train_block((job(images, number) for number in range(len(SEEN))), models)
    for found, expected in zip(together, alone, strict=True):
        assert_same(found, expected)
        assert found.implementation == interleaved.INTERLEAVED


def test_a_model_is_the_same_with_any_neighbours_and_in_any_place(images, alone):
    for numbers in ([4, 0], [3, 1, 4]):
        together = train_block([job(images, number) for number in numbers], 8)
        for number, found in zip(numbers, together, strict=True):
            assert_same(found, alone[number])


def test_models_of_as_many_steps_make_further_passes(images):
    """Of five steps an epoch, a model of two batches a pass begins its fifth pass in the second epoch."""
    jobs = [job(images, number, steps=5) for number in (0, 1, 3)]
    for found, expected in zip(train_block(jobs, 8), sequential(jobs), strict=True):
        assert_same(found, expected)


def test_other_recipes_of_one_view_share_and_features_are_their_own(images):
    with ffcv_files._compiling(False):
        for kind in ("adversarial", "fixed"):
            jobs = [job(images, number, kind=kind, training=changed(GROWING, epochs=1)) for number in (0, 1)]
            found = list(train_block(jobs, 8))
            for one, expected in zip(found, sequential(jobs), strict=True):
                assert_same(one, expected)


def test_models_wait_for_each_other_and_look_at_one_stream(images, monkeypatch):
    """In a pass that two models take at one resolution, its images are decoded for both at once."""
    passes = []
    of_pass = SharedImages.shared_batches

    def noted(self, number, resolution, training, shares):
        passes.append((number, resolution, [len(share.positions) for share in shares]))
        return of_pass(self, number, resolution, training, shares)

    monkeypatch.setattr(SharedImages, "shared_batches", noted)
    list(train_block([job(images, number) for number in (0, 1, 3)], 8))
    assert passes == [(0, 20, [90, 45, 40]), (1, 28, [90, 45, 40])]
    passes.clear()
    list(train_block([job(images, number, steps=4) for number in (1, 3)], 8))
    assert passes == [(0, 20, [45, 40]), (1, 20, [45, 40]), (2, 28, [45, 40]), (3, 28, [45, 40])]


@pytest.mark.parametrize("after", [1, 9, 22])
def test_a_killed_block_goes_on_to_the_same_bits(images, alone, tmp_path, monkeypatch, after):
    """Its models are kept at steps of their own: all of them in each turn."""

    def run():
        progress = resumption.Progress(tmp_path / "models.h5", 0.0, "identity")
        jobs = [job(images, number, kept=progress.of(number)) for number in range(len(SEEN))]
        return list(train_block(jobs, 3))

    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(Interrupted):
            run()
    torch.manual_seed(99)  # another process begins with another generator
    for found, expected in zip(run(), alone, strict=True):
        assert_same(found, expected)


def test_every_run_in_progress_is_kept_in_its_turn(tmp_path, monkeypatch):
    """That one has just been kept puts off no other."""
    now = [0.0]
    monkeypatch.setattr(resumption.time, "monotonic", lambda: now[0])
    progress = resumption.Progress(tmp_path / "models.h5", 1.0, "identity")
    first, second = (progress.of(number).of_run(0) for number in range(2))
    now[0] = 60.0
    assert first.due()
    first.keep_state({})
    assert not first.due()
    assert second.due()


def test_a_shard_is_trained_in_blocks_and_evaluated(images, dataset, tmp_path, monkeypatch):
    made, files = dataset
    val = pipeline.open_images(files["jpg"]["val"], made.val, INPUT, CPU)
    recipe = read({"kind": "full", "training": GROWING})
    given = rows_of([[1, 1, 1], [1, 0, 1], [0, 0, 0]]), images.examples.labels, list(CLASSES), images, val
    blocks = []

    def counted(trainings, device, real=interleaved.in_turn):
        blocks.append(len(trainings))
        return real(trainings, device)

    monkeypatch.setattr(interleaved, "in_turn", counted)
    paths = [tmp_path / f"{models}.h5" for models in (1, 3)]
    for models, path in zip((1, 3), paths, strict=True):
        source.train_shard(path, *given, ARCHITECTURE, recipe, False, [0, 4], at_once=models)
    assert blocks == [1, 1, 1, 3]
    with artefacts.open(paths[0], SOURCE_MODELS) as one, artefacts.open(paths[1], SOURCE_MODELS) as three:
        assert one.attrs["implementation"] == interleaved.INTERLEAVED
        arrays = []
        one.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in arrays:
            np.testing.assert_array_equal(one[name][()], three[name][()])
        assert one["train_images"][()].tolist() == [90, 60, 0]


def planned(loading, **training):
    """A digits run that loads its images so."""
    return run_of(
        {
            "source": "digits",
            "targets": {"optdigits": {"recipes": ["fixed"]}},
            "input": {"resolution": 28, "loading": loading},
            "source_training": training,
        }
    )


def test_the_order_is_of_the_run_and_decides_results_only_where_it_is_shared():
    shard = {"study": "reference", "shard": "00000"}
    assert TRAIN_SOURCE.settings(planned("shared"), shard)["order_seed"] == planned("shared").seed
    assert "order_seed" not in TRAIN_SOURCE.settings(planned("streaming"), shard)


def test_elsewhere_shared_images_are_streamed(dataset):
    made, files = dataset
    given = files["jpg"]["val"], made.val, changed(INPUT, loading="shared"), CPU
    assert type(pipeline.open_images(*given)) is pipeline.StreamingImages


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"objective": "simclr"}, r"source_training\.objective simclr takes two"),
        ({"implementation": "grouped"}, r"source_training\.implementation is grouped; set it to auto"),
    ],
)
def test_what_cannot_share_is_refused_before_anything_runs(training, message):
    with pytest.raises(ConfigError, match=message):
        planned("shared", **training)

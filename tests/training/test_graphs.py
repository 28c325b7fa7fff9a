"""Models side by side: all of `graphs` but what needs a GPU, which is to record a step and do it again.

The steps are computed as they are asked for, on the buffers and tensors that a GPU would record.
"""

import copy
import itertools
import weakref
from collections import defaultdict
from functools import partial

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, changed, rows_of
from tests.training.adapting import SEED, assert_same, initial, settings
from transferlens.core.errors import ConfigError, DeviceError, NumericalError
from transferlens.core.settings import ResizeSettings
from transferlens.data import pipeline
from transferlens.training import block, engine, resumption, source
from transferlens.training.block import train_block
from transferlens.training.graphs import side_by_side
from transferlens.training.recipes.base import Data
from transferlens.training.runs import Job
from transferlens.training.static_step import StaticStep

AUGMENTED = changed(TRAINING, epochs=2, crop="random_resized", flip=True)
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore text")
SIZES = (50, 34, 20)  # images of each model: 3, 2 and 1 steps an epoch
STEPS = 12  # of all


@pytest.fixture(scope="module")
def images(dataset):
    """Of the training split, resident."""
    made, files = dataset
    split = made.split("train")
    return pipeline.open_images(files["raw"]["train"], split, INPUT, torch.device("cpu"))


@pytest.fixture(scope="module")
def expected(images):
    """The three models, one after the other."""
    return list(train_block(jobs_of(images)))


def job(images, model=0, training=AUGMENTED, network=initial, size=None, **others):
    """Of a model with images and a seed of its own."""
    positions = np.random.default_rng(model).permutation(len(images))[: size or SIZES[model]]
    recipe = others.pop("recipe", None) or settings("full", training)
    return Job(network, Data(images, np.sort(positions)), recipe, SEED + model, network, **others)


def jobs_of(images, *given, **others):
    """Those of the three models."""
    return [job(images, model, *given, **others) for model in range(3)]


def together(jobs, models=8):
    return list(side_by_side(jobs, models, StaticStep))


def assert_equal(found, expected, implementation="graphs"):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_same(one.network, other.network)
        np.testing.assert_array_equal(one.log, other.log)
        assert implementation is None or one.implementation == implementation


RECIPES = {
    "nesterov, clipped": {"nesterov": True, "clip": 0.5, "crop": "translate"},
    "no momentum": {"momentum": 0, "label_smoothing": 0.1, "flip": False, "crop": "none"},
    "adamw": {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "class_weighted": True},
}


@pytest.mark.parametrize("name", RECIPES)
def test_models_side_by_side_have_the_bits_of_one_after_the_other(images, name):
    """Logs included, with unequal numbers of steps."""
    training = changed(AUGMENTED, **RECIPES[name])
    assert_equal(together(jobs_of(images, training)), list(train_block(jobs_of(images, training))))


def test_learning_rates_of_parts_are_their_own(images):
    recipe = settings("full", AUGMENTED, backbone_rate=0.1, batchnorm="eval")
    assert_equal(together([job(images, recipe=recipe)]), list(train_block([job(images, recipe=recipe)])))


def test_a_model_is_the_same_whatever_its_neighbours(images, expected):
    for models in (1, 2):
        assert_equal(together(jobs_of(images), models), expected)
    assert_equal(together(jobs_of(images)[::-1]), expected[::-1])


def test_jobs_are_asked_for_when_there_is_room(images):
    """The first takes six steps, the others two: they wait for their turn, and no others begin."""
    asked = []

    def jobs():
        for number, model in enumerate((0, 2, 2, 2)):
            asked.append(number)
            yield job(images, model)

    models = side_by_side(jobs(), 3, StaticStep)
    next(models)
    assert asked == [0, 1, 2]
    assert len(list(models)) == 3


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("after", [3, 9])
def test_an_interrupted_block_goes_on_to_the_same_bits(images, tmp_path, monkeypatch, after):
    """With what it kept along the way, and without the steps that were taken."""

    def jobs(minutes, into):
        progress = resumption.Progress(tmp_path / "runs.h5", minutes, "identity")
        for i in range(3):
            found = into[i]

            def keep(position, network, found=found):
                found[position] = copy.deepcopy(network.state_dict())

            yield job(
                images, i, kept=progress.of(i), checkpoints=engine.Checkpoints((0, 2, 5), keep, found.get)
            )

    whole, again = defaultdict(dict), defaultdict(dict)
    expected = list(train_block(jobs(None, whole)))
    kept = interrupt_after(monkeypatch, after)
    with pytest.raises(Interrupted):
        list(side_by_side(jobs(0.0, defaultdict(dict)), 2, StaticStep))
    monkeypatch.undo()
    torch.manual_seed(99)  # another process begins with another generator
    steps = count_steps(monkeypatch)
    found = list(side_by_side(jobs(0.0, again), 2, StaticStep))
    assert_equal(found, expected, implementation=None)
    torch.testing.assert_close(again, whole, rtol=0, atol=0)
    assert len(steps) == STEPS - sum(kept.values())


def interrupt_after(monkeypatch, saves):
    """Raise after so many states were kept; returns the steps of each run that are kept."""
    kept, keep_state, keep_outcome = {}, resumption.Kept.keep_state, resumption.Kept.keep_outcome
    count = itertools.count(1)

    def state(self, state):
        keep_state(self, state)
        kept[self._name] = state["standing"]["done"]
        if next(count) == saves:
            raise Interrupted

    def outcome(self, outcome):
        keep_outcome(self, outcome)
        kept[self._name] += 1  # the last step, after which no state was kept

    monkeypatch.setattr(resumption.Kept, "keep_state", state)
    monkeypatch.setattr(resumption.Kept, "keep_outcome", outcome)
    return kept


def count_steps(monkeypatch):
    """A list that grows by one with every step of a run."""
    steps, count = [], engine.Standing.count
    monkeypatch.setattr(engine.Standing, "count", lambda self: steps.append(0) or count(self))
    return steps


def short_of_memory(monkeypatch, most):
    """Let a flight that is the `most`-th or later run out of memory when it begins."""
    begin, flying = StaticStep.begin, weakref.WeakSet()

    def limited(self, standing):
        if len(flying) >= most:
            raise FULL
        begin(self, standing)
        flying.add(self)

    monkeypatch.setattr(StaticStep, "begin", limited)


def test_a_model_for_which_there_is_no_room_begins_later(images, expected, monkeypatch, caplog):
    short_of_memory(monkeypatch, most=2)
    assert_equal(together(jobs_of(images)), expected)
    assert (
        "out of memory with 3 models in flight (CUDA out of memory. Tried to allocate 2 GiB): from here on"
        in (caplog.text)
    )
    assert len(caplog.records) == 1


@pytest.mark.parametrize("at", [(0, 2), (1, 1)])
def test_the_newest_model_waits_and_goes_on_when_memory_runs_out(images, expected, monkeypatch, caplog, at):
    """In the third batch of the first model, or in the second of the other, which is the newest itself."""
    (model, batch), failed = at, []
    training_batches = pipeline.ResidentImages.training_batches

    def failing(self, one):
        for number, made in enumerate(training_batches(self, one)):
            if one.seed == SEED + model and number == batch and len(failed) < 1:
                failed.append(one)
                raise FULL
            yield made

    monkeypatch.setattr(pipeline.ResidentImages, "training_batches", failing)
    steps = count_steps(monkeypatch)
    assert_equal(together(jobs_of(images), 2), expected)
    assert len(failed) == 1
    assert len(steps) == STEPS
    assert caplog.text.count("from here on at most 1; results are the same") == 1


def test_a_model_that_does_not_fit_by_itself_is_named(images, monkeypatch):
    short_of_memory(monkeypatch, most=0)
    with pytest.raises(
        ConfigError,
        match=r"a single model in flight, at batch_size 16 and 28 px .*choose training.implementation",
    ):
        together([job(images)])


def with_dropout():
    network = initial()
    network.backbone.append(nn.Dropout(0.2))
    return network


APART = {
    "dropout": (lambda images: job(images, network=with_dropout), "its network draws at random"),
    "another recipe": (lambda images: job(images, recipe=settings("fixed", AUGMENTED)), "recipe 'fixed' is"),
    "growing images": (
        lambda images: job(
            images, training=changed(AUGMENTED, resize=ResizeSettings(start=0, end=1, low=32, high=32))
        ),
        "training.resize",
    ),
}


@pytest.mark.parametrize("name", APART)
def test_what_cannot_be_recorded_is_trained_by_itself(images, name, caplog):
    """In its place among others, and the log says why, once."""
    caplog.set_level("INFO")
    make, reason = APART[name]

    def jobs():
        return [job(images, 1), make(images), make(images), job(images, 2)]

    expected = list(train_block(jobs()))
    found = together(jobs())
    assert_equal(found, expected, implementation=None)
    assert [one.implementation for one in found] == ["graphs", "sequential", "sequential", "graphs"]
    assert caplog.text.count("trained one by one") == caplog.text.count(reason) == 1


def test_a_shard_is_the_same_with_its_checkpoints(textures, tmp_path, monkeypatch):
    """Written as `train_shard` writes it, while other models are in flight."""
    made, images, val = textures
    monkeypatch.setitem(block.IMPLEMENTATIONS, "graphs", partial(side_by_side, make_step=StaticStep))
    found = []
    for name in ("sequential", "graphs"):
        recipe = settings("full", changed(AUGMENTED, epochs=1, implementation=name))
        rows, labels = rows_of([[1, 1, 1], [1, 0, 0], [0, 1, 1]]), made.train.labels
        source.train_shard(
            tmp_path / name, rows, labels, list(CLASSES), images, val, ARCHITECTURE, recipe, False,
            checkpoints=(0, 2), at_once=2,
        )  # fmt: skip
        with h5py.File(tmp_path / name) as file:
            assert file.attrs["implementation"].decode() == name
            paths = []
            file.visit(paths.append)
            found.append({path: file[path][()] for path in paths if isinstance(file[path], h5py.Dataset)})
    assert found[0].keys() == found[1].keys() >= {"log", "accuracy", "checkpoint_kept"}
    for path, values in found[0].items():
        np.testing.assert_array_equal(found[1][path], values, path)


def test_a_model_without_images_stays_as_it_is(images):
    nothing = Job(initial, Data(images, np.arange(0)), settings("full", AUGMENTED), SEED)
    _, model = together([job(images, 2), nothing])
    assert_same(model.network, initial())
    assert (model.log == 0).all()


def test_a_loss_that_is_not_finite_ends_the_block(images):
    training = changed(AUGMENTED, lr=1e30)
    with pytest.raises(NumericalError) as alone:
        list(train_block([job(images, 0, training)]))
    with pytest.raises(NumericalError) as beside:
        together([job(images, 2), job(images, 0, training)])
    assert str(beside.value) == str(alone.value)


def test_graphs_without_a_gpu_are_refused_in_one_line(images):
    with pytest.raises(
        ConfigError, match=r"training.implementation is 'graphs', .* found the device 'cpu' .*'auto'"
    ):
        list(train_block([job(images, training=changed(AUGMENTED, implementation="graphs"))], 8))


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: unspecified launch failure\nmore text"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_a_gpu_that_fails_in_the_middle_ends_the_block_with_one_line(images, error):
    with pytest.raises(DeviceError, match=r"the GPU failed .*run snakemake again") as told:
        list(train_block([job(images, network=lambda: failing(error))]))
    assert "more text" not in str(told.value)


@pytest.mark.parametrize("error", [FULL, RuntimeError("shapes do not match")])
def test_other_errors_are_no_failures_of_a_gpu(images, error):
    with pytest.raises(type(error)) as told:
        list(train_block([job(images, network=lambda: failing(error))]))
    assert told.value is error


def failing(error):
    """A network whose head raises."""

    def fail(*_):
        raise error

    network = initial()
    network.head.register_forward_pre_hook(fail)
    return network

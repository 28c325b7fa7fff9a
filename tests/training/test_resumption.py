"""Killed jobs go on to the same bits: interrupted after a step, in another phase, run or model."""

import resource

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed, rows_of
from transferlens.core.errors import ArtefactError, NumericalError
from transferlens.training import engine, resumption, source, transfer
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.kinds import KINDS, read
from transferlens.training.recipes.settings.base import RecipeKind, RecipeSettings
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.runs import Job

AUGMENTED = changed(TRAINING, epochs=2, crop="random_resized", flip=True)
SEED = 11


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def toy_kinds(monkeypatch):
    """The toys, registered as any recipe is."""
    for name, facts in {
        "MeanTeacher": {},
        "Staged": {"epochs": lambda settings: 2 * settings.training.epochs},
        "Soup": {"runs": 2},
    }.items():
        monkeypatch.setitem(
            KINDS, name, RecipeKind(name, RecipeSettings, f"tests.training.toys:{name}", **facts)
        )


def network():
    made = source.initial_network(ARCHITECTURE, 3, 0).to(memory_format=torch.channels_last)
    made.backbone.append(nn.Dropout(0.2))  # draws from the generator that is kept
    return made


def train(images, recipe, folder, minutes=0.0):
    kept = resumption.Progress(folder / "runs.h5", minutes, "identity").of(0)
    data = Data(images, np.arange(len(images)))
    (model,) = train_block([Job(network, data, recipe, SEED, network, kept=kept)])
    return model


def interrupt_after(monkeypatch, saves):
    """Raise after so many states were kept."""
    keep_state, done = resumption.Kept.keep_state, []

    def counted(self, state):
        keep_state(self, state)
        done.append(state)
        if len(done) == saves:
            raise Interrupted

    monkeypatch.setattr(resumption.Kept, "keep_state", counted)


STEPS = {
    "full": 10,
    "fixed": 10,
    "simclr": 26,
    "MeanTeacher": 10,
    "Staged": 20,
    "Soup": 20,
}


# Every recipe in the middle; some at their first step, their last ones, and in another phase or run.
EVERY = [(kind, 4) for kind, facts in KINDS.items() if not facts.asked_for_by]
CASES = EVERY + [(kind, after) for kind, steps in STEPS.items() for after in (1, 7, steps - 1, steps)]


@pytest.mark.parametrize(("kind", "after"), CASES)
def test_an_interrupted_run_goes_on_to_the_same_bits(textures, tmp_path, monkeypatch, kind, after):
    _, images, _ = textures
    recipe = read({"kind": kind, "training": AUGMENTED})
    whole = train(images, recipe, tmp_path / "whole", minutes=None)
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(Interrupted):
            train(images, recipe, tmp_path)
    torch.manual_seed(99)  # another process begins with another generator
    again = train(images, recipe, tmp_path)
    torch.testing.assert_close(again.network.state_dict(), whole.network.state_dict(), rtol=0, atol=0)
    np.testing.assert_array_equal(again.log, whole.log)
    assert not (tmp_path / "whole").exists()


def test_what_was_kept_of_something_else_is_forgotten(tmp_path):
    output = tmp_path / "runs.h5"
    resumption.Progress(output, 0, "one").save("model-0-run-0-state", {"step": 3})
    assert resumption.Progress(output, 0, "one").of(0).of_run(0).state() == {"step": 3}
    assert resumption.Progress(output, 0, "other").of(0).of_run(0).state() is None
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_before_it_is_time(textures, tmp_path):
    _, images, _ = textures
    train(images, read({"kind": "full", "training": AUGMENTED}), tmp_path, minutes=60)
    assert list(tmp_path.iterdir()) == []


def test_states_of_generators_survive_a_file(tmp_path):
    """Numbers of 128 bits, as NumPy's generators have."""
    state = np.random.default_rng(5).bit_generator.state
    progress = resumption.Progress(tmp_path / "runs.h5", 0, "")
    progress.save("state", {"rng": state})
    assert progress.load("state") == {"rng": state}


@pytest.fixture
def shard(textures, tmp_path):
    """Two source models."""
    _, images, val = textures
    source.train_shard(
        tmp_path / "s.h5", rows_of(np.ones((2, 3))), images.examples.labels, list(CLASSES), images, val,
        ARCHITECTURE, FullSettings(training=TRAINING), False,
    )  # fmt: skip
    return tmp_path / "s.h5"


def content(path):
    """All arrays of a file by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: found.update({name: one[()]} if isinstance(one, h5py.Dataset) else {})
        )
    return found


@pytest.mark.parametrize("after", [3, 13])
def test_an_interrupted_shard_goes_on_with_its_checkpoints(textures, shard, tmp_path, monkeypatch, after):
    """In its first model, and in its second, when the first is not trained again."""
    made, images, val = textures
    recipe = read({"kind": "full", "training": AUGMENTED})

    def run(path, minutes):
        progress = resumption.Progress(path, minutes, "identity")
        transfer.transfer_shard(
            path, shard, made, images, val, ARCHITECTURE, recipe, True, "global",
            checkpoints=(0, 2, 9, 50), progress=progress,
        )  # fmt: skip

    run(tmp_path / "whole.h5", None)
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(Interrupted):
            run(tmp_path / "again.h5", 0)
    assert not (tmp_path / "again.h5").exists()
    steps = []
    with monkeypatch.context() as patch:
        took = engine.Standing.took
        patch.setattr(engine.Standing, "took", lambda self, *given: steps.append(0) or took(self, *given))
        run(tmp_path / "again.h5", 0)
    assert len(steps) == 20 - after
    whole, again = content(tmp_path / "whole.h5"), content(tmp_path / "again.h5")
    assert whole.keys() == again.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, name)
    assert sorted(path.name for path in tmp_path.iterdir() if "again" in path.name) == ["again.h5"]


class Exploding(Recipe):
    """Its loss is no number from the seventh step on."""

    def loss(self, logits, features, labels, parameters):
        self.steps = getattr(self, "steps", 0) + 1
        return super().loss(logits, features, labels, parameters) * (float("nan") if self.steps >= 7 else 1)


def test_a_loss_that_is_no_number_ends_the_job_and_leaves_nothing(textures, shard, tmp_path, monkeypatch):
    made, images, val = textures
    kind = RecipeKind("Exploding", RecipeSettings, f"{__name__}:Exploding")
    monkeypatch.setitem(KINDS, "Exploding", kind)
    recipe = read({"kind": "Exploding", "training": AUGMENTED})
    with pytest.raises(
        NumericalError, match=r"recipe 'Exploding': the loss is not finite at step 7 .epoch 2, batch 2"
    ):
        transfer.transfer_shard(
            tmp_path / "t.h5", shard, made, images, val, ARCHITECTURE, recipe, True, "global"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]


def test_what_cannot_be_kept_is_named(tmp_path):
    progress = resumption.Progress(tmp_path / "runs.h5", 0.0, "identity")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(ArtefactError, match=r"model-0\.pt: cannot be written .*free space there"):
            progress.save("model-0", {"weights": torch.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in progress.folder.iterdir()] == ["identity.json"]

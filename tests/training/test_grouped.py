"""Networks side by side: each as if it were alone, to the bit, and nearly as the one loop trains it."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import ARCHITECTURE, TRAINING, changed
from transferlens.capabilities import run_of
from transferlens.core.errors import ConfigError, NumericalError
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract, grouping
from transferlens.models.network import Network, Parts
from transferlens.training import device, engine, grouped, resumption, source
from transferlens.training.block import implementation, train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import read
from transferlens.training.runs import Job

CPU = torch.device("cpu")
GROUPED = changed(TRAINING, epochs=2, batch_size=8, crop="translate", implementation="grouped")
# Numbers of images, so that models end after 22, 6, 0, 20, 14 and 10 steps.
COUNTS = [90, 24, 0, 80, 56, 40]


def job(images, number: int, training=GROUPED, kind="full", **others) -> Job:
    """A model of a seed and images of its own."""
    drawn = np.random.default_rng(number).choice(90, COUNTS[number], replace=False)
    settings = read({"kind": kind, "training": training.model_dump(), **others.pop("recipe", {})})
    network = partial(source.new_network, ARCHITECTURE, 3, CPU, number)
    return Job(network, Data(images, np.sort(drawn)), settings, number, **others)


def block(images, at_once, numbers=None, **others):
    chosen = range(len(COUNTS)) if numbers is None else numbers
    return list(train_block((job(images, number, **others) for number in chosen), at_once))


def assert_same(ones, others):
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one.network.state_dict(), other.network.state_dict(), rtol=0, atol=0)
        np.testing.assert_array_equal(one.log, other.log)


@pytest.fixture
def images(textures):
    return textures[1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nesterov": True, "clip": 0.5, "class_weighted": True, "label_smoothing": 0.1},
        {"crop": "random_resized", "flip": True, "iterations": 8},
    ],
)
def test_models_are_trained_as_by_the_one_loop(images, changes):
    """Their own images, numbers of steps and learning rates, momentum, clipping and running statistics."""
    training = changed(GROUPED, **changes)
    together = block(images, 16, training=training)
    alone = block(images, 1, training=training)
    for one, other in zip(together, alone, strict=True):
        expected = other.network.state_dict()
        for name, tensor in one.network.state_dict().items():
            change = (tensor.float() - expected[name].float()).abs().max()
            assert change <= 1e-3 * max(1, expected[name].float().abs().max()), name
        np.testing.assert_allclose(one.log[:, 0], other.log[:, 0], rtol=1e-3)
        np.testing.assert_array_equal(one.log[:, 2], other.log[:, 2])  # learning rates
    assert [one.implementation for one in together] == ["grouped"] * len(COUNTS)
    assert {one.implementation for one in alone} == {"sequential"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_bits_of_a_model_depend_on_it_alone(images, precision):
    """Not on how many there are, on which, nor on its slot."""
    # Where the hardware has no bfloat16, a step takes ten times as long.
    epochs = 2 if precision == "float32" else 1
    train = partial(
        block, images, training=changed(GROUPED, precision=precision, epochs=epochs, lr_peak_epoch=0)
    )
    whole = train(8)
    assert_same(train(3), whole)
    assert_same(train(2, numbers=[5, 1, 4, 3]), [whole[number] for number in (5, 1, 4, 3)])
    assert_same(train(2, numbers=[4]), whole[4:5])


def test_recipes_with_rates_of_their_own_and_fixed_statistics(images):
    """A backbone that is slower than the head, under the source's running statistics."""
    recipe = {"backbone_rate": 0.1, "batchnorm": "eval"}
    together, alone = (block(images, at_once, [0, 4], recipe=recipe) for at_once in (2, 1))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.network.state_dict(), other.network.state_dict(), rtol=1e-3, atol=1e-4)
    initial = source.initial_network(ARCHITECTURE, 3, 0).state_dict()
    for name, tensor in together[0].network.state_dict().items():
        assert torch.equal(tensor, initial[name]) == ("running" in name or "num_batches" in name), name


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("saves", [1, 9, 45])
def test_a_killed_block_goes_on_to_the_same_bits(images, tmp_path, monkeypatch, saves):
    """Killed while some of its models are kept at a later step than others; the rest goes on in twos."""
    steps = (0, 5, 14)

    def run(folder, at_once):
        progress, seen = resumption.Progress(folder / "runs.h5", 0.0, "identity"), {}

        def keep(model, position, network):
            seen[model, position] = {k: v.clone() for k, v in network.state_dict().items()}

        def flat(model, position):
            return {k: v.flatten() for k, v in seen.get((model, position), {}).items()} or None

        def kept(number):
            checkpoints = engine.Checkpoints(steps, partial(keep, number), partial(flat, number))
            return job(images, number, checkpoints=checkpoints, kept=progress.of(number))

        return list(train_block(map(kept, range(len(COUNTS))), at_once)), seen

    whole, seen = run(tmp_path / "whole", 16)
    keep_state, done = resumption.Kept.keep_state, []
    with monkeypatch.context() as patch:

        def counted(self, state):
            keep_state(self, state)
            done.append(state)
            if len(done) == saves:
                raise Interrupted

        patch.setattr(resumption.Kept, "keep_state", counted)
        with pytest.raises(Interrupted):
            run(tmp_path / "again", 16)
    took, stepped = engine.Standing.took, []
    monkeypatch.setattr(engine.Standing, "took", lambda self, *given: stepped.append(1) or took(self, *given))
    again, seen_again = run(tmp_path / "again", 2)
    assert_same(again, whole)
    all_steps = sum(len(one.log) * (count // 8) for one, count in zip(whole, COUNTS, strict=True))
    assert len(stepped) == all_steps - len(done)
    assert seen.keys() == seen_again.keys()
    for at, state in seen.items():
        torch.testing.assert_close(seen_again[at], state, rtol=0, atol=0)


def test_where_memory_runs_out_half_as_many_go_on(images, monkeypatch, caplog):
    whole = block(images, 16)
    forward, calls = grouping.Grouped.forward, []

    def full(self, given):
        calls.append(self.slots)
        logits = forward(self, given)
        if self.slots > 2 and len(calls) > 4:
            raise torch.OutOfMemoryError("out of memory\nmore")
        return logits

    monkeypatch.setattr(grouping.Grouped, "forward", full)
    assert_same(block(images, 16), whole)
    assert "out of memory with 5 models side by side" in caplog.text
    assert set(calls[-10:]) == {2}


def test_a_loss_that_is_no_number_names_its_step(images):
    with pytest.raises(NumericalError, match="the loss is not finite at step"):
        block(images, 4, training=changed(GROUPED, lr=1e30))


def test_what_cannot_stand_side_by_side_goes_one_by_one(images, caplog):
    caplog.set_level("INFO")
    one = changed(GROUPED, optimizer="adamw", implementation="auto")
    models = block(images, 16, [0, 1], training=one) + block(
        images, 16, [0, 1], training=changed(GROUPED, implementation="auto"), kind="l2_sp"
    )
    assert {model.implementation for model in models} == {"sequential"}
    assert "one by one: optimizer is adamw" in caplog.text
    assert "one by one: recipe 'l2_sp' trains its models one by one" in caplog.text


def test_float32_is_not_side_by_side_unless_that_is_demanded(images):
    auto = changed(GROUPED, implementation="auto")
    assert implementation(job(images, 0, auto), 8) == "sequential"
    assert implementation(job(images, 0, GROUPED), 8) == "grouped"
    assert implementation(job(images, 0, changed(auto, precision="bfloat16")), 8) == "grouped"


def test_arithmetic_that_is_emulated_is_told(images, monkeypatch, caplog):
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: False)
    block(images, 2, [2], training=changed(GROUPED, precision="bfloat16"))
    assert "training.precision is bfloat16, which this CPU emulates" in caplog.text
    caplog.clear()
    block(images, 2, [2], training=changed(GROUPED, precision="auto"))
    assert "emulates" not in caplog.text


def test_what_cannot_stand_side_by_side_is_refused_when_that_is_demanded(images):
    with pytest.raises(ConfigError, match=r"'grouped', which cannot be here: optimizer is adamw; set it to"):
        block(images, 16, [0, 1], training=changed(GROUPED, optimizer="adamw"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"recipes": {"fixed": {"training": {"implementation": "grouped"}}}},
            "recipes.fixed.training.implem",
        ),
        (
            {"source_training": {"objective": "simclr", "implementation": "graphs"}},
            "recipe 'simclr' are trained",
        ),
    ],
)
def test_what_cannot_be_demanded_is_refused_when_planned(changes, named):
    whole = {"source": "a", "targets": {"b": {}}, "datasets": {"a": {"path": "a"}, "b": {"path": "b"}}}
    with pytest.raises(ConfigError, match=named):
        run_of({**whole, **changes})


class Mixing(nn.Module):
    """Adds up what other channels hold."""

    def forward(self, images):
        return images + images.flip(1)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Identity(), ""),
        (nn.MaxPool2d(2), ""),
        (nn.Conv2d(8, 8, 3, groups=2), ""),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular"), "a layer of kind Conv2d"),
        (nn.Dropout(0.2), "a layer of kind Dropout"),
        (nn.GroupNorm(2, 8), "a layer of kind GroupNorm"),
        (nn.Sequential(Mixing(), nn.ReLU()), "a layer of kind Mixing"),
        (nn.Sequential(nn.PixelShuffle(2)), "a layer of kind PixelShuffle"),
    ],
)
def test_which_networks_can(layer, reason):
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = Network(backbone, nn.Linear(8, 3), Parts(None, pools=True))
    found = grouping.ungroupable(network, 12)
    assert reason in found
    assert bool(found) == bool(reason)


class Whole(nn.Module):
    """Code of its own between layers that could stand side by side."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.between = between

    def forward(self, images):
        return self.between(self, self.second(self.first(images))).mean((2, 3))


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (lambda self, maps: maps.relu(), ""),
        (lambda self, maps: maps + maps.flip(1), "do not give what they give alone"),
        (lambda self, maps: torch.cat([maps, maps], 1)[:, :8], "do not "),
        (
            lambda self, maps: nn.functional.dropout(maps, 0.5, self.training),
            "do not give what they give alone",
        ),
    ],
)
def test_what_code_between_layers_does_is_found_by_trying(between, reason):
    network = Network(Whole(between), nn.Linear(8, 3), Parts(None, pools=True))
    found = grouping.ungroupable(network, 12)
    assert reason in found
    assert bool(found) == bool(reason)


def test_residual_networks_can_and_wide_ones_are_not_by_themselves(images):
    """ResNet-18 gives side by side what it gives alone; that it is slower so is another matter."""
    wide = Job(
        lambda: contract.build(NetworkSettings(name="resnet18"), 3),
        Data(images, np.arange(90)),
        read({"kind": "full", "training": changed(GROUPED, implementation="auto").model_dump()}),
        0,
    )
    refused, slower = grouped.suitability(wide)
    assert refused == ""
    assert "512 channels" in slower
    assert grouped.suitability(job(images, 0)) == ("", "")

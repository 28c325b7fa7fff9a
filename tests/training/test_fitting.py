"""Running out of memory changes how a step is computed, and not what."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import ARCHITECTURE, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.models.network import Network, Parts
from transferlens.training import engine, fitting, source, transfer
from transferlens.training.recipes.settings import FixedSettings

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore text")
WEIGHTED = changed(TRAINING, class_weighted=True, label_smoothing=0.1)


def residual():
    return source.initial_network(ARCHITECTURE, 3, 0)


def with_dropout():
    """A network in which images do not see each other, with two dropouts."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(inplace=True), nn.Flatten(), nn.Dropout(0.5)]
    layers += [nn.Linear(8 * 49, 16), nn.ReLU(inplace=True), nn.Dropout(0.25)]
    return Network(nn.Sequential(*layers), nn.Linear(16, 3), Parts("0", pools=False))


def fail_unless(network, part, fits):
    """Let `part` of a network run out of memory wherever `fits` is false of its input."""

    def check(_, inputs):
        if not fits(inputs[0]):
            raise FULL

    network.get_submodule(part).register_forward_pre_hook(check)
    return network


def trained(network, train, training):
    torch.manual_seed(5)
    log = engine.train(network.train(), network.parameters(), train, np.arange(90), training, 1)
    return network.state_dict(), log


def assert_same(found, expected, **tolerance):
    torch.testing.assert_close(found[0], expected[0], **tolerance)
    np.testing.assert_allclose(found[1], expected[1], rtol=tolerance.get("rtol", 0))


@pytest.mark.parametrize("training", [TRAINING, WEIGHTED])
def test_recomputed_stages_give_the_same_model(textures, training, caplog):
    """Bit by bit, running statistics included, though the first pass had moved them when it failed."""
    _, train, _ = textures
    plain, short = residual(), residual()
    fail_unless(short, "backbone.block3", lambda _: "forward" in vars(short.backbone.block3))
    assert_same(trained(short, train, training), trained(plain, train, training), rtol=0, atol=0)
    assert caplog.text.count("out of memory with 16 images of 28 px") == 1


@pytest.mark.parametrize("training", [TRAINING, WEIGHTED])
def test_micro_batches_give_the_same_model(textures, training, caplog):
    """Up to rounding, with the same draws of dropout, though the first pass had used some when it failed."""
    _, train, _ = textures
    expected = trained(with_dropout(), train, training)
    short = fail_unless(with_dropout(), "head", lambda features: len(features) <= 5)
    assert_same(trained(short, train, training), expected, rtol=1e-4, atol=1e-6)
    assert "cut into 4 micro-batches" in caplog.text


@pytest.mark.parametrize("kind", ["resnet18", "googlenet"])
def test_stages_of_torchvision_networks_keep_less_and_give_the_same_gradients(kind):
    network = source.initial_network(changed(ARCHITECTURE, name=kind), 5, 0).train()
    images, found = torch.randn(4, 3, 64, 64), []
    for recompute in (False, True):
        twin, kept = copy.deepcopy(network), {}

        def keep(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        torch.manual_seed(0)
        recomputing = fitting.recomputing(twin) if recompute else nullcontext()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), recomputing:
            loss = twin(images).square().sum()
        loss.backward()
        found.append((twin.state_dict(), [p.grad for p in twin.parameters()], sum(kept.values())))
    torch.testing.assert_close(found[1][:2], found[0][:2], rtol=0, atol=0)
    parameters = sum(p.numel() * 4 for p in network.parameters())
    assert found[1][2] - parameters < 0.7 * (found[0][2] - parameters)


def test_a_head_on_cached_features_is_trained_in_micro_batches(textures):
    _, train, _ = textures
    recipe = FixedSettings(training=TRAINING)
    plain, short = residual(), residual()
    fail_unless(short, "head", lambda features: len(features) <= 4)
    expected, cut = (transfer.adapt(network, train, recipe, seed=0) for network in (plain, short))
    np.testing.assert_allclose(cut.log, expected.log, rtol=1e-4)
    torch.testing.assert_close(cut.network.head.weight, expected.network.head.weight, rtol=1e-4, atol=1e-6)


def test_evaluation_goes_on_in_smaller_parts(textures):
    _, _, val = textures
    plain, short = residual().eval(), residual().eval()
    fail_unless(short, "head", lambda features: len(features) <= 7)
    torch.testing.assert_close(engine.evaluate(short, val), engine.evaluate(plain, val))


@pytest.mark.parametrize("make", [residual, with_dropout])
def test_a_batch_that_never_fits_is_one_line(textures, make):
    _, train, _ = textures
    network = fail_unless(make(), "head", lambda _: False)
    line = r"cpu: out of memory at batch_size 16 and 28 px.*lower batch_size"
    with (
        pytest.raises(ConfigError, match=line) as found,
        fitting.named(torch.device("cpu"), 16, 28),
    ):
        trained(network, train, TRAINING)
    assert "\n" not in str(found.value)

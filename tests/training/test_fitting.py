"""Running out of memory changes how a step is computed, and not what."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from tests.conftest import ARCHITECTURE, OWN_NETWORKS, SMALL_VIT, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.models.network import Network, Parts
from transferlens.training import draws, engine, fitting, source, transfer
from transferlens.training.recipes.settings.plain import FixedSettings

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


RANDOM = {
    "make_vit": {"image_size": 28, "patch_size": 7, "dim": 16, "depth": 2, "dropout": 0.2},
    "make_convnext": {"stochastic_depth": 0.5},
    "make_swin": {"dropout": 0.0, "stochastic_depth": 0.5},
}


def own(maker, **options):
    file = SMALL_VIT if maker == "make_vit" else OWN_NETWORKS
    return source.initial_network(NetworkSettings(file=f"{file}:{maker}", resolution=28, **options), 3, 0)


@pytest.mark.parametrize(
    "maker", [pytest.param(maker, marks=[pytest.mark.large] * (maker != "make_vit")) for maker in RANDOM]
)
def test_networks_without_batch_norm_are_cut_and_then_computed_again(textures, maker, caplog):
    """One image at a time and with blocks computed again, everything is as with the whole batch."""
    _, train, _ = textures
    expected = trained(own(maker, **RANDOM[maker]), train, TRAINING)
    short = own(maker, **RANDOM[maker])
    last = short.backbone.get_submodule(short.parts.blocks[-1])
    path = f"backbone.{short.parts.blocks[-1]}"
    fail_unless(short, path, lambda _: "forward" in vars(last) or not torch.is_grad_enabled())
    assert_same(trained(short, train, TRAINING), expected, rtol=1e-3, atol=1e-5)
    assert [text.split("here on ")[1] for text in caplog.messages] == [
        *(f"batches are cut into {parts} micro-batches; results are the same" for parts in (2, 4, 8, 16)),
        "activations are computed again in the backward pass; results are the same",
    ]


def test_draws_of_anything_else_are_no_whole_batch_s_and_the_log_says_so(textures, caplog):
    _, train, _ = textures
    network = own("make_class_token_vit", image_size=28, patch_size=7, attention_dropout=0.5)
    fail_unless(network, "head", lambda features: len(features) <= 8)
    _, log = trained(network, train, TRAINING)
    assert np.isfinite(log).all()
    assert caplog.messages[0].endswith("micro-batches; results are those of other random draws")


class InWindows(nn.Module):
    """Dropout of four windows an image, as in attention of windows."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, maps):
        windows = maps.unflatten(2, (2, -1)).unflatten(4, (2, -1)).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        return self.dropout(windows).unflatten(0, (len(maps), 4))


class TokensOutermost(InWindows):
    """Dropout of rows of tokens that lie in memory token by token, as attention leaves them."""

    def forward(self, maps):
        return self.dropout(maps.flatten(2).permute(2, 0, 1).contiguous().transpose(0, 1))


class SequenceFirst(InWindows):
    """Dropout of rows of tokens whose first dimension is the row."""

    def forward(self, maps):
        return self.dropout(maps.flatten(2).permute(2, 0, 1)).transpose(0, 1)


@pytest.mark.parametrize(
    ("module", "as_whole"),
    [
        (nn.Dropout(0.5), True),
        (nn.Dropout1d(0.5), True),
        (nn.Dropout2d(0.5), True),
        (nn.Sequential(nn.Dropout2d(0.5), nn.Dropout(0.3)), True),
        (torchvision.ops.StochasticDepth(0.5, "row"), True),
        (torchvision.ops.StochasticDepth(0.5, "batch"), True),
        (InWindows(), True),
        (TokensOutermost(), True),
        (SequenceFirst(), False),
        (nn.AlphaDropout(0.5), False),
        (nn.Sequential(nn.Dropout(0.5), nn.RReLU()), False),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_micro_batches_get_their_shares_of_the_whole_batch_s_draws(module, as_whole, layout):
    """Exactly, and the generator ends where the whole batch's draws leave it."""
    images = torch.randn(7, 5, 4, 4).to(memory_format=layout)
    if type(module) is nn.Dropout1d:
        images = images.flatten(2)
    found = draws.Draws(module.train(), images, nullcontext)
    assert found.as_whole == as_whole
    torch.manual_seed(3)
    whole, after = module(images), torch.get_rng_state()
    torch.manual_seed(3)
    parts = []
    for start in (0, 3, 6):
        part = images[start : start + 3]
        with found.share(images, start, len(part)):
            parts.append(module(part))
    if as_whole:
        assert torch.equal(torch.cat(parts), whole)
        assert torch.equal(torch.get_rng_state(), after)


class InPlace(nn.Module):
    """A block that begins with an activation in place, which twice is not what it is once."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, 1, 1)

    def forward(self, maps):
        return self.layer(functional.silu(maps, inplace=True))


def in_place():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), InPlace(), InPlace(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(layers, nn.Linear(4, 5), Parts("2", pools=True, blocks=("1", "2")))


MADE = {
    "resnet18": lambda: source.initial_network(NetworkSettings(name="resnet18", resolution=64), 5, 0),
    "googlenet": lambda: source.initial_network(NetworkSettings(name="googlenet", resolution=64), 5, 0),
    "convnext": lambda: own("make_convnext"),
    "in place": in_place,
}


@pytest.mark.parametrize("kind", MADE)
def test_blocks_that_are_computed_again_keep_less_and_give_the_same_gradients(kind):
    torch.manual_seed(0)
    network = MADE[kind]().train()
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

"""Penalties on weights and on features: known numbers, plain torch, exact reductions."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.training.rivals import (
    SHORT,
    adapting,
    assert_same,
    by_hand,
    run,
    settings_of,
    source_network,
    started,
)
from transferlens.models import layers
from transferlens.models.network import Network, Parts
from transferlens.training import engine
from transferlens.training.recipes import anchored, channel_attention, stages

KINDS = ("l2_sp", "behavioural", "delta", "ldifs")
NEUTRAL = {
    "l2_sp": {"strength": 0, "head_decay": 0},
    "behavioural": {"strength": 0, "head_decay": 0},
    "delta": {"strength": 0, "head_decay": 0, "attention_images": 32},
    "ldifs": {"strength": 0},
}
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


@pytest.mark.parametrize("kind", KINDS)
def test_without_strength_it_is_plain_fine_tuning(textures, kind):
    """Bit for bit; those with a decay of their own are so without the schedule's."""
    _, train, _ = textures
    decay = SHORT.weight_decay if kind == "ldifs" else 0
    plain, _, log = run(train, settings_of("full", SHORT.model_copy(update={"weight_decay": decay})))
    found, _, found_log = run(train, settings_of(kind, **NEUTRAL[kind]))
    assert_same(found, plain)
    assert (found_log == log).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_stays_as_it_was_and_near(textures, kind):
    """Near in what is compared: weights, or what the ends of the stages give."""
    _, train, _ = textures
    stronger = {"l2_sp": 1.0, "behavioural": 0.01, "delta": 0.1, "ldifs": 10.0}
    found, kept, _ = run(train, settings_of(kind, strength=stronger[kind]))
    assert_same(kept, source_network())
    plain, _, _ = run(train, settings_of("full"))
    far = {"l2_sp": of_weights, "ldifs": partial(of_features, of_directions)}
    distance = far.get(kind, partial(of_features, functional.mse_loss))
    assert 0 < distance(found, kept, train) < 0.9 * distance(plain, kept, train)


def of_weights(network, kept, images):
    pairs = (list(either.backbone.parameters()) for either in (network, kept))
    return float(anchored.half_squared_distance(*pairs).detach())


def of_directions(output, source):
    return anchored.normalised_distance(output.flatten(2), source.flatten(2), "channel")


@torch.no_grad()
def of_features(distance, network, kept, images):
    """Between a network with batch statistics, as in training, and the source."""
    batch, ends = images.pick(np.arange(90))[0], stages.stage_ends(kept, 28)
    with layers.watch(network.train(), ends) as ours, layers.watch(kept, ends) as theirs:
        network(batch), kept(batch)
    return sum(float(distance(ours[end], theirs[end])) for end in ends)


def test_distance_of_weights():
    weight, bias = torch.zeros(2, 3), torch.randn(2)
    found = anchored.half_squared_distance([weight + 1, bias], [weight, bias])
    assert float(found) == 3.0
    same = weight.clone().requires_grad_()
    nothing = anchored.half_squared_distance([same], [weight])
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert (same.grad == 0).all()


def test_the_gradient_of_the_distance():
    weights, anchors = ([torch.randn(3, 4).double(), torch.randn(4).double()] for _ in range(2))
    inputs = [weight.requires_grad_() for weight in weights]
    assert torch.autograd.gradcheck(lambda *xs: anchored.half_squared_distance(xs, anchors), inputs)


def test_l2_sp_in_plain_torch(textures):
    """Gradients alpha (w - w0) of the backbone and beta w of the head, and no other weight decay."""
    _, train, _ = textures
    found, kept, _ = run(train, settings_of("l2_sp", strength=0.3, head_decay=0.2, backbone_rate=0.5))
    network = adapting(kept)

    def loss(batch, labels):
        pull = sum(
            (parameter - anchor).square().sum()
            for parameter, anchor in zip(
                network.backbone.parameters(), kept.backbone.parameters(), strict=True
            )
        )
        decay = network.head.weight.square().sum() + network.head.bias.square().sum()
        return functional.cross_entropy(network(batch), labels) + 0.15 * pull + 0.1 * decay

    groups = [
        {"params": list(network.head.parameters())},
        {"params": list(network.backbone.parameters()), "rate": 0.5},
    ]
    assert_same(found, by_hand(train, network, groups, loss), **CLOSE)


def test_the_anchor_is_a_copy_of_weights_alone(textures):
    _, train, _ = textures
    recipe = started(settings_of("l2_sp", strength=1.0, head_decay=0), train)
    recipe.enter(next(recipe.phases()), {})
    labels, logits = torch.tensor([0, 2]), torch.zeros(2, 3)
    own = functional.cross_entropy(logits, labels)
    for buffer in recipe.network.buffers():  # running statistics are no weights
        buffer.fill_(7)
    with torch.no_grad():
        for parameter in recipe.source.parameters():
            parameter.fill_(7.0)
    assert float(recipe.loss(logits, {}, labels, {}).detach()) == float(own)
    with torch.no_grad():
        recipe.network.backbone.stem[0].weight += 1
    size = recipe.network.backbone.stem[0].weight.numel()
    assert float(recipe.loss(logits, {}, labels, {}).detach() - own) == pytest.approx(size / 2)


def test_a_divided_batch_pulls_as_a_whole_one(textures):
    """The shares of the parts add up to one, and so do their pulls."""
    _, train, _ = textures

    def weights(most):
        torch.manual_seed(0)
        flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 8))
        network = Network(flat, nn.Linear(8, 3), Parts(None, False))

        def full(_, inputs):
            if len(inputs[0]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")

        network.register_forward_pre_hook(full)
        engine.run(started(settings_of("l2_sp", strength=0.5), train, network))
        return network

    assert_same(weights(4), weights(16), **CLOSE)


def blocks_of(*shapes):
    """A network whose blocks give these shapes, [channels, side, side] each, after a stem."""
    backbone, channels = nn.Sequential(nn.Conv2d(3, shapes[0][0], 1)), shapes[0][0]
    for count, side in shapes:
        backbone.append(nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Conv2d(channels, count, 1)))
        channels = count
    paths = tuple(str(i) for i in range(len(backbone)))
    return Network(backbone, nn.Linear(channels, 2), Parts(None, False, blocks=paths)).eval()


def test_stages_end_where_the_shape_changes():
    network = blocks_of((4, 8), (4, 8), (6, 8), (6, 4), (6, 4))
    assert stages.stage_ends(network, 9) == ("backbone.2", "backbone.3", "backbone.5")
    twelve = blocks_of(*[(4, 8)] * 12)
    assert stages.stage_ends(twelve, 9) == tuple(f"backbone.{i}" for i in (3, 6, 9, 12))
    assert stages.stage_ends(source_network(), 28) == tuple(f"backbone.block{i}" for i in (1, 2, 3))


@pytest.mark.parametrize("kind", ["behavioural", "delta", "ldifs"])
def test_a_network_without_blocks_is_refused(textures, kind):
    _, train, _ = textures
    recipe = type(started(settings_of(kind), train))
    network = source_network()
    assert recipe.refuses(settings_of(kind), network) == ""
    network.parts = replace(network.parts, blocks=())
    assert "no blocks were found" in recipe.refuses(settings_of(kind), network)


def test_channels_of_maps_tokens_and_vectors():
    maps = torch.randn(2, 5, 3, 3)
    tokens = maps.flatten(2).transpose(1, 2)
    expected = maps.flatten(2)
    for output in (maps, tokens, maps.permute(0, 2, 3, 1)):
        torch.testing.assert_close(stages.by_channel(output), expected, rtol=0, atol=0)
    assert stages.by_channel(torch.randn(2, 5)).shape == (2, 5, 1)


def features_recipe(textures, kind, **given):
    """A recipe in its phase, outputs of a batch in the network (doubled) and in the source."""
    _, train, _ = textures
    recipe = started(settings_of(kind, **given), train)
    recipe.enter(next(recipe.phases()), {})
    batch, _ = train.pick(recipe.data.positions[:6])
    recipe.extra_images(batch)
    return recipe, {layer: 2 * output for layer, output in recipe._seen.items()}


def penalty(recipe, features, strength):
    return recipe.penalty(features, torch.tensor([0, 2])) / strength


def test_behavioural_and_uniform_delta(textures):
    """Half the squared distance, an image's mean; where channels weigh alike, DELTA's is a cell's, too."""
    recipe, features = features_recipe(textures, "behavioural", strength=2.0, head_decay=0)
    by_layer = {
        layer: ((features[layer] - source) ** 2).flatten(1).sum(1).mean() / 2
        for layer, source in recipe._seen.items()
    }
    assert list(by_layer) == [f"backbone.block{i}" for i in (1, 2, 3)]
    torch.testing.assert_close(penalty(recipe, features, 2.0), sum(by_layer.values()))
    given = {"strength": 3.0, "head_decay": 0, "attention": "uniform"}
    delta, features = features_recipe(textures, "delta", **given)
    by_cell = sum(by_layer[layer] / features[layer][0, 0].numel() for layer in by_layer)
    torch.testing.assert_close(penalty(delta, features, 3.0), by_cell)
    delta.settings = delta.settings.model_copy(update={"attention": "learned"})
    counts = {layer: features[layer].shape[1] for layer in by_layer}
    delta.attention = {layer: torch.full((count,), 1 / count) for layer, count in counts.items()}
    torch.testing.assert_close(penalty(delta, features, 3.0), by_cell)


def test_the_heads_decay_stands_in_the_loss(textures):
    recipe, _ = features_recipe(textures, "behavioural", strength=0, head_decay=0.5)
    head = recipe.network.head
    expected = (head.weight.square().sum() + head.bias.square().sum()) / 2
    torch.testing.assert_close(penalty(recipe, dict(recipe._seen), 0.5), expected)
    assert all(group.weight_decay == 0 for group in recipe.phase.groups)


def of_tokens():
    """Images as 49 tokens of 16 numbers, and features as the mean of what two layers make of them."""

    class Tokens(nn.Module):
        def forward(self, images):
            return images.unflatten(2, (7, 4)).unflatten(4, (7, 4)).mean((3, 5)).flatten(2).transpose(1, 2)

    class Mean(nn.Module):
        def forward(self, tokens):
            return tokens.mean(1)

    torch.manual_seed(1)
    blocks = [nn.Sequential(nn.Linear(n, 20), nn.GELU()) for n in (3, 20)]
    backbone = nn.Sequential(Tokens(), *blocks, Mean())
    return Network(backbone, nn.Linear(20, 3), Parts(None, False, blocks=("1", "2"))).eval()


@pytest.mark.parametrize(("make", "layer"), [(source_network, "block2"), (of_tokens, "1")])
def test_losses_without_a_channel(textures, make, layer):
    """As many passes as there are channels, each with one set to 0."""
    _, train, _ = textures
    network = make()
    network.head = nn.Linear(network.head.in_features, 3)
    images, labels = train.pick(torch.arange(12).numpy())[0], train.labels[:12]
    found = channel_attention.losses_without(network, f"backbone.{layer}", images.split(8), labels.split(8))
    for c, value in enumerate(found):

        def silenced(_, inputs, output, c=c):
            output = output.clone()
            output.select(1 if output.ndim == 4 else 2, c).zero_()
            return output

        handle = network.backbone.get_submodule(layer).register_forward_hook(silenced)
        with torch.no_grad():
            expected = functional.cross_entropy(network(images), labels, reduction="sum")
        handle.remove()
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    assert found.std() > 0


def test_attention_is_a_soft_rank_of_losses():
    losses = torch.tensor([1.0, 2.0, 6.0])
    z = (losses - 3) / (14 / 3) ** 0.5
    torch.testing.assert_close(channel_attention.attention(losses), (z / 5).softmax(0))
    torch.testing.assert_close(channel_attention.attention(100 + 2 * losses), (z / 5).softmax(0))
    torch.testing.assert_close(channel_attention.attention(torch.ones(4)), torch.full((4,), 0.25))


def test_learned_attention_finds_the_channels_that_classes_depend_on(textures):
    """Of the last stage, half of the channels are noise-free copies; the others are always 0."""
    _, train, _ = textures
    kept = source_network()
    norm = kept.backbone.block3.second[1]
    norm.weight[16:], norm.bias[16:] = 0, -100.0
    kept.backbone.block3.shortcut[1].weight[16:] = 0
    recipe = started(settings_of("delta", attention_images=64), train, from_source=kept)
    before = torch.get_rng_state()
    head = copy.deepcopy(recipe.network.head)
    next(recipe.phases())
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(recipe.network.head.state_dict(), head.state_dict(), rtol=0, atol=0)
    of_last = recipe.attention["backbone.block3"]
    assert float(of_last.sum()) == pytest.approx(1, abs=1e-5)
    assert of_last[:16].max() > of_last[16:].max()
    assert of_last[16:].max() - of_last[16:].min() < 1e-6


def test_normalised_distance():
    """(3, 4) and (4, 3) have the directions (.6, .8) and (.8, .6)."""
    output, source = torch.tensor([[3.0, 4.0]])[..., None], torch.tensor([[4.0, 3.0]])[..., None]
    assert float(anchored.normalised_distance(output, source, "channel")) == pytest.approx(0.04)
    across = anchored.normalised_distance(output.transpose(1, 2), source.transpose(1, 2), "token")
    assert float(across) == pytest.approx(0.04)
    assert 2 * float(across) == pytest.approx(0.08)  # the sum over both numbers
    maps, others = torch.randn(2, 3, 5, 7)
    for normalise in ("channel", "token"):
        found = anchored.normalised_distance(maps, others, normalise)
        scaled = anchored.normalised_distance(4 * maps, others / 3, normalise)
        torch.testing.assert_close(found, scaled)
        assert float(anchored.normalised_distance(maps, 9 * maps, normalise)) == pytest.approx(0, abs=1e-12)
    dead = torch.zeros(2, 5, 7, requires_grad=True)
    anchored.normalised_distance(dead.relu(), others[:2], "channel").backward()
    assert torch.isfinite(dead.grad).all()


@pytest.mark.parametrize(("batchnorm", "at_start"), [("eval", True), ("train", False)])
def test_ldifs_begins_at_nothing_where_the_norms_agree(textures, batchnorm, at_start):
    _, train, _ = textures
    recipe = started(settings_of("ldifs", batchnorm=batchnorm), train)
    (phase,) = recipe.phases()
    with layers.watch(recipe.network, recipe.watched) as features:
        recipe.enter(phase, features)
        batch, _ = train.pick(recipe.data.positions[:8])
        recipe.extra_images(batch)
        logits = recipe.network(batch)
    labels = torch.zeros(8, dtype=torch.int64)
    excess = recipe.loss(logits, features, labels, {}) - functional.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(excess, list(recipe.network.backbone.parameters()), allow_unused=True)
    assert (float(excess.detach()) == 0) == at_start
    assert all((gradient == 0).all() for gradient in gradients) == at_start

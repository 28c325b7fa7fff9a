"""Stochastic normalisation: its two ends are layers that torch has."""

import copy

import pytest
import torch
from torch import nn

from tests.training.rivals import adapting, assert_same, run, settings_of, source_network, started
from transferlens.models.network import Network, Parts
from transferlens.training import engine, recipes
from transferlens.training.recipes import stochastic_norm
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import Task


class NormAct(nn.BatchNorm2d):
    """A batch norm with an activation inside, as timm has them."""

    def forward(self, x):
        return super().forward(x).relu()


def norm_of(make):
    torch.manual_seed(0)
    norm = make(6)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    return norm


@pytest.mark.parametrize("make", [nn.BatchNorm1d, nn.BatchNorm2d, NormAct])
def test_channels_are_normalised_as_chosen(make):
    """Outputs and gradients are the batch's where the batch was chosen, else those of evaluation before."""
    norm = norm_of(make)
    x = torch.randn(8, 6) if make is nn.BatchNorm1d else torch.randn(8, 6, 3, 3)
    by_batch, fixed = copy.deepcopy(norm), copy.deepcopy(norm).eval()
    running = {"running_mean": norm.running_mean.clone(), "running_var": norm.running_var.clone()}
    chosen = torch.tensor([True, False, True, False, False, True])
    inputs = [x.clone().requires_grad_() for _ in range(3)]
    found = stochastic_norm.mixed(norm, inputs[0], norm(inputs[0]), chosen, running)
    expected = by_batch(inputs[1]), fixed(inputs[2])
    for output in (found, *expected):
        (output**2).sum().backward()
    by_channel = chosen.view(-1, *[1] * (x.ndim - 2))
    assert torch.equal(found, torch.where(by_channel, *expected))
    gradients = torch.where(by_channel, inputs[1].grad, inputs[2].grad)
    torch.testing.assert_close(inputs[0].grad, gradients, rtol=0, atol=0)
    torch.testing.assert_close(norm.weight.grad, torch.where(chosen, by_batch.weight.grad, fixed.weight.grad))
    torch.testing.assert_close(list(norm.buffers()), list(by_batch.buffers()), rtol=0, atol=0)
    assert norm.training


def test_of_the_batch_alone_it_is_plain_fine_tuning(textures):
    """Bit for bit: weights, running statistics, log; and the network is left without a trace."""
    _, train, _ = textures
    plain, _, log = run(train, settings_of("full"))
    found, kept, found_log = run(train, settings_of("stoch_norm", probability=1))
    assert_same(found, plain)
    assert (found_log == log).all()
    assert_same(kept, source_network())
    assert not any(module._forward_hooks for module in found.modules())
    assert [type(module) for module in found.modules()] == [type(module) for module in plain.modules()]


def test_of_running_statistics_alone(textures):
    """A step's outputs are those of evaluation; the running statistics follow the batches all the same."""
    _, train, _ = textures
    recipe = started(settings_of("stoch_norm", probability=0), train)
    network, evaluated = recipe.network, copy.deepcopy(recipe.network).eval()
    followed = copy.deepcopy(network).train()
    phases = recipe.phases()
    next(phases)
    batch, _ = train.pick(recipe.data.positions[:16])
    recipe.extra_images(batch)
    assert torch.equal(network(batch), evaluated(batch))
    first = followed.backbone.stem(batch)
    assert not torch.equal(first, network.eval().backbone.stem(batch))
    ours, theirs = (list(either.backbone.stem.buffers()) for either in (network, followed))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert list(phases) == []
    assert not any(module._forward_hooks for module in network.modules())


def test_channels_are_drawn_anew_each_step_by_the_seed(textures):
    _, train, _ = textures
    drawn = []
    for seed in (0, 0, 1):
        recipe = recipes.make(settings_of("stoch_norm", probability=0.25))
        recipe.start(adapting(source_network()), None, Data(train, train.examples.labels), seed)
        steps = []
        for _ in range(3):
            recipe.extra_images(None)
            steps.append(torch.cat(list(recipe._from_batch.values())))
        drawn.append(torch.stack(steps))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    assert 0.15 < float(torch.cat(drawn).float().mean()) < 0.35
    again = recipes.make(recipe.settings)
    again.start(adapting(source_network()), None, recipe.data, 5)
    again.load_state(recipe.state())
    for one in (recipe, again):
        one.extra_images(None)
    assert all(torch.equal(recipe._from_batch[name], again._from_batch[name]) for name in again._from_batch)


def test_running_out_of_memory_changes_nothing(textures):
    """Blocks that are computed again take the same channels and the same running statistics."""
    _, train, _ = textures

    def weights(short):
        network = adapting(source_network())
        block = network.backbone.block3

        def full(_, inputs):
            if short and "forward" not in vars(block):
                raise torch.OutOfMemoryError("CUDA out of memory")

        block.register_forward_pre_hook(full)
        engine.run(started(settings_of("stoch_norm"), train, network))
        return network

    assert_same(weights(True), weights(False))


def test_what_has_no_statistics_to_choose_is_refused():
    recipe, settings = stochastic_norm.StochNorm, settings_of("stoch_norm")
    plain = Network(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), nn.Linear(3, 2), Parts(None, False))
    assert recipe.refuses(settings, plain) == "it has no batch norm with running statistics"
    assert recipe.refuses(settings, source_network()) == ""
    check, task = KINDS["stoch_norm"].check, Task(5, 3)
    assert check(settings, task) == ""
    assert "leaves no batch statistics" in check(settings_of("stoch_norm", batchnorm="eval"), task)

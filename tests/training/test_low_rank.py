"""Factors against an explicit convolution of a convolution, and what is left of them in the end."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from tests.conftest import OWN_NETWORKS
from tests.training.adapting import (
    SEED,
    assert_same,
    differs,
    initial,
    run,
    settings,
    started,
    trained,
)
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.models.network import Network, Parts
from transferlens.training import source
from transferlens.training.recipes import low_rank

LAYERS = {
    "linear": lambda: nn.Linear(8, 16),
    "strided": lambda: nn.Conv2d(8, 16, 3, 2, 1),
    "dilated": lambda: nn.Conv2d(8, 16, 3, padding=2, dilation=2, bias=False),
    "grouped": lambda: nn.Conv2d(8, 16, 3, padding=1, groups=2),
}


def explicit(layer, factors, x):
    """layer(x) + alpha / rank * B(A(x)), layer by layer."""
    b = factors.b[..., None, None]
    if isinstance(layer, nn.Linear):
        return layer(x) + factors.scale * x @ factors.a.T @ factors.b.T
    middle = nn.functional.conv2d(
        x, factors.a, None, layer.stride, layer.padding, layer.dilation, layer.groups
    )
    return layer(x) + factors.scale * nn.functional.conv2d(middle, b, groups=layer.groups)


@pytest.mark.parametrize("kind", LAYERS)
def test_factors_are_two_layers_one_after_the_other(kind):
    torch.manual_seed(0)
    layer = LAYERS[kind]().double()
    factors = low_rank.LowRank(layer, 4, 6.0, torch.Generator().manual_seed(0))
    assert torch.equal(factors(layer.weight), layer.weight)  # B is zero
    nn.init.normal_(factors.b)
    x = torch.randn(2, 8, dtype=torch.float64) if kind == "linear" else torch.randn(2, 8, 9, 9).double()
    expected = explicit(layer, factors, x)
    adapted = copy.deepcopy(layer)
    adapted.weight = nn.Parameter(factors(layer.weight).detach())
    torch.testing.assert_close(adapted(x), expected, rtol=0, atol=1e-13)


def test_factors_have_few_parameters():
    factors = low_rank.LowRank(nn.Conv2d(8, 16, 3), 4, 4.0, torch.Generator())
    assert sum(parameter.numel() for parameter in factors.parameters()) == 352


def logits(network, images):
    with torch.inference_mode():
        return network.eval()(images)


def test_a_run_begins_at_the_source_and_ends_in_a_plain_network(textures):
    _, images, _ = textures
    batch = next(iter(images.evaluation_batches(90)))
    before = logits(initial(), batch)
    recipe = started(settings("lora", rank=2, alpha=4.0), initial(), images)
    assert torch.equal(logits(recipe.network, batch), before)
    run(recipe)
    plain = recipe.inference()
    assert set(plain.state_dict()) == set(initial().state_dict())
    assert all(parameter.requires_grad for parameter in plain.parameters())
    torch.testing.assert_close(logits(plain, batch), logits(recipe.network, batch), rtol=0, atol=1e-6)
    assert differs(plain.backbone, initial().backbone)
    loaded = initial()
    loaded.load_state_dict(plain.state_dict())
    assert_same(loaded, plain)


def test_only_factors_and_head_are_trained(textures):
    """The source's weights, biases, normalisations and running statistics stay as they were."""
    _, images, _ = textures
    network = initial()
    recipe = started(settings("lora", rank=2, layers=["block2", "block3.second"]), network, images)
    run(recipe)
    source = initial()
    adapted = {"block2", "block3.second"}
    for name, value in recipe.inference().backbone.state_dict().items():
        moved = name.endswith("0.weight") and any(part in name for part in adapted)
        assert torch.equal(value, source.backbone.state_dict()[name]) != moved, name
    original = network.backbone.block2.first[0].parametrizations.weight.original
    assert torch.equal(original, source.backbone.block2.first[0].weight)
    assert differs(network.head, source.head)
    grouped = [parameter for group in recipe.groups() for parameter in group.parameters]
    assert len(grouped) == len({id(parameter) for parameter in grouped}) == 2 + 2 * 4


def test_running_statistics_move_where_they_are_asked_to(textures):
    _, images, _ = textures
    found = trained(images, settings("lora", batchnorm="train")).network.backbone.stem[1]
    assert not torch.equal(found.running_mean, initial().backbone.stem[1].running_mean)


def grouped(groups):
    backbone = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=groups), nn.Flatten())
    return Network(backbone, nn.Linear(8, 3), Parts(None, pools=False))


def refused(network, **others):
    return low_rank.Lora.refuses(settings("lora", **others), network)


def test_what_cannot_be_adapted_is_refused_by_name(textures):
    _, images, _ = textures
    assert refused(grouped(4), rank=8) == ""
    assert "rank 6 is no multiple of the 4 groups of layer '1'" in refused(grouped(4), rank=6)
    assert refused(grouped(8), rank=6) == ""  # depthwise layers stay as they are
    assert list(low_rank.adaptable(grouped(8).backbone, None)) == ["0"]
    assert "'stm'" in refused(initial(), layers=["stm"])
    with pytest.raises(ConfigError, match=r"'lora' cannot train this network.*groups"):
        trained(images, settings("lora", rank=6), lambda: grouped(4))


def test_torchs_attention_is_adapted_where_it_has_layers():
    """Its projection of outputs is a layer whose weights are used, and which is never called."""
    architecture = NetworkSettings(file=f"{OWN_NETWORKS}:make_class_token_vit", image_size=224, patch_size=56)
    network = source.initial_network(architecture, 3, 0)
    nn.init.normal_(network.head.weight)  # torchvision's begins with zeros
    recipe = started(settings("lora", layers=["out_proj"]), network)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    network(images).square().sum().backward()
    factors = recipe.groups()[1].parameters
    assert len(factors) == 4
    assert all(b.grad.abs().sum() > 0 for b in factors[1::2])


def test_factors_are_a_function_of_the_seed(textures):
    first, again = (started(settings("lora"), initial()) for _ in range(2))
    assert_same(first.network, again.network)
    other = initial()
    recipe = low_rank.Lora(settings("lora"))
    recipe.start(other, None, None, SEED + 1)
    a = other.backbone.stem[0].parametrizations.weight[0].a
    assert not torch.equal(a, first.network.backbone.stem[0].parametrizations.weight[0].a)


def test_peft_computes_the_same():
    """Outputs, gradients of the factors, and merged weights of convolutions and a linear layer."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    convolutions = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2)
    plain = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(144, 5)).double()
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["0", "2", "4"])
    theirs = peft.inject_adapter_in_model(config, copy.deepcopy(plain)).double()
    ours, generator = copy.deepcopy(plain), torch.Generator().manual_seed(1)
    pairs = []
    for name, layer in low_rank.adaptable(ours, None).items():
        factors = low_rank.LowRank(layer, 4, 6, generator)
        parametrize.register_parametrization(layer, "weight", factors)
        adapter = theirs.get_submodule(name)
        pairs.append((factors, adapter.lora_A["default"].weight, adapter.lora_B["default"].weight))
        with torch.no_grad():
            factors.b.normal_()
            pairs[-1][1].copy_(factors.a)
            pairs[-1][2].copy_(factors.b.view_as(pairs[-1][2]))
    images = torch.randn(6, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-12, atol=1e-12)
    for network in (ours, theirs):
        network(images).square().sum().backward()
    for factors, a, b in pairs:
        torch.testing.assert_close(factors.a.grad, a.grad, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(factors.b.grad, b.grad.view_as(factors.b), rtol=1e-10, atol=1e-10)
    for name, layer in low_rank.adaptable(ours, None).items():
        adapter = theirs.get_submodule(name)
        merged = adapter.base_layer.weight + adapter.get_delta_weight("default")
        torch.testing.assert_close(layer.weight, merged, rtol=1e-12, atol=1e-12)

"""Looking into a network changes nothing of it."""

import pytest
import torch

from tests.conftest import ARCHITECTURE
from transferlens.core.errors import ConfigError
from transferlens.models import contract, layers

LAYERS = ["backbone.stem", "backbone.block2.first"]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return contract.build(ARCHITECTURE, 3).eval()


def test_the_latest_outputs_of_layers_are_kept(network):
    first, second = torch.randn(2, 4, 3, 28, 28).unbind()
    with layers.watch(network, LAYERS) as latest:
        assert not latest
        network(first)
        network(second)
        assert list(latest) == LAYERS
        torch.testing.assert_close(latest["backbone.stem"], network.backbone.stem(second))
    assert not any(module._forward_hooks for module in network.modules())


def test_what_is_kept_is_not_changed_by_what_works_in_place(network):
    """The second half of a residual block ends in an in-place activation of its sum."""
    convolution = network.backbone.stem[0]
    images = torch.randn(4, 3, 28, 28)
    with layers.watch(network, ["backbone.stem.1"]) as latest:
        network(images)
    expected = network.backbone.stem[1](convolution(images))
    assert (expected < 0).any()
    torch.testing.assert_close(latest["backbone.stem.1"], expected)


def test_gradients_flow_through_what_is_kept(network):
    with layers.watch(network, ["backbone.block1"]) as latest:
        network(torch.randn(2, 3, 28, 28))
    latest["backbone.block1"].sum().backward()
    assert network.backbone.stem[0].weight.grad.abs().sum() > 0


def test_a_hook_may_replace_an_output(network):
    images = torch.randn(2, 3, 28, 28)
    with layers.hooked(network, ["backbone"], lambda layer, output: torch.zeros_like(output)):
        torch.testing.assert_close(network(images), network.head.bias.expand(2, 3))
    assert not torch.allclose(network(images), network.head.bias.expand(2, 3))


def test_hooks_are_gone_after_an_error(network):
    def refuse(layer, output):
        raise RuntimeError(layer)

    with pytest.raises(RuntimeError, match=r"backbone\.stem"), layers.hooked(network, LAYERS, refuse):
        network(torch.randn(2, 3, 28, 28))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_that_is_none_is_named_with_the_nearest(network):
    with (
        pytest.raises(ConfigError, match=r"has no layer 'backbone.blok2' .did you mean 'backbone.block2'"),
        layers.watch(network, ["backbone.blok2"]),
    ):
        pass
    with pytest.raises(ConfigError, match=r"heatmaps\.layer: the network has no layer"):
        layers.find(network, "x", "heatmaps.layer")
    assert layers.find(network, "backbone.block2") is network.backbone.block2

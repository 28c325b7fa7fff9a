"""Looking into a network: the one place that hooks its layers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from transferlens.core.errors import ConfigError, nearest

Forward = Callable[[torch.Tensor], torch.Tensor]
# What is done with a layer's output: looked at (returns None), or replaced by what is returned.
Hook = Callable[[str, torch.Tensor], torch.Tensor | None]


def find(network: nn.Module, layer: str, named: str = "layer") -> nn.Module:
    """The module of a network at a path such as `backbone.block3`.

    Args:
        named: the setting that named it, for messages.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    return _find(dict(network.named_modules()), layer, named)


def _find(modules: Mapping[str, nn.Module], layer: str, named: str = "layer") -> nn.Module:
    if layer not in modules:
        known = [name for name in modules if name]
        raise ConfigError(f"{named}: the network has no layer '{layer}'" + nearest(layer, known))
    return modules[layer]


@contextmanager
def hooked(network: nn.Module, layers: Sequence[str], hook: Hook) -> Iterator[None]:
    """Every forward pass in the block gives the outputs of these layers to `hook`, by name.

    Raises:
        ConfigError: no such layer.
    """

    def call(name: str, _module: nn.Module, _inputs: tuple, output: torch.Tensor) -> torch.Tensor | None:
        return hook(name, output)

    known = dict(network.named_modules())
    modules = [_find(known, layer) for layer in layers]
    handles = [
        module.register_forward_hook(partial(call, layer))
        for layer, module in zip(layers, modules, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# Is told a layer's name, the layer, its inputs and its output, which is replaced by what is returned.
Observer = Callable[[str, nn.Module, tuple, object], torch.Tensor | None]


@contextmanager
def observed(network: nn.Module, layers: Iterable[str], observer: Observer) -> Iterator[None]:
    """Every forward pass in the block tells `observer` of each call of these layers, when it is done."""

    def call(name: str, module: nn.Module, inputs: tuple, output: object) -> torch.Tensor | None:
        return observer(name, module, inputs, output)

    handles = [network.get_submodule(layer).register_forward_hook(partial(call, layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watch(network: nn.Module, layers: Sequence[str]) -> Iterator[Mapping[str, torch.Tensor]]:
    """Yields the outputs of layers in the latest forward pass of the block, by name.

    They are copies, as an in-place activation further on would change the outputs; gradients flow through.
    """
    latest: dict[str, torch.Tensor] = {}

    def keep(layer: str, output: torch.Tensor) -> None:
        latest[layer] = output.clone()

    with hooked(network, layers, keep):
        yield latest


@contextmanager
def replaced(forwards: dict[nn.Module, Forward]) -> Iterator[None]:
    """Modules compute something else for a while."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The batch normalisations of a network."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]

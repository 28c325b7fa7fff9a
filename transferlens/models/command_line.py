"""A network and its weights as they are named on a command line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transferlens.core import limits
from transferlens.core.configuration import typed
from transferlens.core.errors import ConfigError
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.models import architectures, contract
from transferlens.models import weights as foreign
from transferlens.models.network import Network


def network_settings(
    architecture: str, options: Sequence[str], parts: Sequence[str], resolution: int | None
) -> NetworkSettings:
    """A network by name or from a user's file, as it is named on a command line.

    Args:
        architecture: `resnet18`, `timm/<name>`, or `my_net.py:make_net`.
        options: `key=value` each, passed on to what builds it.
        parts: `key=value` each, where it keeps its parts.
        resolution: of the images, in pixels; None for the size that it is built for by an option, else for
            what its published weights expect, else for 224.

    Raises:
        ConfigError, SetupError: no such network, option or part, or one that is not understood.
    """
    own = _pairs(options, "--option")
    for key in own.keys() & NetworkSettings.model_fields.keys():
        raise ConfigError(f"--option: '{key}' is no option of a network; write --{_ARGUMENTS.get(key, key)}")
    kind = "file" if ".py:" in architecture else "name"
    given = {kind: architecture, "parts": _pairs(parts, "--part"), **own}
    settings = NetworkSettings.read(given, "architecture")
    if resolution is None:
        expected = architectures.expected_input(settings)
        usual = expected.resolution if expected else NetworkSettings.model_fields["resolution"].default
        resolution = own.get(architectures.size_option(settings), usual)
    settings = NetworkSettings.read({**given, "resolution": resolution}, "architecture")
    limits.check(settings)
    contract.find(settings)
    return settings


def anywhere(settings: NetworkSettings) -> NetworkSettings:
    """The same network by the absolute path of its file, if a file makes it."""
    if settings.file is None:
        return settings
    path, _, function = settings.file.rpartition(":")
    return settings.model_copy(update={"file": f"{Path(path).resolve()}:{function}"})


# How settings of a network that are no options of it are given.
_ARGUMENTS = {"name": "architecture", "file": "architecture", "parts": "part"}
_PATHS = ("head", "class_map_layer")  # parts whose value is text, however much it looks like a number


def _pairs(given: Sequence[str], argument: str) -> dict[str, Any]:
    """Values by key from texts `key=value`, with the types that their spelling has in YAML."""
    for text in given:
        if not re.match(r"\w+=.", text):
            raise ConfigError(f"{argument}: '{text}' is not understood; write KEY=VALUE")
    pairs = dict(text.split("=", 1) for text in given)
    return {k: v if k in _PATHS and not v.startswith("[") else typed(v) for k, v in pairs.items()}


def scaling(
    settings: NetworkSettings, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Sequence[float], Sequence[float]]:
    """(mean, std) of the channels as given, else as published weights expect, else ImageNet's."""
    expected = architectures.expected_input(settings) or InputSettings()
    return mean or expected.mean, std or expected.std


def load_model(weights: str, named: str, settings: NetworkSettings, class_names: list[str]) -> Network:
    """A model from a checkpoint file or published weights, in evaluation mode.

    Args:
        named: the setting that named the weights, for messages.

    Raises:
        ConfigError: no such weights; those of another network or number of classes.
    """
    state = foreign.read(settings, weights, named, download=True)
    network = contract.build(settings, len(class_names)).eval()
    head = state["head.weight"]
    if len(head) != len(class_names):
        raise ConfigError(
            f"{weights}: its head has {len(head)} classes, but {len(class_names)} are named; correct the "
            "list of classes"
        )
    foreign.load(network, state, weights)
    return network


def load_encoder(weights: str, named: str, settings: NetworkSettings) -> tuple[Network, bool]:
    """(a model from a file or published weights, in evaluation mode; whether it has a head of its own).

    Raises:
        ConfigError: no such weights, or those of another network.
    """
    try:
        state = foreign.read(settings, weights, named, download=True)
        classes = len(state["head.bias"])
    except ConfigError:
        state, classes = foreign.read(settings, weights, named, head=False, download=True), 0
    network = contract.build(settings, classes or 1).eval()
    foreign.load(network, state if classes else state | network.head.state_dict(prefix="head."), weights)
    return network, classes > 0

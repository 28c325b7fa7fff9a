"""Where a network's head is, and what the network is without it.

A head is a linear layer whose output for one vector of features an image is what the network gives; or
several whose mean it gives; or those that the settings name, whatever follows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.settings import NetworkSettings
from transferlens.models import architectures, layers

IMAGES, CLASSES = 2, 7  # of the pass in which networks are looked at


@dataclass(frozen=True)
class Heads:
    """Linear layers that give a network's logits: one, or several whose outputs are averaged.

    Attributes:
        paths: in the network as built.
        last: whether nothing follows, so that without it the network gives features.
    """

    paths: tuple[str, ...]
    last: bool


def split(network: nn.Module, heads: Heads) -> tuple[nn.Module, nn.Linear]:
    """Take the head off a network: (backbone from images to features, head), sharing its parameters.

    Of several heads whose outputs are averaged, features are what each of them sees, one beside the other.
    """
    linear = [network.get_submodule(path) for path in heads.paths]
    for path in heads.paths:
        network.set_submodule(path, nn.Identity() if heads.last else _Tap(linear[0].out_features))
    return network if heads.last else Tapped(network, heads.paths), one_head(linear)


class _Tap(nn.Module):
    """Stands in a head's place, and notes what it would see."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes
        self.seen: torch.Tensor | None = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Zeros [N, C] in place of logits, for whatever follows."""
        self.seen = features
        return features.new_zeros(*features.shape[:-1], self.classes)


TAPPED = "network"  # where a tapped network is


class Tapped(nn.Module):
    """A network of which what its heads would see is taken, one beside the other: [N, D].

    Args:
        taps: where its heads were.
    """

    def __init__(self, network: nn.Module, taps: Sequence[str]):
        super().__init__()
        self.network, self.taps = network, tuple(taps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features [N, D] of images [N, 3, H, W]."""
        self.network(images)
        taps = [self.network.get_submodule(path) for path in self.taps]
        seen = [tap.seen for tap in taps]
        for tap in taps:
            tap.seen = None
        return torch.cat(seen, dim=1)


def one_head(heads: Sequence[nn.Linear]) -> nn.Linear:
    """One linear layer that gives the mean of what several give; one without a bias gets zeros for it.

    It is a plain one, whatever else (a weight norm, say) makes the weights of those.
    """
    first = heads[0]
    if len(heads) == 1 and type(first) is nn.Linear and first.bias is not None:
        return first
    inputs = sum(head.in_features for head in heads)
    made = nn.Linear(inputs, first.out_features, device=first.weight.device, dtype=first.weight.dtype)
    with torch.no_grad():
        made.weight.copy_(torch.cat([head.weight for head in heads], dim=1) / len(heads))
        made.bias.zero_()
        for head in heads:
            if head.bias is not None:
                made.bias += head.bias / len(heads)
    return made


def find(network: nn.Module, images: torch.Tensor, given: NetworkSettings) -> Heads:
    """Where a network's heads are: those that are named, or those whose outputs are its logits.

    Args:
        network: that gives logits for `CLASSES` classes; heads that are zero at first are drawn at random.
        images: float32[IMAGES, 3, H, W].

    Raises:
        ConfigError: what it gives are no logits, or no head gives them; naming what was found and the cure.
    """
    linear = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    for module in linear.values():
        if module.out_features == CLASSES:  # some are zero at first, and would tell nothing
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias)
    seen: dict[str, tuple[torch.Size, torch.Tensor]] = {}

    def note(name: str, module: nn.Linear, inputs: tuple, output: torch.Tensor) -> None:
        seen.pop(name, None)
        if same(output, functional.linear(inputs[0], module.weight, module.bias)):  # and no cosine, say
            seen[name] = inputs[0].shape, output.clone()  # a copy, as what follows may work in place

    with torch.no_grad():
        with layers.observed(network.eval(), linear, note):
            logits = _logits(network, images, given)
        _logits(network.train(), images, given, " in training")
    if given.parts.head is not None:
        return _named_heads(given, linear, seen, logits)
    return _found_heads(given, seen, logits)


def _logits(network: nn.Module, images: torch.Tensor, given: NetworkSettings, when: str = "") -> torch.Tensor:
    """What a network gives for images, if these are logits."""
    try:
        output = network(images.clone())  # as some work in place on what they are given
    except Exception as error:
        raise ConfigError(
            f"architecture: {given.title} cannot take images of {given.resolution} px{when} "
            f"({architectures.raised(error, given)}); set input.resolution to a size that it takes"
            f"{_sizes(given)}"
        ) from error
    if not torch.is_tensor(output):
        raise ConfigError(
            f"architecture: {given.title} gives a {type(output).__name__}{when}, not a tensor of logits "
            "(auxiliary outputs?); switch them off by its options, or return the logits alone"
        )
    if output.shape != (IMAGES, CLASSES):
        raise ConfigError(
            f"architecture: {given.title}, asked for {CLASSES} classes, gives a tensor of shape "
            f"{tuple(output.shape)} for {IMAGES} images{when}, not ({IMAGES}, {CLASSES}); a network must "
            "take the number of classes, and give one logit each"
        )
    if not output.isfinite().all():
        raise ConfigError(
            f"architecture: {given.title} gives logits that are not finite{when} for images of "
            f"{given.resolution} px, freshly initialised; correct the network"
        )
    return output


def _sizes(given: NetworkSettings) -> str:
    """What a message says of the sizes of a network."""
    expected = architectures.expected_input(given)
    known = f" (its weights expect {expected.resolution})" if expected else ""
    option = architectures.size_option(given)
    own = f", or give a vision transformer its size: architecture.{option}: {given.resolution}"
    return known + (own if option else "")


def _named_heads(
    given: NetworkSettings, linear: dict[str, nn.Linear], seen: dict[str, Any], logits: torch.Tensor
) -> Heads:
    named = given.parts.head
    paths = (named,) if isinstance(named, str) else tuple(named)
    fitting = [path for path in _two_dimensional(seen) if linear[path].out_features == CLASSES]
    for path in paths:
        if path not in linear:
            raise ConfigError(
                f"architecture.parts.head: {given.title} has no linear layer '{path}'"
                + nearest(path, list(linear))
            )
        if path not in fitting:
            raise ConfigError(
                f"architecture.parts.head: '{path}' of {given.title} does not turn one vector of features an "
                f"image into one logit a class{nearest(path, fitting) if fitting else ''}; name another layer"
            )
    return Heads(paths, len(paths) == 1 and same(seen[paths[0]][1], logits))


def _found_heads(given: NetworkSettings, seen: dict[str, Any], logits: torch.Tensor) -> Heads:
    candidates = [name for name in _two_dimensional(seen) if seen[name][1].shape == logits.shape]
    outputs = [seen[name][1] for name in candidates]
    for name, output in reversed(list(zip(candidates, outputs, strict=True))):
        if same(output, logits):
            return Heads((name,), last=True)
    if len(outputs) > 1 and same(torch.stack(outputs).mean(0), logits):
        return Heads(tuple(candidates), last=False)
    if len(candidates) > 1:
        raise ConfigError(
            f"architecture: {given.title} has several heads ({', '.join(candidates)}), and gives neither "
            "one's logits nor their mean; name one: architecture.parts.head"
        )
    if candidates:
        raise ConfigError(
            f"architecture: {given.title} gives something else than what its last linear layer "
            f"'{candidates[0]}' does (a softmax follows it?); name it to leave out what follows: "
            f"architecture.parts.head: {candidates[0]}"
        )
    acting = [name for name, (_, output) in seen.items() if output.shape[-1] == CLASSES]
    found = (
        f"'{acting[-1]}' acts on more than one vector an image"
        if acting
        else "no linear layer gives its logits"
    )
    raise ConfigError(
        f"architecture: the head of {given.title} is not found: {found}; a network must end in one linear "
        "layer on one vector of features an image"
    )


def _two_dimensional(seen: dict[str, Any]) -> list[str]:
    """Linear layers that saw one vector an image."""
    return [name for name, (shape, _) in seen.items() if len(shape) == 2]


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors agree but for rounding, and say something."""
    if found.shape != expected.shape:
        return False
    largest = expected.abs().max()
    return bool(largest > 0) and bool((found - expected).abs().max() <= 1e-4 * largest)

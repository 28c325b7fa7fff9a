"""What a network is found to be, by passing two random images through it on the CPU; nothing goes by its name.

A network qualifies if its logits are what its last linear layer gives of a vector of features (or the mean of what
several such layers give). Then it is a backbone and a head, and where class maps come from, where the main path
goes and what else is in it is looked up in the same pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.settings import ArchitectureSettings, NetworkSettings
from transferlens.models import architectures, grids, layers, main_path
from transferlens.models.network import Network, Parts

_IMAGES, _CLASSES = 2, 7
# Layers that make nothing of their own: their outputs are not where class maps are looked for.
_PASSES_ON = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Softmax,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)


@dataclass(frozen=True)
class Heads:
    """Linear layers that give a network's logits: one, or several whose outputs are averaged.

    Attributes:
        paths: in the network as built.
        last: whether nothing follows, so that without it the network gives features.
    """

    paths: tuple[str, ...]
    last: bool


@dataclass(frozen=True)
class Contract:
    """What was found.

    Attributes:
        heads: where the linear layers are that give the logits.
        features: how many numbers the head sees of an image.
        parts: of the backbone.
        cells: (height, width) of class maps; None where there are none.
        no_evidence: why class maps do not add up to logits; "" if they do.
        batchnorm: whether there is batch normalisation, so that images of a batch see each other in training.
        stored: numbers in every tensor of the network's state but its head's, and bytes of one.
    """

    heads: Heads
    features: int
    parts: Parts
    cells: tuple[int, int] | None
    no_evidence: str
    batchnorm: bool
    stored: tuple[tuple[int, int], ...]


def find(settings: ArchitectureSettings) -> Contract:
    """The contract of an architecture for images of its settings' resolution, looked up once a process.

    Raises:
        ConfigError: a network that does not qualify, naming what was found and the cure.
        SetupError: a network of a package that is not installed.
    """
    return _found(NetworkSettings.model_validate(settings.model_dump()).model_dump_json())


@cache
def _found(settings: str) -> Contract:
    given = NetworkSettings.model_validate_json(settings)
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.device("cpu"),
        torch.autocast("cpu", enabled=False),
    ):
        torch.manual_seed(0)
        network = architectures.make(given, _CLASSES).float()
        images = torch.randn(_IMAGES, 3, given.resolution, given.resolution)
        heads = _heads(network, images, given)
        backbone, head = split(network, heads)
        return _look(backbone, head, heads, images, given)


def build(settings: ArchitectureSettings, classes: int) -> Network:
    """A freshly initialised network with a head of `classes` outputs (torch's global seed decides it).

    Raises:
        ConfigError, SetupError: as `find`.
    """
    found = find(settings)
    backbone, head = split(architectures.make(settings, classes), found.heads)
    return Network(backbone, head, found.parts)


# From a network to a backbone and a head


def split(network: nn.Module, heads: Heads) -> tuple[nn.Module, nn.Linear]:
    """Take the head off a network: (backbone from images to features, head), sharing its parameters.

    Of several heads whose outputs are averaged, features are what each of them sees, one beside the other.
    """
    linear = [network.get_submodule(path) for path in heads.paths]
    for path in heads.paths:
        network.set_submodule(path, nn.Identity() if heads.last else _Tap())
    return network if heads.last else Tapped(network, heads.paths), one_head(linear)


class _Tap(nn.Module):
    """Stands in a head's place, and notes what it would see."""

    seen: torch.Tensor | None = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The features, as they are."""
        self.seen = features
        return features


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
    """One linear layer that gives the mean of what several give; one without a bias gets zeros for it."""
    first = heads[0]
    if len(heads) == 1 and first.bias is not None:
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


def _heads(network: nn.Module, images: torch.Tensor, given: NetworkSettings) -> Heads:
    """Where a network's heads are: those that are named, or those whose outputs are its logits."""
    linear = {name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    for module in linear.values():
        if module.out_features == _CLASSES:  # some are zero at first, and would tell nothing
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
        output = network(images)
    except Exception as error:
        raise ConfigError(
            f"architecture: {given.title} cannot take images of {given.resolution} px{when} "
            f"({architectures.first_line(error)}); set input.resolution to a size that it takes{_sizes(given)}"
        ) from error
    if not torch.is_tensor(output):
        raise ConfigError(
            f"architecture: {given.title} gives a {type(output).__name__}{when}, not a tensor of logits (auxiliary "
            "outputs?); switch them off by its options, or return the logits alone"
        )
    if output.shape != (_IMAGES, _CLASSES):
        raise ConfigError(
            f"architecture: {given.title}, asked for {_CLASSES} classes, gives a tensor of shape "
            f"{tuple(output.shape)} for {_IMAGES} images{when}, not ({_IMAGES}, {_CLASSES}); a network must take the "
            "number of classes, and give one logit each"
        )
    return output


def _sizes(given: NetworkSettings) -> str:
    """What a message says of the sizes of a network."""
    expected = architectures.expected_input(given)
    known = f" (its weights expect {expected.resolution})" if expected else ""
    option = {True: "img_size", False: "image_size"}[(given.name or "").startswith("timm/")]
    return f"{known}, or its own size by an option (architecture.{option}, of vision transformers)"


def _named_heads(
    given: NetworkSettings, linear: dict[str, nn.Linear], seen: dict[str, Any], logits: torch.Tensor
) -> Heads:
    named = given.parts.head
    paths = (named,) if isinstance(named, str) else tuple(named)
    for path in paths:
        if path not in linear:
            raise ConfigError(
                f"architecture.parts.head: {given.title} has no linear layer '{path}'"
                + nearest(path, list(linear))
            )
        if path not in seen or len(seen[path][0]) != 2 or linear[path].out_features != _CLASSES:
            raise ConfigError(
                f"architecture.parts.head: '{path}' of {given.title} does not turn one vector of features an image "
                f"into one logit a class; name another layer{nearest(path, _two_dimensional(seen))}"
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
            f"architecture: {given.title} has several heads ({', '.join(candidates)}), and gives neither one's logits "
            "nor their mean; name one: architecture.parts.head"
        )
    if candidates:
        raise ConfigError(
            f"architecture: {given.title} gives something else than what its last linear layer '{candidates[0]}' does "
            f"(a softmax follows it?); name it to leave out what follows: architecture.parts.head: {candidates[0]}"
        )
    acting = [name for name, (_, output) in seen.items() if output.shape[-1] == _CLASSES]
    found = (
        f"'{acting[-1]}' acts on more than one vector an image"
        if acting
        else "no linear layer gives its logits"
    )
    raise ConfigError(
        f"architecture: the head of {given.title} is not found: {found}; a network must end in one linear layer on "
        "one vector of features an image"
    )


def _two_dimensional(seen: dict[str, Any]) -> list[str]:
    """Linear layers that saw one vector an image."""
    return [name for name, (shape, _) in seen.items() if len(shape) == 2]


# What is in the backbone


@dataclass(frozen=True)
class _Call:
    """The last call of a layer that has cells.

    Attributes:
        output: as it is; what follows may have changed it in place.
        prefix_tokens: before those of the grid.
        cells: (height, width).
        means, rectified: [N, channels], over the cells, when it was made; of its positive part.
    """

    output: torch.Tensor
    prefix_tokens: int
    cells: tuple[int, int]
    means: torch.Tensor
    rectified: torch.Tensor

    @property
    def is_map(self) -> bool:
        """Whether there is more than one cell."""
        return self.cells[0] * self.cells[1] > 1


class _Pass:
    """What a forward pass of a backbone in evaluation mode shows.

    Attributes:
        features: [N, D].
        called: layers in the order in which they finished the last time.
        made_by: the operation that gave the output of each.
        calls: of those with cells.
        norms: (input, output) [N, D] of layer normalisations of one vector an image.
    """

    def __init__(self, backbone: nn.Module, images: torch.Tensor, given: NetworkSettings):
        self.given = given
        self.called: list[str] = []
        self.made_by: dict[str, Any] = {}
        self.calls: dict[str, _Call] = {}
        self.norms: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._patches: int | None = None
        known = dict(backbone.named_modules())
        self.passing_on = {name for name, module in known.items() if isinstance(module, _PASSES_ON)}
        with layers.observed(backbone, [name for name in known if name], self._note), torch.enable_grad():
            self.features = backbone(images)

    def _note(self, name: str, module: nn.Module, inputs: tuple, output: Any) -> None:
        if not torch.is_tensor(output):
            return
        for known in (self.made_by, self.calls, self.norms):
            known.pop(name, None)
        self.made_by[name] = output.grad_fn
        self.called = [*(other for other in self.called if other != name), name]
        if isinstance(module, nn.LayerNorm) and output[0].numel() == output.shape[1]:
            self.norms[name] = inputs[0].flatten(1).clone(), output.flatten(1).clone()
        prefix = self._prefix(output)
        if output.ndim < 3 or len(output) != _IMAGES or prefix is None:
            return
        if cells := grids.cells_of(output.shape, prefix):
            maps = grids.to_maps(output.detach(), prefix)
            self.calls[name] = _Call(output, prefix, cells, maps.mean((2, 3)), maps.relu().mean((2, 3)))
            if output.ndim == 4:
                self._patches = cells[0] * cells[1]

    def _prefix(self, output: torch.Tensor) -> int | None:
        """Tokens before those of the grid."""
        if output.ndim != 3:
            return 0
        if self.given.parts.prefix_tokens is not None:
            return self.given.parts.prefix_tokens
        prefix = grids.prefix_of(output.shape[1], self._patches)
        return grids.prefix_of(output.shape[1], None) if prefix is None else prefix

    def pooled(self, vectors: torch.Tensor, among: Sequence[str]) -> tuple[str, bool] | None:
        """The last of some layers with a map whose means over the cells, or those of its positive part, are these
        vectors [N, D]; and which of the two."""
        for name in reversed(among):
            call = self.calls[name]
            if call.is_map and call.means.shape == vectors.shape:
                for rectified, means in ((False, call.means), (True, call.rectified)):
                    if same(means, vectors):
                        return name, rectified
        return None

    def reaching(self, among: Sequence[str], width: int | None) -> str | None:
        """The last of some layers with a map through whose cells gradients reach the features.

        Args:
            width: channels of tokens; rows of tokens with other channels are inside of attention.
        """
        if not self.features.requires_grad:
            return next((n for n in reversed(among) if self.calls[n].is_map), None)
        weighted = (self.features * torch.randn_like(self.features)).sum()
        for name in reversed(among):
            call = self.calls[name]
            if (
                not call.is_map
                or not call.output.requires_grad
                or (call.output.ndim == 3 and call.output.shape[-1] != width)
            ):
                continue
            (gradient,) = torch.autograd.grad(weighted, call.output, retain_graph=True, allow_unused=True)
            if gradient is not None and grids.to_maps(gradient, call.prefix_tokens).any():
                return name
        return None


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors agree but for rounding, and say something."""
    if found.shape != expected.shape:
        return False
    largest = expected.abs().max()
    return bool(largest > 0) and bool((found - expected).abs().max() <= 1e-4 * largest)


def _look(
    backbone: nn.Module, head: nn.Linear, heads: Heads, images: torch.Tensor, given: NetworkSettings
) -> Contract:
    """Find the parts of a backbone in evaluation mode."""
    backbone.eval().requires_grad_(False)
    # Times one, as networks may work in place on what they are given.
    seen = _Pass(backbone, images.requires_grad_(True) * 1, given)
    if seen.features.shape != (_IMAGES, head.in_features):
        raise ConfigError(
            f"architecture: without its head, {given.title} gives features of shape {tuple(seen.features.shape)}, not "
            f"({_IMAGES}, {head.in_features}); name the layer: architecture.parts.head"
        )
    on_path = main_path.on_main_path(seen.features, seen.made_by)
    parts, reason = _class_maps(backbone, seen, on_path, given)
    if parts.class_map_layer and seen.calls[parts.class_map_layer].output.ndim == 3:
        parts, reason = _in_image_order(
            backbone, images, parts, reason, seen.calls[parts.class_map_layer].cells
        )
    if given.parts.blocks:
        for path in given.parts.blocks:
            layers.find(backbone, path, "architecture.parts.blocks")
        blocks = tuple(given.parts.blocks)
    else:
        blocks = main_path.blocks(backbone, seen.called, on_path, "" if heads.last else TAPPED)
    layer = parts.class_map_layer
    return Contract(
        heads,
        head.in_features,
        replace(parts, blocks=blocks),
        seen.calls[layer].cells if layer else None,
        reason,
        any(isinstance(module, _BatchNorm) for module in backbone.modules()),
        tuple((tensor.numel(), tensor.element_size()) for tensor in backbone.state_dict().values()),
    )


def _class_maps(
    backbone: nn.Module, seen: _Pass, on_path: set[str], given: NetworkSettings
) -> tuple[Parts, str]:
    """Where class maps come from, and why they do not add up to logits ("" if they do)."""
    among = [name for name in seen.called if name in seen.calls and name not in seen.passing_on]
    if named := given.parts.class_map_layer:
        layers.find(backbone, named, "architecture.parts.class_map_layer")
        if named not in seen.calls:
            raise ConfigError(
                f"architecture.parts.class_map_layer: '{named}' of {given.title} gives no square of cells"
                + nearest(named, among)
            )
        among = [named]
    features = seen.features.detach()
    normalised = [(norm, before) for norm, (before, after) in seen.norms.items() if same(after, features)]
    for norm, vectors in ((None, features), *normalised):
        if found := seen.pooled(vectors, among):
            layer, rectified = found
            return Parts(layer, True, norm, rectified, seen.calls[layer].prefix_tokens), ""
    rows = [n for n in among if n in on_path and seen.calls[n].output.ndim == 3]
    layer = named or seen.reaching(among, seen.calls[rows[-1]].output.shape[-1] if rows else None)
    if layer is None:
        return Parts(None, False), "nothing in it has a height and a width"
    call = seen.calls[layer]
    return Parts(layer, False, prefix_tokens=call.prefix_tokens), _why_not(seen, call)


def _why_not(seen: _Pass, call: _Call) -> str:
    single = [c for c in seen.calls.values() if not c.is_map and same(c.means, seen.features.detach())]
    if single:
        return f"its last map has a single cell at {seen.given.resolution} px (larger images have more)"
    if call.prefix_tokens:
        return "its features are read from a token of their own, not from the mean of the picture's"
    return "its features are no means over the cells of a map (more layers stand between)"


def _in_image_order(
    backbone: nn.Module, images: torch.Tensor, parts: Parts, reason: str, cells: tuple[int, int]
) -> tuple[Parts, str]:
    """The parts, if tokens lie as the picture's cells do: a change in a cell changes its token most."""
    height, width = cells
    corners = [(0, width - 1), (height - 1, 0)]
    side = images.shape[-1] // height
    changed = images[:1].detach().repeat(1 + len(corners), 1, 1, 1)
    for image, (row, column) in zip(changed[1:], corners, strict=True):
        image[:, row * side : (row + 1) * side, column * side : (column + 1) * side] += 3
    with layers.watch(backbone, [parts.class_map_layer]) as latest, torch.no_grad():
        backbone(changed)
    maps = grids.to_maps(latest[parts.class_map_layer], parts.prefix_tokens)
    moved = (maps[1:] - maps[0]).square().sum(1).flatten(1).argmax(1)
    if moved.tolist() == [row * width + column for row, column in corners]:
        return parts, reason
    return Parts(None, False), (
        "a change in a corner of the picture does not change that corner's token most, so that they may lie otherwise "
        f"(after {parts.prefix_tokens} that stand for no cell: architecture.parts.prefix_tokens)"
    )

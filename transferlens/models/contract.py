"""What a network is found to be, by passing two random images through it; nothing goes by its name.

A network qualifies if its logits are what its last linear layer gives of a vector of features, or the mean of
what several such layers give (`heads`). Then it is a backbone and a head, and where class maps come from,
where the main path goes and what else is in it is looked up in the same pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.settings import ArchitectureSettings, NetworkSettings, digest_of
from transferlens.models import architectures, grids, heads, layers, main_path
from transferlens.models.heads import TAPPED, Heads, same, split
from transferlens.models.network import Network, Parts

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
class Contract:
    """What was found.

    Attributes:
        heads: where the linear layers are that give the logits.
        features: how many numbers the head sees of an image.
        parts: of the backbone.
        cells: (height, width) of class maps; None where there are none.
        shape: of what their layer gives of an image; None where there is none.
        no_evidence: why class maps do not add up to logits; "" if they do.
        batchnorm: whether there is batch normalisation, so that images of a batch see each other in training.
        stored: numbers in every tensor of the network's state but its head's, and bytes of one.
    """

    heads: Heads
    features: int
    parts: Parts
    cells: tuple[int, int] | None
    shape: tuple[int, ...] | None
    no_evidence: str
    batchnorm: bool
    stored: tuple[tuple[int, int], ...]


def find(settings: ArchitectureSettings) -> Contract:
    """The contract of an architecture for images of its settings' resolution, looked up once a process.

    Raises:
        ConfigError: a network that does not qualify, naming what was found and the cure.
        SetupError: a network of a package that is not installed.
    """
    given = NetworkSettings.model_validate(settings.model_dump())
    if given.file is not None and given.digest is None:  # as the same name may be another network
        given = given.model_copy(update={"digest": digest_of(given.file)})
    return _found(given.model_dump_json())


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
        network = architectures.make(given, heads.CLASSES).float()
        images = torch.randn(heads.IMAGES, 3, given.resolution, given.resolution)
        found = heads.find(network, images, given)
        backbone, head = split(network, found)
        return _look(backbone, head, found, images, given)


def build(settings: ArchitectureSettings, classes: int) -> Network:
    """A freshly initialised network with a head of `classes` outputs (torch's global seed decides it).

    Raises:
        ConfigError, SetupError: as `find`.
    """
    found = find(settings)
    backbone, head = split(architectures.make(settings, classes), found.heads)
    return Network(backbone, head, found.parts)


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
        made_by: the operation that gave the output of each layer, in the order in which they finished the
            last time.
        calls: of those with cells.
        norms: (input, output) [N, D] of layer normalisations of one vector an image.
        rows: lengths of the rows of tokens.
    """

    def __init__(self, backbone: nn.Module, images: torch.Tensor, given: NetworkSettings):
        self.given = given
        self.made_by: dict[str, Any] = {}
        self.calls: dict[str, _Call] = {}
        self.norms: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self.rows: set[int] = set()
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
        if isinstance(module, nn.LayerNorm) and output[0].numel() == output.shape[1]:
            self.norms[name] = inputs[0].flatten(1).clone(), output.flatten(1).clone()
        if output.ndim == 3:
            self.rows.add(output.shape[1])
        prefix = self._prefix(output)
        if output.ndim < 3 or len(output) != heads.IMAGES or prefix is None:
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
        """The last of some layers with a map of which these vectors [N, D] are the means over the cells.

        And whether they are those of its positive part.
        """
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


def _look(
    backbone: nn.Module, head: nn.Linear, found: Heads, images: torch.Tensor, given: NetworkSettings
) -> Contract:
    """Find the parts of a backbone in evaluation mode."""
    backbone.eval().requires_grad_(False)
    # Times one, as networks may work in place on what they are given.
    seen = _Pass(backbone, images.requires_grad_(True) * 1, given)
    if seen.features.shape != (heads.IMAGES, head.in_features):
        raise ConfigError(
            f"architecture: without its head, {given.title} gives features of shape "
            f"{tuple(seen.features.shape)}, not ({heads.IMAGES}, {head.in_features}); name the layer: "
            "architecture.parts.head"
        )
    _require_square_of_tokens(seen)
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
        blocks = main_path.blocks(backbone, seen.made_by, on_path, "" if found.last else TAPPED)
    layer = parts.class_map_layer
    return Contract(
        found,
        head.in_features,
        replace(parts, blocks=blocks),
        seen.calls[layer].cells if layer else None,
        tuple(seen.calls[layer].output.shape[1:]) if layer else None,
        reason,
        bool(layers.batch_norms(backbone)),
        tuple((tensor.numel(), tensor.element_size()) for tensor in backbone.state_dict().values()),
    )


def _require_square_of_tokens(seen: _Pass) -> None:
    """Refuse a given number of tokens before the grid after which no row of tokens is one."""
    prefix = seen.given.parts.prefix_tokens
    if prefix is not None and not any(call.output.ndim == 3 for call in seen.calls.values()):
        rows = ", ".join(map(str, sorted(seen.rows))) or "none"
        raise ConfigError(
            f"architecture.parts.prefix_tokens is {prefix}, after which no square of tokens remains in "
            f"{seen.given.title} (tokens in a row: {rows}); correct the number, or leave it out"
        )


def _class_maps(
    backbone: nn.Module, seen: _Pass, on_path: set[str], given: NetworkSettings
) -> tuple[Parts, str]:
    """Where class maps come from, and why they do not add up to logits ("" if they do)."""
    among = [name for name in seen.made_by if name in seen.calls and name not in seen.passing_on]
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
        return Parts(None, False), _why_not(seen, None)
    call = seen.calls[layer]
    return Parts(layer, False, prefix_tokens=call.prefix_tokens), _why_not(seen, call)


def _why_not(seen: _Pass, call: _Call | None) -> str:
    """Why class maps do not add up to logits, `call` being what they are made of, if there is anything."""
    single = [c for c in seen.calls.values() if not c.is_map and same(c.means, seen.features.detach())]
    if single:
        return f"its last map has a single cell at {seen.given.resolution} px (larger images have more)"
    if call is None:
        return "nothing in it has a height and a width"
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
        "a change in a corner of the picture does not change that corner's token most, so that they may lie "
        f"otherwise (after {parts.prefix_tokens} that stand for no cell: architecture.parts.prefix_tokens)"
    )

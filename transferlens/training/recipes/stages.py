"""Stages of a network: the blocks whose outputs have one shape, and the last block of each."""

import torch

from transferlens.models import grids, layers
from transferlens.models.network import Network


def refuses(network: Network) -> str:
    """Why a network has no stages, in words; '' if it has."""
    if network.parts.blocks:
        return ""
    return "no blocks were found in it that an image passes through one after the other"


def stage_ends(network: Network, resolution: int) -> tuple[str, ...]:
    """Layers `backbone.<block>` after which the map's size or the number of channels changes, and the last.

    Blocks before the first of a class that recurs are a stem's, and end no stage. Where all blocks give one
    shape, as in vision transformers, they are those at quarters of the depth (3, 6, 9 and 12 of 12).

    Args:
        network: in evaluation mode; blank images of `resolution` pixels pass through it.
    """
    blocks = _without_stem(network)
    shapes: dict[str, torch.Size] = {}

    def note(block: str, output: torch.Tensor) -> None:
        shapes[block] = output.shape

    blank = torch.zeros(1, 3, resolution, resolution, device=next(network.parameters()).device)
    with torch.no_grad(), layers.hooked(network, blocks, note):
        network.backbone(blank)
    following = [*blocks[1:], None]
    ends = [block for block, then in zip(blocks, following, strict=True) if shapes[block] != shapes.get(then)]
    return tuple(ends) if len(ends) > 1 else _quarters(blocks)


def _without_stem(network: Network) -> list[str]:
    """Layers of the blocks from the first of a class that recurs on."""
    paths = network.parts.blocks
    classes = [type(network.backbone.get_submodule(path)) for path in paths]
    recurs = [classes.count(one) > 1 for one in classes]
    first = recurs.index(True) if any(recurs) else 0
    return [f"backbone.{path}" for path in paths[first:]]


def _quarters(blocks: list[str]) -> tuple[str, ...]:
    """The blocks at each quarter of the depth."""
    depths = {-(-len(blocks) * quarter // 4) for quarter in (1, 2, 3, 4)}
    return tuple(blocks[depth - 1] for depth in sorted(depths))


def by_channel(output: torch.Tensor) -> torch.Tensor:
    """What a layer gives for N images as float32[N, channels, cells]; a token of no cell counts as one."""
    channels_first = output.float().movedim(grids.channel_axis(output.shape), 1)
    return channels_first.reshape(*channels_first.shape[:2], -1)

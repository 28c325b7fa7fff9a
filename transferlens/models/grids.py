"""How the cells of a picture lie in what a layer gives: channels first, channels last, or a row of tokens."""

import math

import torch

# Tokens that stand for no part of the picture: class, distillation, registers. More are no grid's leftover.
_MOST_PREFIX_TOKENS = 32


def cells_of(shape: torch.Size, prefix_tokens: int = 0) -> tuple[int, int] | None:
    """(height, width) of the grid in an output of this shape, for a square picture; None if there is none.

    [N, C, h, h] is a map with channels first, [N, h, h, C] one with channels last, [N, T, C] a row of tokens,
    of which the first `prefix_tokens` stand for no part of the picture.
    """
    if len(shape) == 4 and shape[2] == shape[3]:
        return shape[2], shape[3]
    if len(shape) == 4 and shape[1] == shape[2]:
        return shape[1], shape[2]
    if len(shape) == 3:
        side = math.isqrt(max(0, shape[1] - prefix_tokens))
        if side and side**2 == shape[1] - prefix_tokens:
            return side, side
    return None


def channels_of(shape: torch.Size) -> int:
    """Channels of an output in which `cells_of` finds a grid."""
    return shape[channel_axis(shape)]


def channel_axis(shape: torch.Size) -> int:
    """Where the channels of an output lie: 1, or -1 (the last)."""
    return 1 if len(shape) == 4 and shape[2] == shape[3] else -1


def to_maps(output: torch.Tensor, prefix_tokens: int = 0) -> torch.Tensor:
    """The output of a layer as maps [N, C, h, w], whichever way it lies (see `cells_of`).

    Raises:
        ValueError: there is no grid in it.
    """
    cells = cells_of(output.shape, prefix_tokens)
    if cells is None:
        raise ValueError(f"an output of shape {tuple(output.shape)} holds no grid of cells")
    if output.ndim == 3:
        return output[:, prefix_tokens:].transpose(1, 2).unflatten(2, cells)
    return output if channels_of(output.shape) == output.shape[1] else output.permute(0, 3, 1, 2)


def from_maps(maps: torch.Tensor, like: torch.Tensor, prefix_tokens: int = 0) -> torch.Tensor:
    """An output as `like` with the cells of maps [N, C, h, w]: the inverse of `to_maps`."""
    if like.ndim == 3:
        return torch.cat([like[:, :prefix_tokens], maps.flatten(2).transpose(1, 2)], dim=1)
    return maps if channels_of(like.shape) == like.shape[1] else maps.permute(0, 2, 3, 1)


def prefix_of(tokens: int, patches: int | None) -> int | None:
    """How many of a row of tokens stand before the grid's, if it is the grid of so many patches.

    Args:
        patches: cells of the last map before the tokens; None where there was none: then the grid is the
            largest square.

    Returns:
        None if the rest is no square, or too long for tokens that stand for no part of the picture.
    """
    grid = math.isqrt(tokens) ** 2 if patches is None else patches
    rest = tokens - grid
    return rest if grid and 0 <= rest <= _MOST_PREFIX_TOKENS else None

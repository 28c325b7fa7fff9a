"""Running networks on probe images: the maps of layers, and their peaks."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from transferlens.core.errors import ConfigError
from transferlens.dynamics.similarity import filters
from transferlens.dynamics.units import tracking
from transferlens.dynamics.units.choice import STRIPS, Shown
from transferlens.dynamics.units.tracking import Peaks
from transferlens.models import grids, layers
from transferlens.models.network import Network

_BATCH = 64
_SIDE = 56  # cells a side, at most, of maps that are held


@torch.inference_mode()
def cells_of(network: Network, paths: Sequence[str], images: torch.Tensor) -> dict[str, tuple[int, int]]:
    """(height, width) of the maps of those layers whose outputs hold a grid of more than one cell.

    Raises:
        ConfigError: none does.
    """
    with layers.watch(network, paths) as outputs:
        network(images[:1])
    found = {path: grids.cells_of(outputs[path].shape, _prefix(network, outputs[path])) for path in paths}
    found = {path: cells for path, cells in found.items() if cells is not None and max(cells) > 1}
    if not found:
        raise ConfigError(
            f"config: dynamics.units: no layer of {', '.join(paths)} has cells, so their units have no maps; "
            "name others in dynamics.layers, or set dynamics.units: null"
        )
    return found


@torch.inference_mode()
def maps_of(network: Network, paths: Sequence[str], images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What layers make of images [n, 3, H, W] as maps float32[n, C, h, w], by path.

    Raises:
        ValueError: the output of a layer holds no grid of cells.
    """
    with layers.watch(network, paths) as outputs:
        network(images)
    return {path: grids.to_maps(outputs[path], _prefix(network, outputs[path])) for path in paths}


def _prefix(network: Network, output: torch.Tensor) -> int:
    """Tokens of an output before those of cells: the network's, or none where they are yet to be added."""
    prefix = network.parts.prefix_tokens
    return prefix if grids.cells_of(output.shape, prefix) else 0


def peaks_of(network: Network, paths: Sequence[str], images: torch.Tensor) -> dict[str, Peaks]:
    """The peaks of all units of layers, by path; maps of one batch at a time are held."""
    parts = [
        {path: tracking.peaks(maps) for path, maps in maps_of(network, paths, batch).items()}
        for batch in images.split(_BATCH)
    ]
    return {path: tracking.joined([part[path] for part in parts]) for path in paths}


def maps_of_units(
    network: Network, units: Mapping[str, Sequence[Shown]], images: torch.Tensor
) -> dict[str, np.ndarray]:
    """Maps float32[units, STRIPS, h, w] of shown units of layers, each of its own images, by path."""
    parts: dict[str, list[np.ndarray]] = {path: [] for path in units}
    for batch in images.split(_BATCH):
        for path, maps in maps_of(network, list(units), batch).items():
            numbers = torch.tensor(
                [unit.number for unit in units[path]], dtype=torch.int64, device=maps.device
            )
            parts[path].append(maps[:, numbers].cpu().numpy())
    made = {}
    for path, of in units.items():
        chosen = np.array([unit.images for unit in of], np.int64).reshape(-1, STRIPS)
        made[path] = np.concatenate(parts[path])[chosen, np.arange(len(of))[:, None]]
    return made


def small_maps(network: Network, paths: Sequence[str], images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Maps of a few images float32[n, C, h, w], on the CPU, with at most 56 cells a side, by path."""
    made = maps_of(network, paths, images).items()
    return {path: filters.pooled(maps, _SIDE).float().cpu() for path, maps in made}

"""The models of a study's rows as networks, for whoever needs them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.settings import NetworkSettings
from transferlens.core.studies import Rows
from transferlens.models import states
from transferlens.models.network import Network
from transferlens.training import recipes, source
from transferlens.training.artefacts import SOURCE_MODELS, TRAJECTORIES, TRANSFER_RUNS
from transferlens.training.recipes import kinds


@dataclass(frozen=True)
class Adapted:
    """The outcome of one transfer run; networks in evaluation mode, on one device.

    Attributes:
        source: the source model, with its own head.
        network: the adapted model, with its target head.
    """

    source: Network
    network: Network


def study_rows(source_paths: Sequence[Path]) -> Rows:
    """The rows of all shards of source models, in order."""
    return studies.joined([_rows(path) for path in source_paths], list(source_paths))


def source_networks(
    source_paths: Sequence[Path],
    architecture: NetworkSettings,
    device: torch.device,
    rows: Sequence[int] | None = None,
    step: int | None = None,
) -> Iterator[Network]:
    """The source models of a study's rows, with their own heads, one at a time in evaluation mode.

    Args:
        source_paths: shards of source models.
        rows: row numbers of the study, in the order wanted; None for all of these shards.
        step: the checkpoint after so many optimiser steps; None for the trained models.

    Raises:
        ArtefactError: a damaged file, a row or a checkpoint that is in none.
    """
    for shard, i in places(source_paths, rows):
        with artefacts.open(source_paths[shard], SOURCE_MODELS) as file:
            network = source.load_network(file, i, architecture, device)
            if step is not None:
                states.load_checkpoint(file, i, step, network)
        yield network.eval()


def adapted_networks(
    source_paths: Sequence[Path],
    transfer_paths: Sequence[Path],
    architecture: NetworkSettings,
    device: torch.device,
    rows: Sequence[int] | None = None,
) -> Iterator[Adapted]:
    """The transfer runs of a study's rows, one at a time; arguments as of `source_networks`.

    Args:
        transfer_paths: the transfer runs of each of these shards.

    Raises:
        ArtefactError: as `source_networks`, or a recipe that changes the backbone where weights were not
            kept.
    """
    for shard, i in places(source_paths, rows):
        with (
            artefacts.open(source_paths[shard], SOURCE_MODELS) as of_source,
            artefacts.open(transfer_paths[shard], TRANSFER_RUNS) as file,
        ):
            own, network = (source.load_network(of_source, i, architecture, device) for _ in range(2))
            network = _adapted(_converted(network, file), file, i)
        yield Adapted(own.eval(), _placed(network, device))


class Moment(NamedTuple):
    """A network along the way of its adaptation, in evaluation mode.

    Attributes:
        step: optimiser steps taken by then.
        network: as it would be evaluated then.
    """

    step: int
    network: Network


def kept_networks(
    source_path: Path, trajectory_path: Path, architecture: NetworkSettings, device: torch.device, row: int
) -> Iterator[Moment]:
    """What was kept of one model while it was adapted, from the first step on to the adapted model itself.

    One network is filled again and again: copy what is to outlast its turn.

    Args:
        source_path, trajectory_path: a shard of source models, and of TRAJECTORIES of the same rows.
        row: position of the model in the shard.

    Raises:
        ArtefactError: a damaged file, or networks of another architecture.
    """
    with (
        artefacts.open(source_path, SOURCE_MODELS) as of_source,
        artefacts.open(trajectory_path, TRAJECTORIES) as file,
    ):
        network = _converted(source.load_network(of_source, row, architecture, device), file)
        for step in kept_steps(file)[:-1]:
            states.load_checkpoint(file, row, step, network)
            network = _placed(network, device)
            yield Moment(step, network)
        yield Moment(int(file.attrs["steps"]), _placed(_adapted(network, file, row), device))


def kept_steps(file: h5py.File) -> list[int]:
    """Steps after which all models of a shard of TRAJECTORIES were kept, and those of a whole run."""
    reached = file["checkpoint_kept"][:].all(0)
    return [*file["checkpoint_step"][reached].tolist(), int(file.attrs["steps"])]


def _placed(network: Network, device: torch.device) -> Network:
    """For evaluation on a device: heads of the target are made on the CPU, and of torch's default layout."""
    return network.to(device, memory_format=torch.channels_last).eval()


def _converted(network: Network, file: h5py.File) -> Network:
    """A source model as its transfers of an open shard began, up to its state."""
    network.head = nn.Linear(network.head.in_features, len(file["target_class"]))
    recipe = kinds.read(json.loads(file.attrs["recipe"]))
    return recipes.make(recipe).convert(network)


def _adapted(network: Network, file: h5py.File, row: int) -> Network:
    """What a transfer run, a row of an open shard, made of a source model."""
    if file.attrs["backbone_changed"]:
        if "weights" not in file:
            raise ArtefactError(f"{file.filename}: the adapted networks of this study were not kept")
        states.load(file, "weights", row, network)
    states.load(file, "head", row, network.head)
    return network


def places(paths: Sequence[Path], rows: Sequence[int] | None) -> list[tuple[int, int]]:
    """Where the models of a study's rows lie in shards of source models: (number of the shard, position).

    Raises:
        ArtefactError: a damaged file, or a row that is in none.
    """
    parts = [_rows(path) for path in paths]
    wanted = np.concatenate([part.numbers for part in parts]) if rows is None else rows
    return studies.places(parts, paths, wanted)


def _rows(path: Path) -> Rows:
    with artefacts.open(path, SOURCE_MODELS) as file:
        return studies.read_rows(file)

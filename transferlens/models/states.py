"""Stacks of network states in HDF5: every tensor is one array [models, size]."""

from collections.abc import Mapping, Sequence

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError

CHECKPOINTS = "checkpoints"


def reserve(
    writer: artefacts.Writer, group: str, module: nn.Module, models: int, steps: int | None = None
) -> None:
    """Reserve `group/<parameter>` of shape [models, size] for every tensor of the module's state, flat.

    Args:
        steps: so many states of every model: the shape is [models, steps, size].
    """
    leading = {"model": models} | ({} if steps is None else {"checkpoint_step": steps})
    for name, tensor in module.state_dict().items():
        writer.stack(group, name, leading, tensor.numel(), tensor.detach().cpu().numpy().dtype)


def save(writer: artefacts.Writer, group: str, row: int | tuple[int, int], module: nn.Module) -> None:
    """Write the module's state as row `row` (or model and step) of the reserved stack."""
    for name, tensor in module.state_dict().items():
        writer.file[f"{group}/{name}"][row] = tensor.detach().cpu().numpy().ravel()


def load(file: h5py.File, group: str, row: int | tuple[int, int], module: nn.Module) -> None:
    """Load row `row` (or model and step) of a stack into the module, strictly.

    Raises:
        ArtefactError: states of another network.
    """
    stack = file[group]
    _require_same(file, group, module)
    take(module, {name: torch.from_numpy(np.asarray(stack[name][row])) for name in module.state_dict()})


def _require_same(file: h5py.File, group: str, module: nn.Module) -> None:
    """Refuse a stack of states of another network than the module."""
    stored = {name: states.shape[-1] for name, states in file[group].items()}
    own = {name: tensor.numel() for name, tensor in module.state_dict().items()}
    if stored != own:
        other = min(name for name in {*stored, *own} if stored.get(name) != own.get(name))
        raise ArtefactError(
            f"{file.filename}: its {group} are of another network than the settings ask for (they differ in "
            f"'{other}'); restore architecture, or delete the file and run snakemake again"
        )


def take(module: nn.Module, flat: Mapping[str, torch.Tensor]) -> None:
    """Load a state of flat tensors into the module, strictly."""
    own = module.state_dict()
    module.load_state_dict(
        {name: tensor.reshape(own[name].shape) if name in own else tensor for name, tensor in flat.items()}
    )


def reserve_checkpoints(
    writer: artefacts.Writer, module: nn.Module, models: int, steps: Sequence[int]
) -> None:
    """Reserve room for whole states after so many optimiser steps of every model."""
    reserve(writer, CHECKPOINTS, module, models, len(steps))
    writer.write("checkpoint_step", steps)
    writer.reserve("checkpoint_kept", (models, len(steps)))


def save_checkpoint(writer: artefacts.Writer, row: int, position: int, module: nn.Module) -> None:
    """Write a model's state at the step of this position."""
    save(writer, CHECKPOINTS, (row, position), module)
    writer.file["checkpoint_kept"][row, position] = True


def checkpoint(file: h5py.File, row: int, position: int) -> dict[str, torch.Tensor] | None:
    """A model's state at the step of this position, flat; None if none was kept."""
    if CHECKPOINTS not in file or not file["checkpoint_kept"][row, position]:
        return None
    stack = file[CHECKPOINTS]
    return {name: torch.from_numpy(np.asarray(stack[name][row, position])) for name in stack}


def load_checkpoint(file: h5py.File, row: int, step: int, module: nn.Module) -> None:
    """Load a model's state after so many optimiser steps.

    Raises:
        ArtefactError: none was kept; names the steps that were.
    """
    steps = file["checkpoint_step"][file["checkpoint_kept"][row]] if "checkpoint_step" in file else []
    if step not in steps:
        kept = ", ".join(map(str, steps)) or "none"
        raise ArtefactError(
            f"{file.filename}: no checkpoint of row {row} after {step} steps; kept are: {kept}"
        )
    position = int(np.flatnonzero(file["checkpoint_step"][:] == step)[0])
    load(file, CHECKPOINTS, (row, position), module)

"""Stacks of network states in HDF5: every tensor is one array [models, size]."""

from collections.abc import Sequence

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
    """Load row `row` (or model and step) of a stack into the module, strictly."""
    state = {
        name: torch.from_numpy(np.asarray(file[f"{group}/{name}"][row])).reshape(tensor.shape)
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(state)


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

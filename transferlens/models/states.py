"""Stacks of network states in HDF5: every tensor is one array [models, size]."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, ConfigError, nearest
from transferlens.core.settings import ArchitectureSettings
from transferlens.models import architectures, efficientnet

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


def foreign(
    settings: ArchitectureSettings, weights: str, named: str = "studies.pretrained.weights"
) -> dict[str, torch.Tensor]:
    """Published weights (by name) or those of a .pt, .pth or .safetensors file, with our parameter names.

    Args:
        named: the setting that named the weights, for messages.

    Raises:
        ConfigError: no such weights, or a file that is not a plain state of tensors.
        SetupError: weights of a package that is not installed.
    """
    path = Path(weights)
    if path.suffix not in {".pt", ".pth", ".safetensors"} and not path.is_file():
        return _published(settings, weights, named)
    if not path.is_file():
        raise ConfigError(f"{named}: no file '{weights}'")
    state = _read_state(path)
    if any(key.startswith("backbone.") for key in state):
        return state
    if settings.name == "small_resnet":
        raise ConfigError(f"{path}: its keys must start with 'backbone.' and 'head.'")
    return architectures.from_published_names(settings.name, state)


def _published(settings: ArchitectureSettings, weights: str, named: str) -> dict[str, torch.Tensor]:
    if settings.name == "small_resnet":
        raise ConfigError(f"{named}: torchvision has no weights of small_resnet")
    if settings.name == "efficientnet_lite0":
        if weights != efficientnet.WEIGHTS:
            raise ConfigError(
                f"{named}: '{weights}' is no weight name of efficientnet_lite0"
                + nearest(weights, [efficientnet.WEIGHTS])
            )
        return efficientnet.published_state()
    try:
        return architectures.torchvision_state(settings.name, weights)
    except KeyError as error:
        raise ConfigError(
            f"{named}: '{weights}' is no torchvision weight name of {settings.name}, and no file"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{named}: '{weights}' could not be downloaded ({error}); put the file "
            "on this machine and give its path"
        ) from error


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own errors, safetensors none but Exception
        raise ConfigError(
            f"{path}: holds no readable weights ({str(error).splitlines()[0]}); save the network's "
            "state_dict() with torch.save, or as safetensors"
        ) from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(k, str) and torch.is_tensor(v) for k, v in content.items()
    ):
        raise ConfigError(f"{path}: holds no state of named tensors")
    return {key.removeprefix("module."): value for key, value in content.items()}


def load_foreign(module: nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Load a foreign state strictly; a missing, surplus or misshapen tensor is a ConfigError naming it."""
    own = module.state_dict()
    for name in state:
        if name not in own:
            raise ConfigError(f"{origin}: unexpected tensor '{name}'" + nearest(name, list(own)))
    for name, tensor in own.items():
        if name not in state:
            raise ConfigError(f"{origin}: tensor '{name}' is missing")
        if tensor.shape != state[name].shape:
            raise ConfigError(
                f"{origin}: tensor '{name}' is {tuple(state[name].shape)}, this architecture with these "
                f"source classes needs {tuple(tensor.shape)}"
            )
    module.load_state_dict(dict(state))

"""Files of weights: every named set of tensors that a .pt, .pth or .safetensors file holds, however deep."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transferlens.core.errors import ConfigError
from transferlens.core.files import first_line


@dataclass(frozen=True)
class Content:
    """A set of named tensors in a file.

    Attributes:
        wrapper: the keys that lead to it, joined by dots (`state_dict`, `teacher`); '' at the top.
        tensors: by their names in it; what is no tensor (a count of epochs, say) is left out.
    """

    wrapper: str
    tensors: dict[str, torch.Tensor]


def read(path: Path) -> list[Content]:
    """Every set of named tensors in a file; no code in it is run.

    Raises:
        ConfigError: there is no such file, it cannot be read, or holds no named tensors.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file '{path}'")
    found = list(_sets(_loaded(path), ""))
    if not found:
        raise ConfigError(
            f"{path}: holds no state of named tensors; save the network's state_dict() with torch.save"
        )
    return found


def _loaded(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # Many publishers keep their command line (`args`) beside the weights: names and values, no code.
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own errors, safetensors none but Exception
        raise ConfigError(
            f"{path}: holds no readable weights ({first_line(error)}); save the network's "
            "state_dict() with torch.save, or as safetensors"
        ) from error


def _sets(content: Any, wrapper: str) -> Iterator[Content]:
    if not isinstance(content, Mapping):
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    if tensors := {key: value for key, value in named.items() if torch.is_tensor(value)}:
        yield Content(wrapper, tensors)
    for key, value in named.items():
        yield from _sets(value, f"{wrapper}.{key}" if wrapper else key)

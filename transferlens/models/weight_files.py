"""Files of weights: every named set of tensors that a .pt, .pth or .safetensors file holds, however deep.

A file is taken for what anybody may have written: it is refused before it takes more memory than a network of
the wanted size explains, no code in it is run, and the checksums in it are compared.
"""

import os
import re
import resource
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transferlens.core import zips
from transferlens.core.errors import ConfigError, shown
from transferlens.core.files import first_line

# What a checkpoint has at most: so many times the network (averages, optimisers, copies), and so much beside.
_COPIES, _BESIDE = 64, 1 << 30
_DEEPEST = 16  # levels of sets in sets
_STATM = Path("/proc/self/statm")  # pages of memory that this process has, on Linux
_CURE = "save the network's state_dict() with torch.save, or as safetensors"
# Words of torch about files that it could read, and those of this house: its own advise to run code in them.
_REASONS = {
    "TorchScript": "it is a TorchScript program",
    ".tar format": "it has the tar format that PyTorch had before 2017",
    "allocate memory": "it asks for more memory than it has numbers",
}


@dataclass(frozen=True)
class Content:
    """A set of named tensors in a file.

    Attributes:
        wrapper: the keys that lead to it, joined by dots (`state_dict`, `teacher`); '' at the top.
        tensors: by their names in it; what is no tensor (a count of epochs, say) is left out.
    """

    wrapper: str
    tensors: dict[str, torch.Tensor]


def read(path: Path, network: int) -> list[Content]:
    """Every set of named tensors in a file; no code in it is run.

    Args:
        network: bytes of the network that is looked for, which bound what is read.

    Raises:
        ConfigError: there is no such file, it cannot be read or is damaged, is far larger than the network,
            or holds no named tensors.
    """
    most = _COPIES * network + _BESIDE
    _require_file(path, most)
    found = list(_sets(_loaded(path)))
    if not found:
        raise ConfigError(f"{path}: holds no state of named tensors; {_CURE}")
    for content in found:
        for name, tensor in content.tensors.items():
            _require_plain(path, name, tensor, most)
    return found


def _require_file(path: Path, most: int) -> None:
    if not os.path.isfile(path):
        found = "is a folder, a pipe or a device" if os.path.exists(path) else "there is no such file"
        raise ConfigError(f"{path}: {found}; give a .pt, .pth or .safetensors file")
    size = path.stat().st_size
    if size == 0:
        raise ConfigError(f"{path}: is empty; fetch or save it again")
    if size > most:
        raise ConfigError(
            f"{path}: has {size:,} bytes, far more than the network explains; {_CURE}, without the rest"
        )


def _loaded(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if zips.is_zip(path) and (fault := zips.fault(path)):
            raise _unreadable(path, fault)
        # Many publishers keep their command line (`args`) beside the weights: names and values, no code.
        with _memory(2 * path.stat().st_size + _BESIDE), torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except ConfigError:
        raise
    except Exception as error:  # each reader has its own errors, safetensors none but Exception
        raise _unreadable(path, _reason(path, error)) from error


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path}: holds no readable weights ({reason}); fetch it again, or {_CURE}")


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be read, in words of this house."""
    words = str(error)
    if path.suffix == ".safetensors":
        return first_line(error)
    if isinstance(error, MemoryError):
        return _REASONS["allocate memory"]
    if code := re.search(r"GLOBAL ([\w.]+)", words):
        return f"it holds {code[1]}, which is no tensor, and no code in it is run"
    known = [reason for part, reason in _REASONS.items() if part in words]
    return known[0] if known else "it is damaged, or not written by torch.save"


@contextmanager
def _memory(more: int) -> Iterator[None]:
    """A while in which this process gets at most so many bytes more: a small file may ask for any number."""
    if not _STATM.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = int(_STATM.read_text().split()[0]) * resource.getpagesize() + more
    own = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([most, *own]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _sets(content: Any) -> Iterator[Content]:
    """Sets of tensors from the outermost on, each once, wherever else it is referred to."""
    waiting, seen = [("", 0, content)], set[int]()
    while waiting:
        wrapper, depth, content = waiting.pop()
        if not isinstance(content, Mapping) or id(content) in seen or depth > _DEEPEST:
            continue
        seen.add(id(content))
        named = {key: value for key, value in content.items() if isinstance(key, str)}
        if tensors := {key: value for key, value in named.items() if torch.is_tensor(value)}:
            yield Content(wrapper, tensors)
        inner = [(f"{wrapper}.{key}" if wrapper else key, depth + 1, value) for key, value in named.items()]
        waiting += reversed(inner)


def _require_plain(path: Path, name: str, tensor: torch.Tensor, most: int) -> None:
    """Refuse a tensor whose numbers are not all there, one by one."""
    if tensor.is_meta:
        what = "holds no numbers"
    elif tensor.layout != torch.strided:
        what = "is sparse"
    elif tensor.is_quantized:
        what = "is quantised"
    elif tensor.numel() * tensor.element_size() > most:
        what = f"has {tensor.numel():,} numbers, far more than the network explains"
    else:
        return
    raise ConfigError(f"{path}: tensor {shown(name)} {what}; save the network's own state_dict(), in float32")


def numbers(tensor: torch.Tensor, wanted: torch.dtype, told: str) -> torch.Tensor:
    """A tensor as a network takes it: floating-point numbers as float32.

    Args:
        wanted: what the network holds there.
        told: what messages call it.

    Raises:
        ConfigError: numbers of another kind, or such as are not finite.
    """
    if (tensor.is_complex(), tensor.is_floating_point()) != (wanted.is_complex, wanted.is_floating_point):
        raise ConfigError(
            f"{told} holds numbers of {tensor.dtype}, and the network {wanted}; save the network's own "
            "state_dict(), without quantisation"
        )
    values = tensor.float() if tensor.is_floating_point() else tensor
    bad = values.numel() - int(values.isfinite().sum())
    if bad:
        raise ConfigError(
            f"{told} has {bad:,} numbers that are NaN or infinite; take a checkpoint from before "
            "its training failed"
        )
    return values

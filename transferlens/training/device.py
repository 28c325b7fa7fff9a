"""The device a job runs on, and the arithmetic that is fast there."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import torch

from transferlens.core import provenance
from transferlens.core.errors import DeviceError
from transferlens.training import leases


def pick() -> torch.device:
    """The visible GPU that fewest jobs of this user hold, if there is one; else the CPU.

    The GPU is held until the process ends, and gives equal bits for equal work, in every job. On the CPU, the
    job's threads are set.
    """
    if torch.cuda.is_available():
        repeat_exactly()
        identities = [_identity(i) for i in range(torch.cuda.device_count())]
        chosen = leases.take(identities, lambda i: _free_memory().get(identities[i], 0), leases.folder())
        torch.cuda.set_device(chosen)
        provenance.current.device = torch.cuda.get_device_name(chosen)
        return torch.device("cuda", chosen)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    return torch.device("cpu")


def repeat_exactly() -> None:
    """Let this process compute the same bits on a GPU whenever it computes the same.

    cuDNN's benchmark picks algorithms by timing them, so that a job that is run again may get others; some of
    its algorithms add in an order of chance; and so do cuBLAS's products in several streams, unless they have
    workspaces of a given size, which is read when CUDA is first used.
    """
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _identity(number: int) -> str:
    """The identity of a visible GPU, as nvidia-smi writes it."""
    return f"GPU-{torch.cuda.get_device_properties(number).uuid}"


@cache
def _free_memory() -> dict[str, int]:
    """Free MiB of the machine's GPUs by identity. CUDA itself would take some of each to say so."""
    command = ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        table = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        return {uuid: int(free) for uuid, free in (line.split(", ") for line in table.splitlines())}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


@contextmanager
def failures_named() -> Iterator[None]:
    """Turn a GPU that fails while it computes, and answers nothing more in this process, into one line.

    Raises:
        DeviceError: naming the GPU, what it said and the cure.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).splitlines()[0] if str(error) else ""
        if isinstance(error, torch.OutOfMemoryError) or not _is_failure(error, said):
            raise
        raise DeviceError(
            f"{provenance.current.device}: the GPU failed in the middle of the job ({said}); nothing "
            "half-written is left: run snakemake again, and the job goes on from what it kept; if it fails "
            "again, look at the GPU with nvidia-smi and in the kernel's log (dmesg, lines with Xid)"
        ) from error


def _is_failure(error: RuntimeError, said: str) -> bool:
    """Whether it is CUDA that gave up, and not a mistake in what it was asked for on the way there."""
    return isinstance(error, torch.AcceleratorError) or said.startswith(("CUDA error", "cuDNN error"))


def name(device: torch.device) -> str:
    """'cpu', or the GPU's product name, for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


@contextmanager
def allocations() -> Iterator[None]:
    """What the CPU's allocator raises when memory runs out is what a GPU's does.

    Raises:
        torch.OutOfMemoryError: memory ran out.
    """
    try:
        yield
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise torch.OutOfMemoryError(str(error)) from None


def precision(setting: str, device: torch.device) -> torch.dtype:
    """The arithmetic `auto` stands for on this device, or the one that was asked for."""
    if setting != "auto":
        return getattr(torch, setting)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


def emulates(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the device computes in this arithmetic by software, many times slower than in float32."""
    if device.type == "cuda":
        return dtype == torch.bfloat16 and not torch.cuda.is_bf16_supported(False)
    return dtype == torch.float16 or (dtype == torch.bfloat16 and not _cpu_has_bfloat16())


@cache
def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; where it emulates, float32 is several times faster."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """Mixed precision, or nothing for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)

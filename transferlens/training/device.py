"""The device a job runs on, and the arithmetic that is fast there."""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import torch


def pick() -> torch.device:
    """The first visible GPU if there is one, else the CPU with the threads of the job."""
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        return torch.device("cuda")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    return torch.device("cpu")


def name(device: torch.device) -> str:
    """'cpu', or the GPU's product name, for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def precision(setting: str, device: torch.device) -> torch.dtype:
    """The arithmetic `auto` stands for on this device, or the one that was asked for."""
    if setting != "auto":
        return getattr(torch, setting)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32


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

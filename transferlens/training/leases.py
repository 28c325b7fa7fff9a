"""Leases: which device of a machine a job takes, so that jobs beside each other spread over all of them.

A job holds a lock on a file of its own beside the device's other leases. The kernel releases the lock when
the job ends, however it ends, so a killed job never leaves a device taken. Small jobs may share a device.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # open for as long as this process lives


def folder() -> Path:
    """This user's folder of leases on this machine."""
    return Path(tempfile.gettempdir()) / f"transferlens-{os.getuid()}"


def take(devices: Sequence[str], free_memory: Callable[[int], int], place: Path) -> int:
    """Take a lease, until this process ends, on the device with the fewest leases of other processes.

    Args:
        devices: an identity for each device, the same in every process.
        free_memory: of device i; decides between devices with as few leases.
        place: the folder of the leases.

    Returns:
        The position of the device in `devices`.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place / "choosing").open("w") as choosing:
        fcntl.flock(choosing, fcntl.LOCK_EX)  # one process counts and takes at a time
        names = [re.sub(r"[^\w-]", "_", device) for device in devices]
        counts = [_count(place, name) for name in names]
        fewest = [i for i, count in enumerate(counts) if count == min(counts)]
        chosen = max(fewest, key=free_memory) if len(fewest) > 1 else fewest[0]
        lease = (place / f"{names[chosen]}.{os.getpid()}").open("w")
        fcntl.flock(lease, fcntl.LOCK_EX)
        _held.append(lease)
    return chosen


def _count(place: Path, device: str) -> int:
    """How many processes hold a lease on a device; the files of processes that ended are removed."""
    held = 0
    for path in place.glob(f"{device}.*"):
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held += 1
            else:
                path.unlink()
    return held

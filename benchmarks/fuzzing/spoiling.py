"""What happens to bytes and files whatever they hold, and values that nobody means."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

ODD_NUMBERS = (
    *(
        0,
        1,
        -1,
        2,
        3,
        7,
        8,
        9,
        16,
        100,
        1000,
        10**6,
        10**9,
        2**31,
        2**53 + 1,
        2**63 - 1,
        2**63,
        2**64,
        10**30,
    ),
    *(0.0, -0.0, 0.1, 0.5, 0.999, 1.0, 1.5, 2.5, 1e-9, 1e-12, 1e-300, 5e-324, 1e9, 1e30, 1e308),
    *(float("inf"), float("-inf"), float("nan")),
)
ODD_WORDS = (
    *(
        "",
        " ",
        "\t",
        "3",
        "1e-3",
        "true",
        "null",
        "~",
        "nan",
        "fixed",
        "full",
        "auto",
        "*",
        "[",
        "../x",
        "/etc/passwd",
    ),
    *(
        "a/b",
        "a b",
        "-rf",
        "x.y",
        "{x}",
        "$(id)",
        "'; --",
        "%s",
        "na\nme",
        "\x1b[31mred",
        "\u202egnp",
        "\u200b",
    ),
    *("ünï", "日本", "\U0001f600", "x" * 300, "results/x", "0", "digit 1", "n01443537"),
)
_READ = 10**8  # bytes of a file that are read to spoil them


def odd_value(random: Random, depth: int = 0) -> object:
    """A value of any type."""
    choice = random.random()
    if choice < 0.35:
        return random.choice(ODD_NUMBERS)
    if choice < 0.6:
        return random.choice(ODD_WORDS)
    if choice < 0.75:
        return random.choice((None, True, False))
    if depth > 2 or choice < 0.8:
        return random.choice(([], {}))
    if choice < 0.92:
        return [odd_value(random, depth + 1) for _ in range(random.choice((1, 2, 3, 5)))]
    return {random.choice(ODD_WORDS[3:]): odd_value(random, depth + 1) for _ in range(2)}


def flipped(data: bytes, random: Random) -> bytes:
    """One to four bits of it turned over."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4)) if data else 0):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def flipped_at_the_front(data: bytes, random: Random) -> bytes:
    """A bit of its header turned over."""
    front = min(len(data), random.choice((64, 512, 4096)))
    return flipped(data[:front], random) + data[front:]


def cut(data: bytes, random: Random) -> bytes:
    """Its end is missing."""
    return data[: random.randrange(len(data))] if data else data


def cut_a_little(data: bytes, random: Random) -> bytes:
    """Its last bytes are missing."""
    return data[: -random.choice((1, 2, 8, 64))]


def emptied(data: bytes, random: Random) -> bytes:
    """Nothing is left."""
    return b""


def zeroed(data: bytes, random: Random) -> bytes:
    """A block of it was never written."""
    start, length = random.randrange(len(data) or 1), random.choice((16, 512, 4096))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def doubled(data: bytes, random: Random) -> bytes:
    """A block of it stands there twice."""
    start, length = random.randrange(len(data) or 1), random.choice((16, 512, 4096))
    return data[: start + length] + data[start:]


def lengthened(data: bytes, random: Random) -> bytes:
    """Something follows its end."""
    return data + random.randbytes(random.choice((1, 16, 4096)))


def overwritten(data: bytes, random: Random) -> bytes:
    """A block of it is of something else."""
    start, length = random.randrange(len(data) or 1), random.choice((4, 16, 512))
    return data[:start] + random.randbytes(len(data[start : start + length])) + data[start + length :]


BYTES: dict[str, Callable[[bytes, Random], bytes]] = {
    spoiled.__name__: spoiled
    for spoiled in (
        *(
            flipped,
            flipped_at_the_front,
            cut,
            cut_a_little,
            emptied,
            zeroed,
            doubled,
            lengthened,
            overwritten,
        ),
    )
}


def spoil_bytes(path: Path, random: Random) -> None:
    """One of the above, of a file; a link is replaced by the file. What is no plain file stays."""
    if not path.is_file() or path.stat().st_size > _READ:
        return
    data = random.choice(list(BYTES.values()))(path.read_bytes(), random)
    replace(path)
    path.write_bytes(data)


def replace(path: Path) -> None:
    """Remove what lies at a place, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def as_fifo(path: Path, random: Random) -> None:
    """A pipe that nobody writes to."""
    replace(path)
    os.mkfifo(path)


def as_folder(path: Path, random: Random) -> None:
    """A folder of that name."""
    replace(path)
    path.mkdir()


def as_dangling_link(path: Path, random: Random) -> None:
    """A link to nothing."""
    replace(path)
    path.symlink_to("nothing-here")


def as_link_to_itself(path: Path, random: Random) -> None:
    """A link in a circle."""
    replace(path)
    path.symlink_to(path.name)


def as_sparse(path: Path, random: Random) -> None:
    """A file of gigabytes, none of which was written."""
    replace(path)
    with path.open("wb") as file:
        file.truncate(random.choice((10**9, 10**11)))


def as_text(path: Path, random: Random) -> None:
    """A page that a server sent instead."""
    replace(path)
    path.write_text("<html><body>404 Not Found</body></html>\n")


FILES: dict[str, Callable[[Path, Random], None]] = {
    spoiled.__name__: spoiled
    for spoiled in (as_fifo, as_folder, as_dangling_link, as_link_to_itself, as_sparse, as_text)
}

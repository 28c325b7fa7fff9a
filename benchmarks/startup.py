"""Start-up of jobs: what imports cost, and the first decoding of images with FFCV.

Seconds and peak memory of new processes: every script with `--help` (its imports), `import torch`,
`import ffcv` plainly and as the project imports it, and the first pass over 1,000 stored images of 28
pixels with FFCV's compiled decoder and with its plain Python one (the default below 50,000 images).
The last two include importing FFCV. Medians of three; the ratio is to `import torch`.

    python benchmarks/startup.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tables import print_table

from transferlens.config import DatasetSettings
from transferlens.data import ffcv_files
from transferlens.data.index import Examples
from transferlens.data.sources import Split

SCRIPTS = Path(__file__).parents[1] / "scripts"
REPEATS = 3
IMAGES, SIDE = 1000, 28

IMPORT_AS_PROJECT = """
from transferlens.data import ffcv_files
with ffcv_files._imported():
    pass
"""
DECODE = """
from pathlib import Path
from transferlens.data import ffcv_files
ffcv_files._IMAGES_WORTH_COMPILING = {limit}
ffcv_files.decode_all(Path("{beton}"), {side}, 1.0, workers=1)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        beton = write_images(Path(folder))
        measured = {name: measure(command) for name, command in commands(beton).items()}
    base = measured["import torch"][0]
    print_table(
        "Start-up of processes",
        ["", "seconds", "ratio", "peak MB"],
        [[n, f"{s:.2f}", f"{s / base:.2f}", f"{m:.0f}"] for n, (s, m) in measured.items()],
    )


def commands(beton: Path) -> dict[str, list[str]]:
    """Arguments to Python, by what they measure."""

    def decoding(limit: int) -> list[str]:
        return ["-c", DECODE.format(limit=limit, beton=beton, side=SIDE)]

    scripts = {f"{path.name} --help": [str(path), "--help"] for path in sorted(SCRIPTS.glob("*.py"))}
    return {
        "import torch": ["-c", "import torch"],
        "import ffcv, plainly": ["-c", "import ffcv"],
        "import ffcv, as the project does": ["-c", IMPORT_AS_PROJECT],
        "first decoding, compiled": decoding(limit=0),
        "first decoding, plain Python": decoding(limit=IMAGES + 1),
        **scripts,
    }


def measure(arguments: list[str]) -> tuple[float, float]:
    """Median seconds and peak megabytes of a Python process with these arguments."""
    runs = [run(arguments) for _ in range(REPEATS)]
    return tuple(statistics.median(values) for values in zip(*runs, strict=True))


def run(arguments: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"python {' '.join(arguments)} ended with status {status}")
    return seconds, usage.ru_maxrss / 1024


def write_images(folder: Path) -> Path:
    """An FFCV file of random images."""
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.zeros(IMAGES, np.int64)
    positions = np.arange(IMAGES)
    sizes = np.full((IMAGES, 2), SIDE)
    examples = Examples([str(i) for i in positions], labels, labels, positions, sizes)
    beton = folder / "train.beton"
    settings = DatasetSettings(None, None, 0.5, "error")
    split = Split(examples.ids, labels, lambda i: pixels[i])
    ffcv_files.write_beton(beton, split, examples, settings, workers=1)
    return beton


if __name__ == "__main__":
    main()

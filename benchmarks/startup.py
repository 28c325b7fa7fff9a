"""What a job costs before its own work: imports of every script, and FFCV's import and first decode.

Each is a new process, run three times; the table shows the median of seconds and of peak megabytes.
"as imported here" is FFCV through `transferlens.data.ffcv_files`, which spares it a compilation; decoding is
of 8,000 raw images of 28 pixels, in the first pass over a file, with and without Numba.

    python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import seconds_and_megabytes
from tables import print_table

from transferlens.core.settings import DatasetSettings
from transferlens.data import ffcv_writing
from transferlens.data.index import Examples
from transferlens.data.splits import Split

REPOSITORY = Path(__file__).parents[1]
RUNS, IMAGES, SIDE = 3, 8000, 28
IMPORT = "from transferlens.data import ffcv_files as f\nwith f.imported(): pass\n"
DECODE = IMPORT + (
    "from pathlib import Path\nimport time\nf._IMAGES_WORTH_COMPILING = {threshold}\n"
    "t = time.perf_counter()\nf.decode_all(Path({path!r}), 28, 1.0, 1)\nprint(time.perf_counter() - t)"
)


def main() -> None:
    rows = [("import torch", *measure(["-c", "import torch"]))]
    rows.append(("import ffcv (after torch)", *measure(["-c", "import torch, ffcv"])))
    rows.append(("ffcv as imported here (after torch)", *measure(["-c", "import torch\n" + IMPORT])))
    for script in sorted((REPOSITORY / "scripts").glob("*.py")):
        rows.append((f"scripts/{script.name}", *measure([str(script), "--help"])))
    table = [[name, f"{s:.2f}", f"{m:.0f}"] for name, s, m in rows]
    print_table("Start-up of a job", ["", "seconds", "MB"], table)
    with tempfile.TemporaryDirectory() as folder:
        path = write_images(Path(folder) / "x.beton")
        times = [("compiled by Numba", 0), ("plain Python (chosen up to 50,000 images)", 10**9)]
        table = [[name, f"{first_decode(path, threshold):.2f}"] for name, threshold in times]
    print_table(f"FFCV's first pass over {IMAGES:,} images", ["", "seconds"], table)


def measure(arguments: list[str]) -> tuple[float, float]:
    """Median seconds and peak megabytes of a Python process."""
    runs = [seconds_and_megabytes([sys.executable, *arguments]) for _ in range(RUNS)]
    return statistics.median(s for s, _ in runs), statistics.median(m for _, m in runs)


def first_decode(path: Path, threshold: int) -> float:
    code = DECODE.format(threshold=threshold, path=str(path))
    command = [sys.executable, "-c", code]
    done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(RUNS)]
    return statistics.median(float(d.stdout) for d in done)


def write_images(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    everything = np.arange(IMAGES)
    split = Split([str(i) for i in everything], everything % 10, lambda i: pixels[i])
    sizes = np.full((IMAGES, 2), SIDE)
    examples = Examples(split.ids, split.labels, np.zeros(IMAGES, np.int8), everything, sizes, split.labels)
    ffcv_writing.write_beton(path, split, examples, DatasetSettings(), workers=1)
    return path


if __name__ == "__main__":
    main()

"""The gallery in Chromium: bytes, time to the first interaction, latency of filters.

Images are random, with amplitudes that fall with frequency like those of photographs, so that they are as
large as JPEG (13.6 kB; 50 ImageNet photographs had 12.1 kB in the mean). Times are medians of three openings
from disk, in milliseconds since the address was entered; a latency ends with the second frame after the
change.

    PYTHONPATH=. python benchmarks/gallery.py
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from tables import print_table

from tests import browser
from tests.memories.gallery.artefacts import write_memories
from transferlens.memories.gallery import html

SOURCES, TARGETS, TRIED = 1000, 37, 100
OPENINGS = 3
_LATENCY = """
const [change, done] = [arguments[0], arguments[1]];
const started = performance.now();
new Function(change)();
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
"""
_SET = (
    "const f = document.querySelector('[name={name}]'); f.value = '{value}';"
    "f.dispatchEvent(new Event('input', {{bubbles: true}}));"
)
CHANGES = {
    "filter by memory": _SET.format(name="memory", value="source 7"),
    "clear the filters": "document.getElementById('clear').click()",
    "filter by target class": _SET.format(name="target", value="target 3"),
    "sort by overlap": _SET.format(name="sort", value="overlap"),
    "colours": _SET.format(name="colours", value="magma"),
    "select a cell": 'document.querySelector(\'td[data-row="0"][data-column="0"]\').click()',
    "clear again": "document.getElementById('clear').click()",
    "jump to the middle": "scrollTo(0, document.body.scrollHeight / 2)",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=3000)
    arguments.add_argument("--side", type=int, default=224)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, seconds = write(Path(folder), given.rows, given.side)
        size = path.stat().st_size
        raw = given.rows * given.side**2 * 3
        found = [opened(path, Path(folder) / str(i)) for i in range(OPENINGS)]
    rows = [
        ("page, MB", f"{size / 1e6:.1f}"),
        ("page over pixels as bytes", f"{size / raw:.3f}"),
        ("writing it, s", f"{seconds:.1f}"),
    ]
    rows += [(name, f"{statistics.median(f[name] for f in found):.0f}") for name in found[0]]
    print_table(
        f"Gallery of {given.rows:,} examples of {given.side} pixels", ["", "milliseconds or as said"], rows
    )


def write(folder: Path, rows: int, side: int) -> tuple[Path, float]:
    """The page, and the seconds it took."""
    names = [f"source {i}" for i in range(SOURCES)], [f"target {i}" for i in range(TARGETS)]
    study = write_memories(folder, *names, natural(rows, side), TRIED)
    started = time.perf_counter()
    html.write_gallery(folder / "memories.html", study, "Benchmark", {})
    return folder / "memories.html", time.perf_counter() - started


def natural(count: int, side: int) -> np.ndarray:
    """uint8[count, side, side, 3] of random phases, smooth as photographs are."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij")
    amplitude = np.maximum(np.hypot(y, x), 1 / side) ** -1.4
    images = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        gray, tint = np.fft.ifft2(np.fft.fft2(rng.normal(size=(2, side, side))) * amplitude).real
        colours = gray[..., None] + 0.25 * tint[..., None] * rng.normal(size=3)
        images[i] = (128 + 55 * colours / colours.std()).clip(0, 255)
    return images


def opened(path: Path, profile: Path) -> dict[str, float]:
    """Milliseconds until the page can be used, until all of it is there, and of every change."""
    with browser.running_browser(profile) as driver:
        driver.set_script_timeout(60)
        driver.get(path.as_uri())
        mark = "return performance.getEntriesByName(arguments[0])[0].startTime"
        times = {
            "first interaction": driver.execute_script(mark, "interactive"),
            "all examples read": driver.execute_script(mark, "complete"),
        }
        driver.execute_script("document.getElementById('examples').scrollIntoView()")
        for name, change in CHANGES.items():
            times[name] = driver.execute_async_script(_LATENCY, change)
        return times


if __name__ == "__main__":
    main()

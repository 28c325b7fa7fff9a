"""The page of a large study: bytes, and seconds until Chromium has loaded it from disk.

24 targets and recipes with 1,000 source classes and 37 target classes: of each the matrix, the strongest
classes, the table and the findings of influence, drawn by the code that draws them (of random numbers, once),
and every picture of the page of a finished study. Seconds are the median of three openings, from the address
to the load event.

    PYTHONPATH=. python benchmarks/page.py --results results
"""

import argparse
import base64
import re
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from tables import print_table

from tests import browser
from transferlens.core.blocks import Card, Cards, Figure, Section, adaptation
from transferlens.influence import figures, findings
from transferlens.influence.page import strongest_table
from transferlens.pictures.figures import save
from transferlens.report import frame, summary

PAIRS, SOURCES, TARGETS, BARS = 24, 1000, 37, 8
OPENINGS = 3
_DRAWN = ("influence_matrix", "strongest_classes")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--results", type=Path, default=Path("results"), help="of a finished study")
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report/index.html"
        page.parent.mkdir()
        made = [
            *study(
                influence(),
                pictures(given.results / "report/index.html", page.parent),
                page.parent,
                given.pairs,
            )
        ]
        frame.write_page(page, "A large study", "", [*summary.sections(made), *made])
        seconds = [opened(page, Path(folder) / str(i)) for i in range(OPENINGS)]
        rows = [
            ("page, MB", f"{page.stat().st_size / 1e6:.1f}"),
            ("pictures", f"{sum(isinstance(b, Figure) for s in made for b in s.blocks)}"),
            ("seconds to the load event", f"{statistics.median(seconds):.2f}"),
        ]
        title = f"A page of {given.pairs} targets and recipes, {SOURCES:,} source classes"
        print_table(title, ("measure", "value"), rows)


def influence() -> xr.Dataset:
    """Random influences, of which some are established."""
    rng = np.random.default_rng(0)
    shape = (2, TARGETS, SOURCES)
    dims = ("half", "target_class", "source_class")
    effect = rng.normal(0, 0.02, (2, *shape))
    variables = {
        "class_effect": (dims, effect.mean(0)),
        "class_effect_q": (dims, rng.random(shape)),
        "class_effect_by_fold": (("fold", *dims), effect),
        "class_effect_by_fold_se": (("fold", *dims), np.full(effect.shape, 0.01)),
        "overall_effect_by_fold": (("fold", "half", "source_class"), effect.mean(2)),
        "overall_effect_by_fold_se": (("fold", "half", "source_class"), np.full((2, 2, SOURCES), 0.001)),
        "fold_df": ("fold", [200, 200]),
    }
    coordinates = {
        "half": ["select", "report"],
        "target_class": [f"target class {i}" for i in range(TARGETS)],
        "source_class": [f"source class {i}" for i in range(SOURCES)],
    }
    return xr.Dataset(variables, coordinates, {"output": "margin", "folds_missing": ""})


def pictures(page: Path, folder: Path) -> list[Path]:
    """The pictures of a page, each in a file of its own."""
    text, made = page.read_text(encoding="utf-8"), []
    for data in re.findall(r'src="data:image/png;base64,([^"]+)"', text):
        made.append(folder / f"{len(made)}.png")
        made[-1].write_bytes(base64.b64decode(data))
    for svg in re.findall(r'<svg role="img".*?</svg>', text, re.DOTALL):
        made.append(folder / f"{len(made)}.svg")
        made[-1].write_text(re.sub(r' role="img" aria-label="[^"]*"', "", svg, count=1), encoding="utf-8")
    return made


def study(made: xr.Dataset, others: list[Path], folder: Path, pairs: int) -> Iterator[Section]:
    """The sections of every target and recipe."""
    for name in _DRAWN:
        drawn = getattr(figures, name)(*(made, BARS)[: 1 + (name == "strongest_classes")])
        save(drawn, folder / f"{name}.svg")
    shown = [Figure(path, f"A caption of {path.stem}.", path.stem) for path in others]
    own = [Figure(folder / f"{name}.svg", f"A caption of {name}.", name) for name in _DRAWN]
    card = Card("accuracy", "0.812", "95 % 0.800 to 0.824")
    for i in range(pairs):
        subject = adaptation(f"target{i}", "full")
        yield Section("", "headline", (Cards((card,)),), subject, headline=(card,))
        found = findings.findings(made, BARS, fixed_size=False)
        blocks = (*own, strongest_table(made))
        yield Section("Influences", "influences", blocks, subject, findings=found)
        yield Section("Other pictures", "others", tuple(shown), subject)


def opened(page: Path, profile: Path) -> float:
    """Seconds from the address to the load event."""
    with browser.running_browser(profile) as driver:
        driver.get(page.as_uri())
        timing = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
        return driver.execute_script(timing) / 1000


if __name__ == "__main__":
    main()

"""What a plan says of repeats: how many would halve the interval of a gain or an accuracy."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core import labelled
from transferlens.core.capability import Advice
from transferlens.core.errors import ArtefactError
from transferlens.core.run import Run
from transferlens.variance.artefacts import VARIANCE

_TOLD = {"gain": "gain in accuracy", "full source": "accuracy"}


def of_run(run: Run, results: Path, adapted: Sequence[tuple[str, str]]) -> Iterator[Advice]:
    """Of every (target, recipe) whose components are known; a line if others are not."""
    unknown = []
    for target, recipe in adapted:
        try:
            made = labelled.read(results / VARIANCE.path.format(target=target, recipe=recipe), VARIANCE)
        except ArtefactError:
            unknown.append(f"{target} ({recipe})")
            continue
        for quantity, words in _TOLD.items():
            score = made.sel(quantity=quantity, output="correct")
            yield _of_score(f"{target} ({recipe}), {words}", score, recipe)
    if unknown:
        yield Advice(
            f"{', '.join(unknown)}: how many repeats would halve an interval is known once the study is run"
        )


def _of_score(name: str, score: xr.Dataset, recipe: str) -> Advice:
    """What halving one interval takes: as many source models of either kind, each transferred."""
    repeats, wanted = int(score.attrs["repeats"]), float(score.repeats_to_halve)
    start = f"{name}: {float(score['mean']):.3f} +- {float(score.reach):.3f} with {repeats} repeats"
    left = f"the images alone leave +- {float(score.left):.3f}"
    if np.isnan(wanted):
        return Advice("; ".join(filter(None, (start, score.attrs["repeats_missing"]))))
    if np.isinf(wanted):
        return Advice(f"{start}; no number of repeats halves that: {left}")
    more = 2 * (int(wanted) - repeats)
    return Advice(f"{start}; {wanted:.0f} repeats halve that ({left})", more, recipe)

"""Scores of repeated and retransferred models, the estimates of them, and their artefact."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core import artefacts
from transferlens.core.studies import FULL, SCRATCH
from transferlens.variance import components
from transferlens.variance.artefacts import COMPONENTS, OUTPUTS, QUANTITIES, VARIANCE
from transferlens.variance.components import Components

# The parts in the order of COMPONENTS.
_PARTS = ("source", "transfer", "images", "both")
# What an interval is stored as.
_ENDS = {"value": "", "low": "_low", "high": "_high"}


def scores(transfers: Sequence[xr.Dataset], output: str) -> dict[str, np.ndarray]:
    """By quantity the scores float64[repeats, transfers, images] of the report half.

    Args:
        transfers: summaries of the reference study with the output: of its transfer, and of those again.
    """
    full, scratch = (
        np.stack([_of_role(summary, output, role) for summary in transfers], axis=1)
        for role in (FULL, SCRATCH)
    )
    return dict(zip(QUANTITIES, (full, full - scratch), strict=True))


def _of_role(summary: xr.Dataset, output: str, role: str) -> np.ndarray:
    """Outputs float64[repeats, images] of the models of a role, by repeat."""
    rows = np.flatnonzero(summary.role.values == role)
    rows = rows[np.argsort(summary.repeat.values[rows], kind="stable")]
    report = np.flatnonzero(summary.example_half.values == "report")
    return summary[output].values[np.ix_(rows, report)].astype(np.float64)


def write_components(path: Path, transfers: Sequence[xr.Dataset]) -> None:
    """Estimate and store the components of every output and quantity; `transfers` as in `scores`."""
    values = {
        (quantity, output): of_models
        for output in OUTPUTS
        for quantity, of_models in scores(transfers, output).items()
    }
    rows = [[_row(values[quantity, output]) for output in OUTPUTS] for quantity in QUANTITIES]
    repeats, again, images = values[QUANTITIES[0], OUTPUTS[0]].shape
    with artefacts.create(path, VARIANCE) as out:
        for name, names in (("quantity", QUANTITIES), ("output", OUTPUTS), ("component", COMPONENTS)):
            out.write(name, names)
        for name in rows[0][0]:
            out.write(name, [[row[name] for row in line] for line in rows])
        for name, value in (("repeats", repeats), ("transfers", again), ("images", images)):
            out.attribute(name, value)
        out.attribute("repeats_missing", _missing(repeats))


def _row(values: np.ndarray) -> dict[str, np.ndarray]:
    """All that is stored of the scores [repeats, transfers, images] of a quantity and output."""
    repeats, _, images = values.shape
    parts = components.estimate(values)
    spread = components.spread_of(parts, images)
    wanted = components.repeats_to_halve(parts, images, repeats)
    return {
        **{
            f"variance{name}": np.array([getattr(getattr(parts, part), end) for part in _PARTS])
            for end, name in _ENDS.items()
        },
        "share": shares(parts),
        "mean": values[:, 0].mean(),
        "reach_on_these": np.float64(spread.reach_on_these(repeats)),
        "reach": np.float64(spread.reach(repeats)),
        "left": np.float64(spread.left()),
        **{f"repeats_to_halve{name}": getattr(wanted, end) for end, name in _ENDS.items()},
    }


def shares(parts: Components) -> np.ndarray:
    """Shares [components] of the variance of one model's score; NaN where nothing varies."""
    values = np.maximum([getattr(parts, name).value for name in _PARTS], 0)
    return values / values.sum() if values.any() else np.full(len(_PARTS), np.nan)


def _missing(repeats: int) -> str:
    least = components.LEAST_REPEATS
    if repeats >= least:
        return ""
    return (
        f"{repeats} repeats tell too little of the variance between models to plan by; raise "
        f"studies.reference.repeats to {least} or more"
    )

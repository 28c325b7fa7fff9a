"""Does a source class that is near a target class help it? Distances and label maps beside class influences.

Three measures say how near a source class is to a target class, each larger the nearer: minus the distance of
their images' features in models that saw the source; the same in models that saw nothing (what pixels and a
random network tell); and the label map that is learned. They are of other models than influences are of, and
of the target's training images, while influences are measured on its report half: the two share neither
models nor evaluation images. They do share the training images, to which the heads of transfers were fitted.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.core import artefacts
from transferlens.core.agreement import Agreement, Resampling, rank_correlation
from transferlens.core.statistics import Interval, centred_ranks, jackknife_interval, rank_correlations
from transferlens.core.studies import SCRATCH
from transferlens.relatedness.artefacts import CELLS, READING, SCOPES

DISTANCE, CONTROL, LABEL_MAP = "minus the distance", "minus the distance, scratch", "label map"
# The study whose models influences are estimated from.
INFLUENCE_STUDY = "influence"
PERMUTATIONS = 2000
_PARTS = ("low", "high", "q")


@dataclass(frozen=True)
class Cells:
    """Pairs of a target class and a source class that is a class of the reference, too.

    Attributes:
        influence: effect, low, high and q, float64[target classes, source classes] each.
        measures: nearness float64[target classes, source classes] by name.
    """

    target_classes: list[str]
    source_classes: list[str]
    influence: dict[str, np.ndarray]
    measures: dict[str, np.ndarray]

    @property
    def same_name(self) -> np.ndarray:
        """Pairs of equal names, bool[target classes, source classes]."""
        return np.array(self.target_classes)[:, None] == np.array(self.source_classes)


def cells_of(relatedness: xr.Dataset, influence: xr.Dataset) -> Cells:
    """What is known of the classes that both speak of.

    Args:
        influence: with the influences on one output.
    """
    shared = [name for name in influence.source_class.values if name in relatedness.reference_class.values]
    report = influence.sel(half="report", source_class=shared)
    near = relatedness.sel(reference_class=shared)
    tables = {"effect": report.class_effect.values}
    tables |= {part: report[f"class_effect_{part}"].values for part in _PARTS}
    return Cells(relatedness.target_class.values.tolist(), shared, tables, _measures(near))


def _measures(near: xr.Dataset) -> dict[str, np.ndarray]:
    """Nearness by measure; a mean over models, and over draws of the reported transform."""
    scratch = near.role.values == SCRATCH
    distance = near.class_distance.transpose("model", "target_class", "reference_class").values
    made = {DISTANCE: -distance[~scratch].mean(0)} if not scratch.all() else {}
    if scratch.any():
        made[CONTROL] = -distance[scratch].mean(0)
    if near.transform.values[-1] == "LearnedAll" and not scratch.all():
        chosen = near.label_map.isel(tau=0, transform=-1, model=np.flatnonzero(~scratch))
        made[LABEL_MAP] = chosen.mean(("model", "draw")).transpose("target_class", "reference_class").values
    return made


def agreements(cells: Cells, rng: np.random.Generator) -> list[list[list[Agreement]]]:
    """Rank correlations with the influences: by measure, scope and cells (see READING).

    Intervals are from a jackknife over source classes, p-values from exchanges of them.
    """
    again, effect = Resampling(0, PERMUTATIONS, rng), cells.influence["effect"]
    kept = dict(zip(CELLS, (np.ones_like(cells.same_name), ~cells.same_name), strict=True))
    return [
        [
            [
                rank_correlation(
                    _scoped(measure, scope, kept[name]), _scoped(effect, scope, kept[name]), again
                )
                for name in CELLS
            ]
            for scope in SCOPES
        ]
        for measure in cells.measures.values()
    ]


def _scoped(values: np.ndarray, scope: str, kept: np.ndarray) -> np.ndarray:
    """Values float64[source classes, target classes], NaN where not kept; ranked within target classes if
    they are to be compared there alone.
    """
    if scope == SCOPES[0]:
        return np.where(kept, values, np.nan).T
    ranks = np.full(values.shape, np.nan)
    for row, present in zip(range(len(values)), kept, strict=True):
        ranks[row, present] = centred_ranks(values[row, present])
    return ranks.T


def excess(cells: Cells) -> list[list[Interval]]:
    """The agreement of the distance minus that of its control, by scope and cells, with jackknife intervals
    over source classes; NaN without both.
    """
    both = [cells.measures.get(name) for name in (DISTANCE, CONTROL)]
    if any(measure is None for measure in both):
        return [[Interval(*[np.nan] * 3) for _ in CELLS] for _ in SCOPES]
    sources = len(cells.source_classes)
    kept = [np.ones(sources, bool), *~np.eye(sources, dtype=bool)]

    def difference(scope: str, present: np.ndarray) -> float:
        near, control, effect = (
            _scoped(values, scope, present).ravel() for values in (*both, cells.influence["effect"])
        )
        known = np.isfinite(effect)
        pair, twice = np.stack([near, control])[:, known], np.stack([effect, effect])[:, known]
        return float(np.subtract(*rank_correlations(pair, twice)))

    of_cells = [np.ones_like(cells.same_name), ~cells.same_name]
    values = [[[difference(scope, of & k) for k in kept] for of in of_cells] for scope in SCOPES]
    return [[jackknife_interval(v[0], np.array(v[1:])) for v in row] for row in values]


def write_reading(
    path: Path, relatedness: xr.Dataset, cells: Cells, study: str, rng: np.random.Generator
) -> None:
    """Store the measures beside the influences, and how far they agree.

    Args:
        study: of the models that the measures are of.
    """
    found = agreements(cells, rng)
    missing = _p_missing(study)
    with artefacts.create(path, READING) as out:
        for name, values in (
            ("target_class", cells.target_classes),
            ("source_class", cells.source_classes),
            ("influence", cells.influence["effect"]),
            *((f"influence_{part}", cells.influence[part]) for part in _PARTS),
            ("measure", list(cells.measures)),
            ("nearness", np.stack(list(cells.measures.values()))),
            ("same_name", cells.same_name),
            ("scope", SCOPES),
            ("cells", CELLS),
            ("nearest", nearest(cells)),
            *_of_classes(relatedness).items(),
        ):
            out.write(name, values)
        for part in ("value", "low", "high", "p", "n"):
            values = np.array([[[getattr(one, part) for one in row] for row in of] for of in found])
            values = np.full(values.shape, np.nan) if part == "p" and missing else values
            out.write("agreement" + ("" if part == "value" else f"_{part}"), values)
        of_control = excess(cells)
        for part, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            out.write(f"excess{end}", [[getattr(one, part) for one in row] for row in of_control])
        out.attribute("models", _described(relatedness, study))
        out.attribute("p_missing", missing)
        out.attribute("transform", str(relatedness.transform.values[-1]))


def nearest(cells: Cells) -> np.ndarray:
    """The source class at the least distance of each target class, by the first measure: str[targets]."""
    first = next(iter(cells.measures.values()))
    return np.array(cells.source_classes)[first.argmax(1)]


def _of_classes(relatedness: xr.Dataset) -> dict[str, np.ndarray]:
    """Loss and bound of each target class, means over the models that saw the source (all, if none did)."""
    seen = relatedness.role.values != SCRATCH
    chosen = relatedness.isel(tau=0, transform=-1, model=np.flatnonzero(seen | ~seen.any()))
    return {
        "class_loss": chosen.class_probe_loss.mean("model").values,
        "class_bound": chosen.class_bound.mean(("model", "draw")).values,
    }


def _p_missing(study: str) -> str:
    """Why there are no p-values; '' where there are."""
    if study != INFLUENCE_STUDY:
        return ""
    return "measures are of the same models that influences are estimated from"


def _described(relatedness: xr.Dataset, study: str) -> str:
    counts = [f"{n} {role}" for role, n in zip(*np.unique(relatedness.role, return_counts=True), strict=True)]
    return f"{', '.join(counts)} of study {study}"


def table(cells: Cells) -> pd.DataFrame:
    """One row for each pair of a target and a source class."""
    rows, columns = (i.ravel() for i in np.indices(cells.same_name.shape))
    given = {
        "target_class": np.array(cells.target_classes)[rows],
        "source_class": np.array(cells.source_classes)[columns],
        "influence": cells.influence["effect"][rows, columns],
        **{f"influence_{part}": cells.influence[part][rows, columns] for part in _PARTS},
        "same_name": cells.same_name[rows, columns],
    }
    return pd.DataFrame({**given, **{name: of[rows, columns] for name, of in cells.measures.items()}})

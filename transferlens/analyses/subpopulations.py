"""Subpopulations: the examples of a target class that a source class helps most, and least.

Source labels are finer than, or cut across, those of the target; the influence of one source class sorts the
examples of a target class by what they share with it (Jain et al. 2022, "projecting source labels").
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.core import store
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import (
    Interval,
    bootstrap_counts,
    dense_ranks,
    percentile_interval,
    roc_area,
)
from transferlens.data.index import HALVES, Index
from transferlens.data.pipeline import Images
from transferlens.pictures import figures

KIND = "subpopulations"
ENDS = ("most helped", "most hurt")
_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Pair:
    """A target class and a source class whose influence differs between the class's examples.

    Attributes:
        spread: standard deviation of the influence between examples of the select half, beyond noise.
        examples: int64[ends, n], positions in the val split, most extreme first.
        effect, se: float[ends, n].
    """

    target_class: str
    source_class: str
    spread: float
    examples: np.ndarray
    effect: np.ndarray
    se: np.ndarray


def find_pairs(influence: xr.Dataset, pairs: int, examples: int) -> list[Pair]:
    """The pairs whose influences vary most on the select half, and their extremes on the report half."""
    effect, se = influence.effect.values.astype(np.float64), influence.se.values.astype(np.float64)
    select = influence.example_half.values == "select"
    targets, sources = influence.target_class.values, influence.source_class.values
    spread = np.zeros((len(targets), len(sources)))
    for t, name in enumerate(targets):
        members = select & (influence.example_class.values == name)
        beyond_noise = effect[members].var(0, ddof=1) - (se[members] ** 2).mean(0)
        spread[t] = np.sqrt(np.maximum(beyond_noise, 0))
    found = []
    for cell in np.argsort(-spread, axis=None, kind="stable")[:pairs]:
        t, c = np.unravel_index(cell, spread.shape)
        if spread[t, c] == 0:
            break  # no pair beyond this one differs between examples by more than noise
        members = np.flatnonzero(~select & (influence.example_class.values == targets[t]))
        order = members[np.argsort(-effect[members, c], kind="stable")]
        ends = np.stack([order[:examples], order[::-1][:examples]])
        found.append(
            Pair(str(targets[t]), str(sources[c]), float(spread[t, c]), ends, effect[ends, c], se[ends, c])
        )
    return found


def finer_classes(influence: xr.Dataset, target: Index) -> pd.DataFrame:
    """How well the influence of a source class finds the target examples of the same finer class.

    For every target class that is a group of the data set's own classes, and every own class in it that the
    source also has: the area under the ROC curve within the target class, report half, with a 95 % interval
    (bootstrap over examples). One half is chance.
    """
    rows, sources = [], influence.source_class.values.tolist()
    report = target.val.halves == HALVES.index("report")
    for own, name in enumerate(target.own_classes):
        members = target.val.classes == own
        if name not in sources or target.own_classes == target.class_names:
            continue
        label = int(target.val.labels[members][0])
        group = report & (target.val.labels == label)
        if not 0 < (members & group).sum() < group.sum():
            continue
        effect = influence.effect.values[group, sources.index(name)]
        area = auroc(effect, members[group])
        rows.append(
            {
                "target_class": target.class_names[label],
                "source_class": name,
                "examples": int(group.sum()),
                "of_the_class": int((members & group).sum()),
                "auroc": area.value,
                "low": area.low,
                "high": area.high,
            }
        )
    columns = ["target_class", "source_class", "examples", "of_the_class", "auroc", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def auroc(values: np.ndarray, positive: np.ndarray) -> Interval:
    """Area under the ROC curve of values float[n] for positive bool[n], with an interval from a
    bootstrap over examples of either kind.
    """

    place, rng = dense_ranks(values), rng_for("auroc", len(values))
    counts = np.zeros((_BOOTSTRAPS, len(values)))
    for side in (positive, ~positive):
        counts[:, side] = bootstrap_counts(int(side.sum()), _BOOTSTRAPS, rng)
    drawn = np.array([roc_area(place, positive, drawn) for drawn in counts])
    return percentile_interval(roc_area(place, positive, np.ones(len(values))), drawn)


def write_subpopulations(
    path: Path,
    pairs: list[Pair],
    finer: pd.DataFrame,
    target: Index,
    val: Images,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Store the pairs with their images, and the areas under the curve."""
    with store.create(path, KIND, config=config, inputs=inputs) as out:
        out.strings("target_classes", [p.target_class for p in pairs], ["pairs"], "target class")
        out.strings("source_classes", [p.source_class for p in pairs], ["pairs"], "source class")
        out.array(
            "spread", np.array([p.spread for p in pairs]), ["pairs"], "sd of the influence between examples"
        )
        for i, pair in enumerate(pairs):
            dims = ["ends", "rank"]
            _, pixels = val.pick(pair.examples.ravel())
            ids = [target.val.ids[e] for e in pair.examples.ravel()]
            out.array(f"pair{i}/examples", pair.examples, dims, "position in the val split")
            out.strings(f"pair{i}/example_ids", ids, ["ends and ranks"], "the data set's own example id")
            out.array(f"pair{i}/effect", pair.effect, dims, "influence of the source class")
            out.array(f"pair{i}/se", pair.se, dims, "its standard error over models")
            out.array(
                f"pair{i}/images", pixels, ["ends and ranks", "height", "width", "channels"], "input", "bytes"
            )
        out.strings("finer/target_classes", list(finer.target_class), ["finer classes"], "target class")
        out.strings(
            "finer/classes", list(finer.source_class), ["finer classes"], "finer class, also in the source"
        )
        for key in ("examples", "of_the_class", "auroc", "low", "high"):
            values = finer[key].to_numpy(dtype=np.float64)
            out.array(f"finer/{key}", values, ["finer classes"], f"{key} of finding the finer class")


def pair_table(pairs: list[Pair], target: Index) -> pd.DataFrame:
    """One row for every shown example."""
    return pd.DataFrame(
        [
            {
                "target_class": pair.target_class,
                "source_class": pair.source_class,
                "end": ENDS[end],
                "rank": rank + 1,
                "example": target.val.ids[pair.examples[end, rank]],
                "own_class": target.own_classes[target.val.classes[pair.examples[end, rank]]],
                "effect": pair.effect[end, rank],
                "se": pair.se[end, rank],
            }
            for pair in pairs
            for end, rank in np.ndindex(pair.examples.shape)
        ],
        columns=["target_class", "source_class", "end", "rank", "example", "own_class", "effect", "se"],
    )


def draw(path: Path, picture: Path) -> None:
    """Two rows a pair: the examples most helped, and most hurt, by the source class."""
    with store.open(path, KIND) as file:
        names = [store.strings(file[key]) for key in ("target_classes", "source_classes")]
        if not names[0]:
            figures.save(
                figures.message("No influence differs between examples by more than noise."), picture
            )
            return
        columns = file["pair0/examples"].shape[1]
        figure = figures.figure(1.25 * columns, 3.1 * len(names[0]), layout="tight")
        axes = figure.subplots(2 * len(names[0]), columns, squeeze=False)
        for i, (target_class, source_class) in enumerate(zip(*names, strict=True)):
            images, effect, se = (file[f"pair{i}/{key}"][:] for key in ("images", "effect", "se"))
            for axis in axes[2 * i : 2 * i + 2].ravel():
                axis.set_axis_off()
            for end, rank in np.ndindex(effect.shape):
                caption = f"{effect[end, rank]:+.2f} ± {se[end, rank]:.2f}"
                if rank == 0:
                    verb = ENDS[end].split()[1]
                    caption = f"{target_class} {verb} by\n{source_class}\n{caption}"
                figures.show(axes[2 * i + end, rank], images[end * effect.shape[1] + rank], caption)
        figures.save(figure, picture)

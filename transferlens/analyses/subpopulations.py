"""Subpopulations: the examples of a target class that a source class helps most, and least.

Source labels are finer than, or cut across, those of the target; the influence of one source class sorts the
examples of a target class by what they share with it (Jain et al. 2022, "projecting source labels").
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.analyses.artefacts import SUBPOPULATIONS
from transferlens.core import artefacts, labelled
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import (
    Interval,
    bootstrap_counts,
    dense_ranks,
    percentile_interval,
    roc_area,
)
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Index
from transferlens.data.pipeline import Images
from transferlens.pictures import figures

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
    effect, se = (influence[name].values.astype(np.float64) for name in ("effect", "effect_se"))
    select = influence.example_half.values == "select"
    targets, sources = influence.target_class.values, influence.source_class.values
    spread = np.zeros((len(targets), len(sources)))
    for t, name in enumerate(targets):
        members = select & (influence.example_class.values == name)
        beyond_noise = effect[members].var(0, ddof=1) - (se[members] ** 2).mean(0)
        spread[t] = np.sqrt(np.maximum(beyond_noise, 0))
    chosen = []
    for cell in np.argsort(-spread, axis=None, kind="stable")[:pairs]:
        t, c = np.unravel_index(cell, spread.shape)
        if spread[t, c] == 0:
            break  # no pair beyond this one differs between examples by more than noise
        members = np.flatnonzero(~select & (influence.example_class.values == targets[t]))
        order = members[np.argsort(-effect[members, c], kind="stable")]
        ends = np.stack([order[:examples], order[::-1][:examples]])
        chosen.append(
            Pair(str(targets[t]), str(sources[c]), float(spread[t, c]), ends, effect[ends, c], se[ends, c])
        )
    return chosen


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
    path: Path, pairs: list[Pair], finer: pd.DataFrame, target: Index, val: Images
) -> None:
    """Store the pairs with their images, and the areas under the curve."""
    shown = max((pair.examples.shape[1] for pair in pairs), default=0)
    positions = _padded([pair.examples for pair in pairs], shown, -1)
    ids = np.array([*target.val.ids, ""], dtype=object)[positions]
    with artefacts.create(path, SUBPOPULATIONS) as out:
        out.write("pair_target_class", [pair.target_class for pair in pairs])
        out.write("pair_source_class", [pair.source_class for pair in pairs])
        out.write("spread", [pair.spread for pair in pairs])
        out.write("end", ENDS)
        out.write("example", ids)
        out.write("position", positions)
        out.write("effect", _padded([pair.effect for pair in pairs], shown, np.nan))
        out.write("effect_se", _padded([pair.se for pair in pairs], shown, np.nan))
        out.write("image", _images(val, positions))
        out.write("finer_class", list(finer.source_class))
        out.write("finer_target_class", list(finer.target_class))
        for name, column in (
            ("finer_examples", "examples"),
            ("finer_members", "of_the_class"),
            ("finer_auroc", "auroc"),
            ("finer_auroc_low", "low"),
            ("finer_auroc_high", "high"),
        ):
            out.write(name, finer[column].to_numpy(dtype=np.float64))


def _padded(parts: list[np.ndarray], width: int, nothing: float) -> np.ndarray:
    """Arrays [ends, n] of unequal n as one [parts, ends, width], filled up: small classes have fewer."""
    padded = np.full((len(parts), len(ENDS), width), nothing)
    for row, part in zip(padded, parts, strict=True):
        row[:, : part.shape[1]] = part
    return padded


def _images(val: Images, positions: np.ndarray) -> np.ndarray:
    """The images at positions int64[...] as bytes [..., y, x, 3]; black where there is none."""
    side = val.settings.resolution
    images = np.zeros((*positions.shape, side, side, 3), np.uint8)
    if (positions >= 0).any():
        _, images[positions >= 0] = val.pick(positions[positions >= 0])
    return images


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
    stored = labelled.read(path, SUBPOPULATIONS)
    pairs, columns = stored.sizes["pair"], stored.sizes["rank"]
    if not pairs:
        figures.save(figures.message("No influence differs between examples by more than noise."), picture)
        return
    figure = figures.figure(1.25 * columns, 3.1 * pairs, layout="tight")
    axes = figure.subplots(2 * pairs, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for pair, end, rank in np.argwhere(stored.position.values >= 0):
        cell = stored.isel(pair=pair, end=end, rank=rank)
        caption = f"{float(cell.effect):+.2f} ± {float(cell.effect_se):.2f}"
        if rank == 0:
            verb = ENDS[end].split()[1]
            caption = f"{cell.pair_target_class.item()} {verb} by\n{cell.pair_source_class.item()}\n{caption}"
        figures.show(axes[2 * pair + end, rank], cell.image.values, caption)
    figures.save(figure, picture)

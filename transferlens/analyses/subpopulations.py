"""Subpopulations: the examples of a target class that a source class helps most, and least.

Source labels are finer than, or cut across, those of the target; the influence of one source class sorts the
examples of a target class by what they share with it (Jain et al. 2022, "projecting source labels").
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.analyses.artefacts import FINER_COLUMNS, FOLD_COLUMNS, SUBPOPULATIONS
from transferlens.analyses.folds import CHOOSING, REPORTING, Fold, missing_folds, of_fold
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

    Pair and examples are chosen by one fold of the draws of masks; all numbers are by the other one.

    Attributes:
        spread: standard deviation of the influence between the report half's examples, beyond noise. Noise
            that examples share counts as if it told them apart, so this is rather too small than too large.
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
    """The pairs whose influences vary most on the select half, and their extremes on the report half.

    None where influences have no folds (`folds.missing_folds` says why).
    """
    if missing_folds(influence):
        return []
    choosing, reporting = of_fold(influence, CHOOSING), of_fold(influence, REPORTING)
    select = influence.example_half.values == "select"
    targets, sources = influence.target_class.values, influence.source_class.values
    members = influence.example_class.values[None] == targets[:, None]
    spread = np.stack([_spread(choosing, select & one) for one in members])
    chosen = []
    for cell in np.argsort(-spread, axis=None, kind="stable")[:pairs]:
        t, c = np.unravel_index(cell, spread.shape)
        if spread[t, c] == 0:
            break  # no pair beyond this one differs between examples by more than noise
        reported = np.flatnonzero(~select & members[t])
        order = reported[np.argsort(-choosing.effect[reported, c], kind="stable")]
        ends = np.stack([order[:examples], order[::-1][:examples]])
        found = float(_spread(reporting, reported)[c])
        names = str(targets[t]), str(sources[c])
        chosen.append(Pair(*names, found, ends, reporting.effect[ends, c], reporting.se[ends, c]))
    return chosen


def _spread(fold: Fold, members: np.ndarray) -> np.ndarray:
    """Standard deviations float64[sources] of the influences between some examples, beyond noise."""
    beyond_noise = fold.effect[members].var(0, ddof=1) - np.square(fold.se[members]).mean(0)
    return np.sqrt(np.maximum(beyond_noise, 0))


def finer_classes(influence: xr.Dataset, target: Index) -> pd.DataFrame:
    """How well the influence of a source class finds the target examples of the same finer class.

    For every target class that is a group of the data set's own classes, and every own class in it that the
    source also has: the area under the ROC curve within the target class, report half, with a 95 % interval
    (bootstrap over examples, for these models), and the areas by either fold of the draws of masks, which
    tell how far other models may differ. One half is chance.
    """
    rows, sources = [], influence.source_class.values.tolist()
    report = target.val.halves == HALVES.index("report")
    by_fold = None if missing_folds(influence) else influence.effect_by_fold.values
    for own, name in enumerate(target.own_classes):
        members = target.val.classes == own
        if name not in sources or target.own_classes == target.class_names:
            continue
        label = int(target.val.labels[members][0])
        group = report & (target.val.labels == label)
        if not 0 < (members & group).sum() < group.sum():
            continue
        place, positive = sources.index(name), members[group]
        area = auroc(influence.effect.values[group, place], positive)
        folds = [np.nan] * 2
        if by_fold is not None:
            folds = [
                roc_area(dense_ranks(fold[group, place]), positive, np.ones(len(positive)))
                for fold in by_fold
            ]
        counts = int(group.sum()), int(positive.sum())
        rows.append((target.class_names[label], name, *counts, area.value, area.low, area.high, *folds))
    return pd.DataFrame(rows, columns=FINER_COLUMNS)


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
    path: Path, pairs: list[Pair], finer: pd.DataFrame, target: Index, val: Images, missing: str = ""
) -> None:
    """Store the pairs with their images, and the areas under the curve; `missing` says why there are no
    pairs.
    """
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
        out.write("finer_auroc_by_fold", finer[FOLD_COLUMNS].to_numpy(dtype=np.float64))
        if missing:
            out.attribute("missing", missing)


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
        reason = stored.attrs.get("missing", "no influence differs between examples by more than noise")
        figures.save(figures.message(f"No pair is shown: {reason}."), picture)
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

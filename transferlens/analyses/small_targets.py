"""Small targets: do influences, and the gain of the source, depend on how many target images there are?"""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.analyses.artefacts import SMALL_TARGETS
from transferlens.core import artefacts
from transferlens.core.statistics import Interval, jackknife_interval, mean_interval
from transferlens.core.studies import FULL, SCRATCH
from transferlens.pictures import figures


def compare(
    sizes: dict[str, int], influences: dict[str, xr.Dataset], references: dict[str, xr.Dataset], whole: str
) -> pd.DataFrame:
    """One row a size: accuracies from the full source and from scratch, and the agreement of influences.

    Args:
        sizes: training images of each target (the whole one and its parts), by data set name.
        whole: the name of the whole target.

    The agreement is the correlation, over (target class, source class), of class influences on the report
    half
    with those on the whole target; its interval is a jackknife over source classes. Both rest on the same
    source models, whose chance differences they share.
    """
    rows = []
    for name, images in sorted(sizes.items(), key=lambda item: item[1]):
        report = references[name].accuracy.sel(half="report").values
        full, scratch = (report[references[name].role.values == role] for role in (FULL, SCRATCH))
        row: dict = {"target": name, "training_images": images}
        for key, interval in {
            "full": mean_interval(full),
            "scratch": mean_interval(scratch),
            "gain": mean_interval(full - scratch),
            "agreement": agreement(influences[name], influences[whole]),
        }.items():
            row |= {key: interval.value, f"{key}_low": interval.low, f"{key}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def agreement(one: xr.Dataset, other: xr.Dataset) -> Interval:
    """Correlation of two class influence matrices of the report half, with a jackknife over source
    classes.
    """
    x, y = (i.class_effect.sel(half="report").values.astype(np.float64) for i in (one, other))

    def correlation(kept: np.ndarray) -> float:
        return float(np.corrcoef(x[:, kept].ravel(), y[:, kept].ravel())[0, 1])

    everything = np.ones(x.shape[1], bool)
    without = np.array([correlation(np.arange(x.shape[1]) != c) for c in range(x.shape[1])])
    interval = jackknife_interval(correlation(everything), without)
    return Interval(interval.value, max(interval.low, -1.0), min(interval.high, 1.0))


def write_small_targets(path: Path, table: pd.DataFrame) -> None:
    """Store the comparison."""
    with artefacts.create(path, SMALL_TARGETS) as out:
        for name in table.columns:
            out.write(name, table[name].to_numpy())


def draw(table: pd.DataFrame, picture: Path) -> None:
    """Accuracies, and the agreement of influences, against the number of target training images."""
    figure = figures.figure(8, 3, layout="tight")
    left, right = figure.subplots(1, 2)
    lines = (
        (left, "full", figures.HELP, "full source"),
        (left, "scratch", figures.NEUTRAL, "from scratch"),
        (right, "agreement", "#444444", "class influences"),
    )
    for axis, key, colour, name in lines:
        axis.plot(table.training_images, table[key], "o-", color=colour, label=name)
        axis.fill_between(
            table.training_images, table[f"{key}_low"], table[f"{key}_high"], color=colour, alpha=0.15
        )
        axis.set(xscale="log", xlabel="target training images")
        axis.set_xticks(table.training_images, table.training_images)
        axis.minorticks_off()
    left.set_ylabel("target accuracy (report half)")
    left.legend(frameon=False, fontsize=8)
    right.set_ylabel("correlation with the whole target's")
    figures.save(figure, picture)

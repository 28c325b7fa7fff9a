"""Interference: how far an object of a source class in the background distracts from the true target class.

Of each composite, the fall of the true class's probability on a background with its object beyond that on
the scrambled background, in the fine-tuned model beyond that in the model from scratch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlens.core import artefacts
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import (
    bootstrap_counts,
    mcnemar_p,
    percentile_interval,
    pigeonhole_weights,
    q_values,
    sign_flip_p,
)
from transferlens.data.artefacts import HALVES
from transferlens.memories.artefacts import CONTROLS, INTERFERENCE
from transferlens.memories.effect.composites import Composites, Responses, Table
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is estimated of every pair of classes, by the name in the file.
ESTIMATES = (
    *("interference", "interference_low", "interference_high", "interference_p", "interference_q"),
    *("gross", "drop_fine_tuned", "drop_scratch", "drop_canvas_fine_tuned"),
    *("flips_fine_tuned", "flips_scratch", "flips_p", "flips_q"),
)
# Their columns in a table that is about nothing else.
_COLUMNS = {"interference": "effect"} | {f"interference_{part}": part for part in ("low", "high", "p", "q")}


@dataclass(frozen=True)
class Interference:
    """Attributes:
    source_classes: int64[shortlist], index into the source's class names.
    cells: float64[halves, shortlist, target classes] by name (see `ESTIMATES`); NaN where too few composites
        are usable, or the classes overlap.
    n: int64, the same shape, usable composites.
    congruent: bool[shortlist, target classes], the target class is the one the memory is bound to.
    skipped: why there is nothing; '' if there is.
    """

    source_classes: np.ndarray
    source_names: list[str]
    target_names: list[str]
    cells: Mapping[str, np.ndarray]
    n: np.ndarray
    congruent: np.ndarray
    skipped: str


@dataclass(frozen=True)
class Values:
    """What is estimated from, each float64[models, composites].

    Attributes:
        usable: bool, both models are right on the target image alone.
        net: the drop beyond that on the scrambled background, fine-tuned minus scratch.
        gross: the drop on the object, fine-tuned minus scratch.
        drop, flips: by model, on the object.
        canvas: the fine-tuned model's drop on the canvas.
    """

    usable: np.ndarray
    net: np.ndarray
    gross: np.ndarray
    drop: Mapping[str, np.ndarray]
    flips: Mapping[str, np.ndarray]
    canvas: np.ndarray


def measure(made: Composites) -> Values:
    """Drops and flips of every composite under every pair of models."""
    true = made.table.target_class
    usable = np.logical_and(*((r.alone_prediction == true) for r in made.responses.values()))
    drops = {name: _drops(r) for name, r in made.responses.items()}
    on_object, scrambled, canvas = (CONTROLS.index(c) for c in ("object", "scrambled", "canvas"))
    net = {name: d[..., on_object] - d[..., scrambled] for name, d in drops.items()}
    drop = {name: d[..., on_object] for name, d in drops.items()}
    return Values(
        usable,
        net["fine_tuned"] - net["scratch"],
        drop["fine_tuned"] - drop["scratch"],
        drop,
        {name: r.prediction[..., on_object] != true for name, r in made.responses.items()},
        drops["fine_tuned"][..., canvas],
    )


def _drops(responses: Responses) -> np.ndarray:
    """[models, composites, controls], probability of the true class lost against the target image alone."""
    return responses.alone_p_true[..., None].astype(np.float64) - responses.p_true


def estimate(
    made: Composites,
    bound_class: np.ndarray,
    overlap: np.ndarray,
    smallest_cell: int,
    bootstrap: int,
    permutations: int,
    seed: int,
) -> Interference:
    """Interference of every pair of classes in both halves.

    Args:
        bound_class: int64[source classes], the target class each is bound to, by the select half.
        overlap: bool[source classes, target classes].
        smallest_cell: pairs with fewer usable composites get no estimate.
        bootstrap: replicates, over backgrounds, pasted images and models.
        permutations: random sign flips of each test.
    """
    listed, targets = made.shortlist.classes, len(made.target_names)
    shape = (len(HALVES), len(listed), targets)
    cells = {name: np.full(shape, np.nan) for name in ESTIMATES}
    counts = np.zeros(shape, np.int64)
    if len(made.table):
        values = measure(made)
        models = len(values.usable)
        drawn = bootstrap_counts(models, bootstrap, rng_for(seed, "interference models"))
        for cell, rows in _cells(made.table, listed):
            rows = rows[values.usable[:, rows].any(0)]
            counts[cell] = len(rows)
            if len(rows) >= smallest_cell:
                rng = rng_for(seed, "interference", *(int(i) for i in cell))
                estimated = _estimate_cell(values, made.table, rows, drawn, permutations, rng)
                for name, value in estimated.items():
                    cells[name][cell] = value
    for name in ("interference", "flips"):
        cells[f"{name}_q"] = np.stack([q_values(of_half) for of_half in cells[f"{name}_p"]])
    congruent = (bound_class[listed][:, None] == np.arange(targets)) & ~overlap[listed]
    return Interference(listed, made.source_names, made.target_names, cells, counts, congruent, made.skipped)


def _cells(table: Table, listed: np.ndarray) -> Iterator[tuple[tuple, np.ndarray]]:
    """(half, place in the shortlist, target class) and the rows of every pair of classes that has any."""
    keys = np.stack([table.half, np.searchsorted(listed, table.source_class), table.target_class])
    order = np.lexsort(keys[::-1])
    changes = np.flatnonzero(np.diff(keys[:, order]).any(0)) + 1
    for rows in np.split(order, changes):
        yield tuple(keys[:, rows[0]]), rows


def _estimate_cell(
    values: Values,
    table: Table,
    rows: np.ndarray,
    drawn: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Every estimate of one pair of classes, from the composites `rows`; `drawn` int[bootstrap, models]."""
    usable = values.usable[:, rows]
    backgrounds, overlays = table.background[rows], table.overlay[rows]
    net = np.where(usable, values.net[:, rows], 0.0)
    weights = pigeonhole_weights([backgrounds, overlays], len(drawn), rng)
    totals, counts = (
        np.einsum("rm,rm->r", drawn, weights @ part.T) for part in (net, usable.astype(np.float32))
    )
    with np.errstate(invalid="ignore"):  # a replicate without any usable composite
        interval = percentile_interval(net.sum() / usable.sum(), totals / counts)

    def mean(of_models: np.ndarray) -> float:
        return float(of_models[:, rows][usable].mean())

    of_background = np.bincount(np.unique(backgrounds, return_inverse=True)[1], net.sum(0))
    flipped = {name: _mostly(flips[:, rows], usable) for name, flips in values.flips.items()}
    only = flipped["fine_tuned"] & ~flipped["scratch"], flipped["scratch"] & ~flipped["fine_tuned"]
    return {
        "interference": float(interval.value),
        "interference_low": float(interval.low),
        "interference_high": float(interval.high),
        "interference_p": sign_flip_p(of_background, permutations, rng),
        "gross": mean(values.gross),
        "drop_fine_tuned": mean(values.drop["fine_tuned"]),
        "drop_scratch": mean(values.drop["scratch"]),
        "drop_canvas_fine_tuned": mean(values.canvas),
        "flips_fine_tuned": mean(values.flips["fine_tuned"]),
        "flips_scratch": mean(values.flips["scratch"]),
        "flips_p": float(mcnemar_p(*(side.sum() for side in only))),
    }


def _mostly(flips: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """bool[composites], flipped under more than half of the models [models, composites] that count."""
    return 2 * (flips & usable).sum(0) > usable.sum(0)


def write_interference(path: Path, estimated: Interference) -> None:
    """Store the estimates."""
    with artefacts.create(path, INTERFERENCE) as out:
        if estimated.skipped:
            out.attribute("skipped", estimated.skipped)
        out.write("half", HALVES)
        out.write("tried_class", [estimated.source_names[c] for c in estimated.source_classes])
        out.write("target_class", estimated.target_names)
        for name in ESTIMATES:
            out.write(name, estimated.cells[name])
        out.write("interference_n", estimated.n)
        out.write("congruent", estimated.congruent)


def table(estimated: Interference) -> pd.DataFrame:
    """One row a half and pair of classes with an estimate, the strongest first."""
    half, place, target = np.nonzero(~np.isnan(estimated.cells["interference"]))
    columns = {
        "half": np.array(HALVES)[half],
        "source_class": np.array(estimated.source_names, object)[estimated.source_classes[place]],
        "target_class": np.array(estimated.target_names, object)[target],
        "n": estimated.n[half, place, target],
        **{_COLUMNS.get(name, name): values[half, place, target] for name, values in estimated.cells.items()},
        "congruent": estimated.congruent[place, target],
    }
    return pd.DataFrame(columns).sort_values(["half", "effect"], ascending=[True, False], kind="stable")


def draw_matrix(path: Path, estimated: Interference) -> None:
    """The report half's interference as a matrix; pairs with q < 0.05 are marked, congruent ones framed."""
    effect = estimated.cells["interference"][HALVES.index("report")]
    if np.isnan(effect).all():
        reason = estimated.skipped or "no pair of classes has enough usable composites"
        figures.save(figures.message(f"No interference estimated: {reason}"), path)
    else:
        figures.save(_matrix(estimated, effect), path)


def _matrix(estimated: Interference, effect: np.ndarray) -> "Figure":
    """The figure of effects float[shortlist, target classes] of the report half."""
    from matplotlib.patches import Rectangle

    rows, columns = effect.shape
    figure = figures.figure(2.5 + 0.45 * columns, 1.8 + 0.26 * rows)
    axis = figure.subplots()
    limit = np.nanmax(np.abs(effect))
    axis.set_facecolor("0.85")
    axis.spines[:].set_visible(True)
    image = axis.imshow(effect, cmap=figures.DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
    for row, column in np.argwhere(
        estimated.cells["interference_q"][HALVES.index("report")] < figures.SIGNIFICANT
    ):
        axis.text(column, row, "*", ha="center", va="center", fontsize=10)
    for row, column in np.argwhere(estimated.congruent):
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black"))
    axis.set_xticks(range(columns), estimated.target_names, rotation=90, fontsize=8)
    axis.set_yticks(range(rows), [estimated.source_names[c] for c in estimated.source_classes], fontsize=8)
    axis.set_xlabel("target class pasted", fontsize=10)
    axis.set_ylabel("source class behind", fontsize=10)
    axis.set_title("Interference, report half (* q < 0.05, framed: bound to, gray: none)", fontsize=8)
    bar = figure.colorbar(image)
    bar.set_label("net drop of the true class's probability", fontsize=10)
    bar.ax.tick_params(labelsize=10)
    return figure

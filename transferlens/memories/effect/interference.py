"""Interference: how far an object of a source class in the background distracts from the true target class.

Of each composite, the fall of the true class's probability on a background with its object beyond that on
the scrambled background, in the fine-tuned model beyond that in the model from scratch. A scrambled picture
may distract by itself; so the falls on the object and on the scrambled background are told against a plain
canvas, too, and all of them on the log-odds as well as on the probability.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlens.core import artefacts
from transferlens.core.crossed import crossed_means
from transferlens.data.artefacts import HALVES
from transferlens.memories import tested
from transferlens.memories.artefacts import CONTRASTS, CONTROLS, INTERFERENCE, OUTPUTS
from transferlens.memories.effect.composites import Composites, Responses, Table
from transferlens.memories.kept.probes import Probes
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is estimated of every pair of classes with its error, by the name in the file; and what is told beside.
ESTIMATES = (*(f"{name}{ending}" for name in CONTRASTS for ending in OUTPUTS), "flips")
MEANS = (
    *("gross", "drop_fine_tuned", "drop_scratch", "drop_canvas_fine_tuned"),
    *("flips_fine_tuned", "flips_scratch"),
)
_PARTS = {"": "value", "_se": "se", "_low": "low", "_high": "high", "_p": "p"}
# Columns in a table that is about nothing else.
_COLUMNS = {"interference": "effect"} | {
    f"interference_{part}": part for part in ("se", "low", "high", "p", "q")
}
_SELECT, _REPORT = (HALVES.index(half) for half in HALVES)


@dataclass(frozen=True)
class Interference:
    """Attributes:
    source_classes: int64[shortlist], index into the source's class names.
    cells: float64[halves, shortlist, target classes] by the name in the file: each of `ESTIMATES` alone, with
        `_se`, `_low`, `_high`, `_p` and `_q`, and `MEANS`; NaN where too few composites are usable, or the
        classes overlap.
    n, models: int64, the same shape, usable composites, and pairs of models that have any.
    chosen: bool[shortlist, target classes], the most distracting by the select half (see `tested`).
    together: of the contrasts over all composites of the chosen cells, report half, by the name in the file.
    bound: bool[shortlist, target classes], the target class the source class is bound to most, by the select
        half; congruent: those that the report half confirms.
    untested: why most pairs of classes have no p and q; '' where all have.
    skipped: why there is nothing; '' if there is.
    """

    source_classes: np.ndarray
    source_names: list[str]
    target_names: list[str]
    cells: Mapping[str, np.ndarray]
    n: np.ndarray
    models: np.ndarray
    chosen: np.ndarray
    together: Mapping[str, float]
    bound: np.ndarray
    congruent: np.ndarray
    untested: str
    skipped: str


@dataclass(frozen=True)
class Values:
    """What is estimated from, each float64[models, composites].

    Attributes:
        usable: bool, both models are right on the target image alone.
        contrasts: by the names of `ESTIMATES`, fine-tuned minus scratch.
        means: by the names of `MEANS`.
    """

    usable: np.ndarray
    contrasts: Mapping[str, np.ndarray]
    means: Mapping[str, np.ndarray]


def measure(made: Composites) -> Values:
    """Drops and flips of every composite under every pair of models of its half."""
    true, contrasts = made.table.target_class, {}
    usable = np.logical_and(*((r.alone_prediction == true) for r in made.responses.values()))
    on = {control: i for i, control in enumerate(CONTROLS)}
    for ending, (output, _) in OUTPUTS.items():
        drops = {name: _drops(r, output) for name, r in made.responses.items()}
        more = drops["fine_tuned"] - drops["scratch"]
        for name, (control, reference) in _AGAINST.items():
            contrasts[f"{name}{ending}"] = more[..., on[control]] - more[..., on[reference]]
    flips = {
        name: (r.prediction[..., on["object"]] != true).astype(np.float64)
        for name, r in made.responses.items()
    }
    contrasts["flips"] = flips["fine_tuned"] - flips["scratch"]
    drops = {name: _drops(r, "p_true") for name, r in made.responses.items()}
    means = {
        "gross": (drops["fine_tuned"] - drops["scratch"])[..., on["object"]],
        "drop_canvas_fine_tuned": drops["fine_tuned"][..., on["canvas"]],
        **{f"drop_{name}": of_model[..., on["object"]] for name, of_model in drops.items()},
        **{f"flips_{name}": of_model for name, of_model in flips.items()},
    }
    return Values(usable, contrasts, means)


# Which two backgrounds each of CONTRASTS compares: the drop on the former beyond that on the latter.
_AGAINST = {
    "interference": ("object", "scrambled"),
    "beyond_canvas": ("object", "canvas"),
    "scrambled_beyond_canvas": ("scrambled", "canvas"),
}


def _drops(responses: Responses, output: str) -> np.ndarray:
    """[models, composites, controls], of the true class's output lost against the target image alone."""
    alone, made = (getattr(responses, f"{when}{output}").astype(np.float64) for when in ("alone_", ""))
    return alone[..., None] - made


def estimate(made: Composites, probes: Probes, smallest_cell: int) -> Interference:
    """Interference of every pair of classes in both halves, each over its own models and images.

    Args:
        probes: of the recipe (of a remedy, of the recipe that it is made of): what is bound to what.
        smallest_cell: pairs with fewer usable composites get no estimate.
    """
    listed, targets = made.shortlist.classes, len(made.target_names)
    shape = (len(HALVES), len(listed), targets)
    names = [f"{name}{part}" for name in ESTIMATES for part in (*_PARTS, "_q")]
    cells = {name: np.full(shape, np.nan) for name in (*names, *MEANS)}
    counts, models = np.zeros((2, *shape), np.int64)
    values = measure(made)
    if len(made.table):
        for cell, rows in _cells(made.table, listed):
            usable = values.usable[:, rows]
            counts[cell], models[cell] = usable.any(0).sum(), usable.any(1).sum()
            if counts[cell] >= smallest_cell:
                for name, value in _estimate_cell(values, made.table, rows).items():
                    cells[name][cell] = value
    chosen = tested.choose(cells["interference_low"][_SELECT], cells["interference"][_SELECT])
    of_halves = [int((of >= 0).sum()) for of in made.repeats]
    for name in ESTIMATES:
        for half, count in enumerate(of_halves):
            of_half = chosen & (half == _REPORT)
            p = cells[f"{name}_p"][half]
            cells[f"{name}_p"][half], cells[f"{name}_q"][half] = tested.test(p, count, of_half)
    bound = (probes.bound_class[listed][:, None] == np.arange(targets)) & ~probes.overlap[listed]
    binding = probes.binding
    confirmed = (binding.q[_REPORT] < figures.SIGNIFICANT) & (binding.effect[_REPORT] > 0)
    return Interference(
        *(listed, made.source_names, made.target_names, cells, counts, models, chosen),
        _together(values, made.table, listed, chosen),
        *(bound, bound & confirmed[listed], tested.untested(of_halves[_REPORT]), made.skipped),
    )


def _cells(table: Table, listed: np.ndarray) -> Iterator[tuple[tuple, np.ndarray]]:
    """(half, place in the shortlist, target class) and the rows of every pair of classes that has any."""
    keys = np.stack([table.half, np.searchsorted(listed, table.source_class), table.target_class])
    order = np.lexsort(keys[::-1])
    changes = np.flatnonzero(np.diff(keys[:, order]).any(0)) + 1
    for rows in np.split(order, changes):
        yield tuple(keys[:, rows[0]]), rows


def _estimate_cell(values: Values, table: Table, rows: np.ndarray) -> dict[str, float]:
    """Every estimate of one pair of classes, from the composites `rows`."""
    usable = values.usable[:, rows]
    weights, factors = usable.astype(np.float64), [table.background[rows], table.overlay[rows]]
    contrasts = np.stack([of_all[:, rows] for of_all in values.contrasts.values()])
    means = crossed_means(contrasts, weights, factors)
    found = {
        f"{name}{part}": getattr(means, key)[i]
        for i, name in enumerate(values.contrasts)
        for part, key in _PARTS.items()
    }
    return found | {name: float(of_all[:, rows][usable].mean()) for name, of_all in values.means.items()}


def _together(values: Values, table: Table, listed: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
    """The contrasts over all report-half composites of the cells bool[shortlist, target classes]."""
    place = np.searchsorted(listed, table.source_class)
    rows = np.flatnonzero((table.half == _REPORT) & chosen[place, table.target_class])
    names = [name for name in values.contrasts if name != "flips"]
    means = crossed_means(
        np.stack([values.contrasts[name][:, rows] for name in names]),
        values.usable[:, rows].astype(np.float64),
        [table.background[rows], table.overlay[rows]],
    )
    return {
        f"chosen_{name}{part}": float(getattr(means, key)[i])
        for i, name in enumerate(names)
        for part, key in _PARTS.items()
    }


def write_interference(path: Path, estimated: Interference) -> None:
    """Store the estimates."""
    with artefacts.create(path, INTERFERENCE) as out:
        for name in ("skipped", "untested"):
            if text := getattr(estimated, name):
                out.attribute(name, text)
        out.write("half", HALVES)
        out.write("tried_class", [estimated.source_names[c] for c in estimated.source_classes])
        out.write("target_class", estimated.target_names)
        for name, values in (estimated.cells | estimated.together).items():
            out.write(name, values)
        out.write("interference_n", estimated.n)
        out.write("interference_models", estimated.models)
        for name in ("chosen", "bound", "congruent"):
            out.write(name, getattr(estimated, name))


def table(estimated: Interference) -> pd.DataFrame:
    """One row a half and pair of classes with an estimate, the strongest first."""
    half, place, target = np.nonzero(~np.isnan(estimated.cells["interference"]))
    columns = {
        "half": np.array(HALVES)[half],
        "source_class": np.array(estimated.source_names, object)[estimated.source_classes[place]],
        "target_class": np.array(estimated.target_names, object)[target],
        "n": estimated.n[half, place, target],
        **{_COLUMNS.get(name, name): values[half, place, target] for name, values in estimated.cells.items()},
        **{name: getattr(estimated, name)[place, target] for name in ("chosen", "bound", "congruent")},
    }
    return pd.DataFrame(columns).sort_values(["half", "effect"], ascending=[True, False], kind="stable")


def draw_matrix(path: Path, estimated: Interference) -> None:
    """The report half's interference as a matrix.

    Pairs that are tested have a dot, those with q < 0.05 a star; what a source class is bound to by the
    select half is framed, thick where the report half confirms it.
    """
    effect = estimated.cells["interference"][_REPORT]
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
    q = estimated.cells["interference_q"][_REPORT]
    for row, column in np.argwhere(~np.isnan(q)):
        found = q[row, column] < figures.SIGNIFICANT
        axis.text(column, row, "*" if found else "\u00b7", ha="center", va="center", fontsize=10)
    net, objects = (estimated.cells[name][_REPORT] for name in ("interference", "beyond_canvas"))
    for row, column in np.argwhere(net * objects < 0):
        place = (column - 0.5, row - 0.5)
        axis.add_patch(Rectangle(place, 1, 1, fill=False, hatch="////", edgecolor="0.5", linewidth=0))
    for row, column in np.argwhere(estimated.bound):
        width = 2.0 if estimated.congruent[row, column] else 0.6
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=width)
        axis.add_patch(frame)
    axis.set_xticks(range(columns), estimated.target_names, rotation=90, fontsize=8)
    axis.set_yticks(range(rows), [estimated.source_names[c] for c in estimated.source_classes], fontsize=8)
    axis.set_xlabel("target class pasted", fontsize=10)
    axis.set_ylabel("source class behind", fontsize=10)
    axis.set_title(
        "Interference, report half (dot: tested, * q < 0.05; framed: bound to, thick: for sure;\n"
        "hatched: the sign is that of the scrambled control; gray: no estimate)",
        fontsize=8,
    )
    bar = figure.colorbar(image)
    bar.set_label("net drop of the true class's probability", fontsize=10)
    bar.ax.tick_params(labelsize=10)
    return figure

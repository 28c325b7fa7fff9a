"""Which images are shown: rows of the gallery, and the cells of the paper's figure.

A cell is a pair of a studied source class and a target class. The figure's cells are chosen on the select
half; all images shown are of the report half.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import artefacts
from transferlens.data.artefacts import HALVES, positions
from transferlens.data.pasting import paste, shrink
from transferlens.data.pipeline import Images
from transferlens.memories.effect import composites
from transferlens.memories.effect.composites import CONTROLS, Composites
from transferlens.memories.images.artefacts import PARTS, RANKING, SCORES

# Composites of one cell in the gallery, at least (where there are as many).
_A_CELL = 5
_BOUND_SHARE = 0.25


@dataclass(frozen=True)
class Rows:
    """Images with what is to be drawn of them; arrays with one entry an image.

    Attributes:
        images: float32[n, 3, side, side], as networks take them.
        pixels: uint8[n, side, side, 3].
        true, memory: int64[n], target and source classes.
    """

    images: torch.Tensor
    pixels: np.ndarray
    true: np.ndarray
    memory: np.ndarray


@dataclass(frozen=True)
class Cells:
    """Interference of pairs of a studied source class and a target class.

    Attributes:
        source_class: int64[S], the studied source classes, ascending.
        effect, low, high, q: float64[halves, S, K]; NaN where there are too few composites (of `q`, where the
            cell is not tested).
        bound: bool[S, K], whether the target class is the one that the memory is bound to by the select half;
            congruent: those that the report half confirms.
    """

    source_class: np.ndarray
    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    q: np.ndarray
    bound: np.ndarray
    congruent: np.ndarray


def read_cells(path: Path, source_names: list[str]) -> Cells:
    """The cells of an interference artefact."""
    with artefacts.open(path, "interference") as file:
        estimates = (file[f"interference{suffix}"][:] for suffix in ("", "_low", "_high", "_q"))
        tried = positions(artefacts.names(file["tried_class"]), source_names)
        return Cells(tried, *estimates, file["bound"][:], file["congruent"][:])


@dataclass(frozen=True)
class Gallery:
    """Rows of the gallery.

    Attributes:
        kinds: 'natural' or 'composite'.
        example_ids: target examples; of composites, the overlays.
        background_ids: source examples behind the overlays; '' of natural rows.
        congruent: bool[n], whether the memory is bound to the composite's true class.
        scores: float64[n] by the names of SCORES.
    """

    rows: Rows
    kinds: list[str]
    example_ids: list[str]
    background_ids: list[str]
    congruent: np.ndarray
    scores: dict[str, np.ndarray]

    def __add__(self, other: "Gallery") -> "Gallery":
        rows = Rows(
            torch.cat([self.rows.images, other.rows.images]),
            *(
                np.concatenate([getattr(g.rows, name) for g in (self, other)])
                for name in ("pixels", "true", "memory")
            ),
        )
        return Gallery(
            rows,
            self.kinds + other.kinds,
            self.example_ids + other.example_ids,
            self.background_ids + other.background_ids,
            np.concatenate([self.congruent, other.congruent]),
            {name: np.concatenate([self.scores[name], other.scores[name]]) for name in SCORES},
        )


def _scores(count: int, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: known.get(name, np.full(count, np.nan)).astype(np.float64) for name in SCORES}


def natural(
    path: Path, count: int, images: Images, source_names: list[str], target_names: list[str]
) -> Gallery:
    """The `count` highest examples of a ranking."""
    with artefacts.open(path, RANKING) as file:
        ids = artefacts.names(file["example"])[:count]
        known = {name: file[name][:count] for name in SCORES if name in file}
        true = positions(artefacts.names(file["true"])[:count], target_names)
        memory = positions(artefacts.names(file["memory"])[:count], source_names)
        rows = Rows(*images.pick(file["position"][:count]), true, memory)
    n = len(ids)
    return Gallery(rows, ["natural"] * n, ids, [""] * n, np.zeros(n, bool), _scores(n, known))


def of_composites(
    found: Composites, cells: Cells, chosen: np.ndarray, source: Images, target: Images
) -> Gallery:
    """Composites by number int64[n], as the first pair of models sees them."""
    table, n = found.table, len(chosen)
    place = np.searchsorted(cells.source_class, table.source_class[chosen])
    cell = (HALVES.index("report"), place, table.target_class[chosen])
    answers = found.responses["fine_tuned"]
    known = {
        "drop": answers.alone_p_true[0, chosen] - answers.p_true[0, chosen, CONTROLS.index("object")],
        "inside_share": answers.inside_share[0, chosen],
        "cell_effect": cells.effect[cell],
        "cell_effect_q": cells.q[cell],
    }
    return Gallery(
        composite_rows(found, chosen, source, target),
        ["composite"] * n,
        [target.examples.ids[e] for e in table.overlay[chosen]],
        [source.examples.ids[e] for e in table.background[chosen]],
        cells.congruent[cell[1:]],
        _scores(n, known),
    )


def composite_rows(found: Composites, chosen: np.ndarray, source: Images, target: Images) -> Rows:
    """Composites by number int64[n], made again."""
    table = found.table
    small = shrink(target.bytes_of(table.overlay[chosen]), int(table.side[0]))
    backgrounds = source.bytes_of(table.background[chosen])
    pixels = paste(backgrounds, small, table.x[chosen], table.y[chosen])
    return _rows(target, pixels, table.target_class[chosen], table.source_class[chosen])


def _rows(target: Images, pixels: np.ndarray, true: np.ndarray, memory: np.ndarray) -> Rows:
    return Rows(target.normalise(torch.from_numpy(pixels)), pixels, true, memory)


def gallery_composites(found: Composites, cells: Cells, count: int) -> np.ndarray:
    """Which composites the gallery shows, int64[at most count]: report-half composites, cell by cell.

    Three quarters come from the cells that distract most on the select half (see `_surely`), the others from
    cells of the class that the memory is bound to. Of a cell the first ones are taken: they are made in
    random order.
    """
    surely, known = _surely(cells), ~np.isnan(cells.effect[HALVES.index("report")])
    of_bound = round(_BOUND_SHARE * count)
    kinds = ((~cells.bound & known, count - of_bound), (cells.bound & known, of_bound))
    chosen: list[int] = []
    for wanted, most in kinds:
        places = np.argwhere(wanted)[np.argsort(-surely[wanted], kind="stable")]
        a_cell = max(_A_CELL, -(-most // max(len(places), 1)))
        of_kind: list[int] = []
        for s, y in places:
            of_kind += _of_cell(found, cells, s, y)[:a_cell].tolist()
        chosen += of_kind[:most]
    return np.array(chosen, dtype=np.int64)


def _of_cell(found: Composites, cells: Cells, s: int, y: int) -> np.ndarray:
    """Numbers of a cell's report-half composites."""
    table = found.table
    of_classes = (table.source_class == cells.source_class[s]) & (table.target_class == y)
    return np.flatnonzero(of_classes & (table.half == HALVES.index("report")))


def figure_cells(cells: Cells, count: int) -> list[tuple[int, int]]:
    """(place in the shortlist, target class) of the cells that interfere most for sure on the select half.

    One cell a source class; those of the class that the memory is bound to are none.
    """
    best = np.where(cells.bound, -np.inf, _surely(cells))
    order = np.argsort(-best.max(1, initial=-np.inf), kind="stable")[:count]
    return [(int(s), int(best[s].argmax())) for s in order if np.isfinite(best[s].max())]


def _surely(cells: Cells) -> np.ndarray:
    """How much each cell interferes for sure, by the select half: float64[S, K], -inf where that is unknown.

    The lower end of its interval; with a single pair of models there is none, and the estimate stands for it.
    """
    half = HALVES.index("select")
    low, effect = cells.low[half], cells.effect[half]
    surely = effect if np.isnan(low).all() else low
    return np.where(np.isnan(surely), -np.inf, surely)


def typical_composite(found: Composites, cells: Cells, s: int, y: int) -> int:
    """The report-half composite of a cell whose net drop is the median, under the first pair of models.

    Among those whose overlay alone both models are right on, if there are any.
    """
    own = _of_cell(found, cells, s, y)
    answers = [found.responses[name] for name in composites.MODELS]
    right = np.all([a.alone_prediction[0, own] == y for a in answers], axis=0)
    own = own[right] if right.any() else own
    objects, scrambled = CONTROLS.index("object"), CONTROLS.index("scrambled")
    tuned, scratch = (a.p_true[0, own, scrambled] - a.p_true[0, own, objects] for a in answers)
    return int(own[np.argsort(tuned - scratch, kind="stable")[(len(own) - 1) // 2]])


def figure_rows(found: Composites, chosen: np.ndarray, source: Images, target: Images) -> Rows:
    """Background, overlay and composite (see PARTS) of each composite int64[n]: 3 n rows."""
    table = found.table
    made = composite_rows(found, chosen, source, target)
    parts = [source.bytes_of(table.background[chosen]), target.bytes_of(table.overlay[chosen]), made.pixels]
    pixels = np.stack(parts, 1).reshape(-1, *made.pixels.shape[1:])
    return _rows(target, pixels, *(np.repeat(v, len(PARTS)) for v in (made.true, made.memory)))

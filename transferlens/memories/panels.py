"""The gallery's rows and the paper's figure: images with the class maps of every model that is compared.

Natural target examples come from the top of the ranking, composites from the cells (pairs of a source and a
target class) whose interference is most significant, and from congruent ones. All maps are those of the first
pair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens import store
from transferlens.data.index import HALVES
from transferlens.memories import seen
from transferlens.memories.pairs import Pair

KIND = "memory panels"
ROLES = {
    "source": ("source", "evidence for the source model's own top class"),
    "predicted": ("target", "evidence for the fine-tuned model's predicted class"),
    "true": ("target", "evidence for the true class"),
    "memory": ("source", "evidence for the memory: the source head on the fine-tuned backbone"),
    "contrast": (
        "target",
        "evidence for the predicted minus that for the true class (the runner-up, where it is right)",
    ),
    "scratch": ("target", "evidence for the from-scratch model's predicted class"),
}
_BATCH = 32
# Composites of one cell in the gallery, at least (where there are as many).
_A_CELL = 5
_CONGRUENT_SHARE = 0.25


@dataclass(frozen=True)
class Panel:
    """One role's maps of n images.

    Attributes:
        maps: float16[n, h, w], signed where networks pool.
        classes: int32[n], index into the role's classes; of the contrast, the class that is subtracted.
        probabilities, logits: float32[n], of that class; of the contrast, the logits' difference.
        raw_max, raw_min: float32[n].
    """

    maps: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    logits: np.ndarray
    raw_max: np.ndarray
    raw_min: np.ndarray


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


def panels(pair: Pair, rows: Rows, temperature: float) -> dict[str, Panel]:
    """Maps of every role, one pass of each network a batch.

    Args:
        temperature: calibrates the probabilities of the source head on the fine-tuned backbone.
    """
    parts: dict[str, list[tuple]] = {role: [] for role in ROLES}
    for start in range(0, len(rows.images), _BATCH):
        chosen = slice(start, start + _BATCH)
        labels = [torch.from_numpy(v[chosen]).to(rows.images.device) for v in (rows.true, rows.memory)]
        for role, values in _of_batch(pair, rows.images[chosen], *labels, temperature):
            parts[role].append(tuple(value.cpu().numpy() for value in values))
    return {role: _joined(found) for role, found in parts.items()}


def _of_batch(pair: Pair, images, true, memory, temperature) -> Iterator[tuple[str, tuple]]:
    """(role, (maps, classes, probabilities, logits)) of one batch."""
    source = seen.see(pair.source, images)
    tuned = seen.see(pair.fine_tuned, images)
    scratch = seen.see(pair.scratch, images)
    head, scratch_head = pair.fine_tuned.head, pair.scratch.head
    logits = tuned.logits(head)
    predicted = logits.argmax(1)
    runner_up = logits.scatter(1, predicted[:, None], -torch.inf).argmax(1)
    rival = torch.where(predicted == true, runner_up, true)
    yield "source", _panel(source, pair.source_head, source.logits(pair.source_head).argmax(1))
    shown = _panel(tuned, head, predicted)
    yield "predicted", shown
    yield "true", _panel(tuned, head, true)
    yield "memory", _panel(tuned, pair.source_head, memory, temperature)
    against = _panel(tuned, head, rival)
    yield "contrast", (shown[0] - against[0], rival, against[2], shown[3] - against[3])
    yield "scratch", _panel(scratch, scratch_head, scratch.logits(scratch_head).argmax(1))


def _panel(network: seen.Seen, head, classes, temperature: float = 1.0) -> tuple:
    logits = network.logits(head)
    probabilities = (logits / temperature).softmax(1).gather(1, classes[:, None])[:, 0]
    return network.maps(head, classes), classes, probabilities, logits.gather(1, classes[:, None])[:, 0]


def _joined(parts: list[tuple]) -> Panel:
    maps, classes, probabilities, logits = (np.concatenate(values) for values in zip(*parts, strict=True))
    extremes = maps.max((1, 2)), maps.min((1, 2))
    return Panel(
        maps.astype(np.float16),
        classes.astype(np.int32),
        *(values.astype(np.float32) for values in (probabilities, logits, *extremes)),
    )


@dataclass(frozen=True)
class Cells:
    """Estimates of interference for pairs of a studied source class and a target class.

    Attributes:
        source_class: int64[S], index of each studied source class.
        effect, low, high, p, q: float64[halves, S, K]; NaN where there are too few composites.
        congruent: bool[S, K], whether the target class is the one that the memory is bound to.
    """

    source_class: np.ndarray
    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    q: np.ndarray
    congruent: np.ndarray


def read_cells(path: Path, kind: str) -> Cells:
    """The cells of an interference artefact."""
    with store.open(path, kind) as file:
        return Cells(*(file[name][:] for name in Cells.__annotations__))


def figure_cells(cells: Cells, count: int) -> list[tuple[int, int]]:
    """(row s, target class) of the most surely interfering cells of the select half, a source class each.

    They are ranked by the lower ends of their intervals.
    """
    low = np.where(cells.congruent, np.nan, cells.low[HALVES.index("select")])
    best = np.where(np.isnan(low), -np.inf, low)
    order = np.argsort(-best.max(1), kind="stable")[:count]
    return [(int(s), int(best[s].argmax())) for s in order if np.isfinite(best[s].max())]


def gallery_composites(
    cells: Cells, source: np.ndarray, target: np.ndarray, halves: np.ndarray, count: int
) -> np.ndarray:
    """Which composites the gallery shows, int64[at most count]: report-half composites, cell by cell.

    Three quarters come from the cells with the smallest p-values of interference, the others from congruent
    cells. Of a cell the first ones are taken: they are made in random order.

    Args:
        source, target: int64[composites], source class of the background, class of the overlay.
        halves: int64[composites].
    """
    report = HALVES.index("report")
    p, congruent = cells.p[report], round(_CONGRUENT_SHARE * count)
    harmful = ~cells.congruent & (cells.effect[report] > 0)
    found: list[int] = []
    for wanted, most in ((harmful, count - congruent), (cells.congruent & ~np.isnan(p), congruent)):
        places = np.argwhere(wanted)[np.argsort(p[wanted], kind="stable")]
        a_cell = max(_A_CELL, -(-most // max(len(places), 1)))
        chosen: list[int] = []
        for s, y in places:
            own = (source == cells.source_class[s]) & (target == y) & (halves == report)
            chosen += np.flatnonzero(own)[:a_cell].tolist()
        found += chosen[:most]
    return np.array(found, dtype=np.int64)


def typical(values: np.ndarray) -> int:
    """The index of the (lower) median of values float[n]."""
    return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])


@dataclass(frozen=True)
class Figure:
    """The paper's figure: for each cell three images (PARTS), seen by three models (FIGURE_ROLES).

    Attributes:
        source_class, target_class: int64[cells].
        effect, low, high, q: float64[cells], interference on the report half.
        rows: the cells' images, cell by cell in the order of PARTS.
        panels: their maps.
    """

    source_class: np.ndarray
    target_class: np.ndarray
    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    q: np.ndarray
    rows: Rows
    panels: dict[str, Panel]


PARTS = ("background", "overlay", "composite")
FIGURE_ROLES = {"source": "source model", "predicted": "fine-tuned", "scratch": "from scratch"}

# What is known of each row of the gallery; NaN where a kind of row has no such number.
SCORES = {
    "distraction": ("how far memories pull away from the true class, mean over pairs", "probability"),
    "distraction_se": ("its standard error over pairs", "probability"),
    "overlap": ("shared share of the evidence for the predicted class and for the memory", None),
    "score": ("distraction times overlap", "probability"),
    "margin": ("true logit minus the best other logit", "logit units"),
    "removal_effect": ("change of the margin when the memory's region is blurred", "logit units"),
    "removal_p": ("its one-sided p-value against random shifts of the region", None),
    "removal_q": ("its Benjamini-Hochberg q-value", None),
    "ablation_effect": ("change of the margin when the memory's direction is removed", "logit units"),
    "ablation_p": ("its one-sided p-value against other source classes", None),
    "ablation_q": ("its Benjamini-Hochberg q-value", None),
    "without_effect": ("change of the margin in models retrained without the memory", "logit units"),
    "drop": ("probability of the true class on the overlay alone minus that on the composite", "probability"),
    "inside_share": ("share of the positive evidence for the true class inside the overlay", None),
    "cell_effect": ("interference of the composite's pair of classes, report half", "probability"),
    "cell_q": ("its Benjamini-Hochberg q-value", None),
}


def write_panels(
    path: Path,
    kinds: Sequence[str],
    example_ids: Sequence[str],
    background_ids: Sequence[str],
    rows: Rows,
    found: dict[str, Panel],
    scores: dict[str, np.ndarray],
    congruent: np.ndarray,
    figure: Figure | None,
    source_names: list[str],
    target_names: list[str],
    *,
    signed: bool,
    skipped: str,
    config: dict,
    inputs: list,
    device: str,
) -> None:
    """Store the gallery's rows, and the figure's images if there are any.

    Args:
        kinds: 'natural' or 'composite', of each row.
        background_ids: of composites, the source example behind; '' of natural examples.
        scores: float[rows], by the names of SCORES.
        congruent: bool[rows], whether the composite's target class is the one that the memory is bound to.
        skipped: why there are no composites; '' if there are.
    """
    with store.create(path, KIND, config=config, inputs=inputs, device=device) as out:
        out.attribute("signed", int(signed))
        out.attribute("skipped", skipped)
        out.strings("source_class_names", source_names, ["classes"], "source class")
        out.strings("target_class_names", target_names, ["target classes"], "target class")
        dims = ["rows"]
        out.strings("kind", kinds, dims, "natural example or composite")
        out.strings("example_ids", example_ids, dims, "target example (of a composite, the overlay's)")
        out.strings("background_ids", background_ids, dims, "source example behind; '' of natural ones")
        predicted = found["predicted"].classes
        for name, values, meaning in (
            ("true", rows.true, "index into target_class_names"),
            ("predicted", predicted, "index into target_class_names, by the fine-tuned model"),
            ("memory", rows.memory, "index into source_class_names"),
            ("wrong", predicted != rows.true, "whether the prediction is wrong"),
            ("congruent", congruent, "whether the memory is bound to the composite's true class"),
        ):
            out.array(name, values, dims, meaning)
        for name, (meaning, units) in SCORES.items():
            out.array(name, scores[name].astype(np.float64), dims, meaning, units)
        _write_maps(out, "", dims, rows.pixels, found)
        if figure is not None:
            _write_figure(out, figure)


def _write_maps(out: store.Writer, group: str, dims: list[str], pixels, found: dict[str, Panel]) -> None:
    out.array(f"{group}image", pixels, [*dims, "height", "width", "channels"], "network input", "bytes")
    for role, panel in found.items():
        head, meaning = ROLES[role]
        place = f"{group}maps/{role}"
        out.array(f"{place}/map", panel.maps, [*dims, "map height", "map width"], meaning, "logit units")
        for name, values, of in (
            ("class", panel.classes, f"index into {head}_class_names"),
            ("probability", panel.probabilities, "probability of the class, within its head"),
            ("logit", panel.logits, "logit of the class (of the contrast, the difference)"),
            ("raw_max", panel.raw_max, "largest value of the map"),
            ("raw_min", panel.raw_min, "smallest value of the map"),
        ):
            out.array(f"{place}/{name}", values, dims, of)


def _write_figure(out: store.Writer, figure: Figure) -> None:
    """Images and maps: one row for every cell and part."""
    out.strings("figure/parts", PARTS, ["parts"], "what the images of each cell are")
    for name, meaning in (
        ("source_class", "index into source_class_names"),
        ("target_class", "index into target_class_names"),
        ("effect", "interference on the report half"),
        ("low", "lower end of its 95 % interval"),
        ("high", "upper end of its 95 % interval"),
        ("q", "its Benjamini-Hochberg q-value"),
    ):
        out.array(f"figure/{name}", getattr(figure, name), ["cells"], meaning)
    shown = {role: figure.panels[role] for role in FIGURE_ROLES}
    _write_maps(out, "figure/", ["cells and parts"], figure.rows.pixels, shown)

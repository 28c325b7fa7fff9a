"""The gallery's rows and the paper's figure: images with the class maps of the models of the first pair."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import store
from transferlens.memories.images import seen
from transferlens.memories.images.rows import PARTS, SCORES, Gallery, Rows
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
# The columns of the figure.
FIGURE_ROLES = {"source": "source model", "predicted": "fine-tuned", "scratch": "from scratch"}
_BATCH = 32


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


def write_panels(
    path: Path,
    gallery: Gallery,
    found: dict[str, Panel],
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
    """Store the gallery's rows with their maps, and the figure if there is one.

    Args:
        signed: whether maps are signed and add up to logits.
        skipped: why there are no composites; '' if there are.
    """
    rows, predicted = gallery.rows, found["predicted"].classes
    with store.create(path, KIND, config=config, inputs=inputs, device=device) as out:
        out.attribute("signed", int(signed))
        if skipped:
            out.attribute("skipped", skipped)
        out.strings("source_class_names", source_names, ["source classes"], "source class")
        out.strings("target_class_names", target_names, ["target classes"], "target class")
        dims = ["rows"]
        for name, words, meaning in (
            ("kind", gallery.kinds, "natural example or composite"),
            ("example_ids", gallery.example_ids, "target example (of a composite, the overlay's)"),
            ("background_ids", gallery.background_ids, "source example behind; '' of natural examples"),
        ):
            out.strings(name, words, dims, meaning)
        for name, values, meaning in (
            ("true", rows.true, "index into target_class_names"),
            ("predicted", predicted, "index into target_class_names, by the fine-tuned model"),
            ("memory", rows.memory, "index into source_class_names"),
            ("wrong", predicted != rows.true, "whether the prediction is wrong"),
            ("congruent", gallery.congruent, "whether the memory is bound to the composite's true class"),
        ):
            out.array(name, values, dims, meaning)
        for name, (meaning, units) in SCORES.items():
            out.array(name, _completed(name, gallery, found), dims, meaning, units)
        _write_maps(out, "", dims, rows.pixels, found)
        if figure is not None:
            _write_figure(out, figure)


def _completed(name: str, gallery: Gallery, found: dict[str, Panel]) -> np.ndarray:
    """A score of the gallery's rows float64[n], with what the maps say where it is not known."""
    values, unknown = gallery.scores[name], np.isnan(gallery.scores[name])
    if name == "overlap":
        return np.where(unknown, seen.intersection(found["predicted"].maps, found["memory"].maps), values)
    if name == "margin":
        wrong = found["predicted"].classes != gallery.rows.true
        lead = found["contrast"].logits
        return np.where(unknown, np.where(wrong, -lead, lead), values)
    return values


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

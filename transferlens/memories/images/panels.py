"""The gallery's rows and the paper's figure: images with the class maps of the models of the first pair."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from transferlens.core import artefacts
from transferlens.memories.images import seen
from transferlens.memories.images.artefacts import FIGURE_ROLES, PANELS, PARTS, ROLES, SCORES
from transferlens.memories.images.rows import Gallery, Rows
from transferlens.memories.pairs import Pair

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
    return {role: _joined(batches) for role, batches in parts.items()}


def _of_batch(
    pair: Pair, images: torch.Tensor, true: torch.Tensor, memory: torch.Tensor, temperature: float
) -> Iterator[tuple[str, tuple]]:
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


def _panel(network: seen.Seen, head: nn.Linear, classes: torch.Tensor, temperature: float = 1.0) -> tuple:
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
    shown: Mapping[str, Panel],
    figure: Figure | None,
    source_names: list[str],
    target_names: list[str],
    *,
    signed: bool,
    skipped: str,
) -> None:
    """Store the gallery's rows with their maps, and the figure if there is one.

    Args:
        shown: the rows' maps, by role.
        signed: whether maps are signed and add up to logits.
        skipped: why there are no composites; '' if there are.
    """
    rows, predicted = gallery.rows, shown["predicted"].classes
    names = {
        head: np.array(of_head, dtype=object)
        for head, of_head in (("source", source_names), ("target", target_names))
    }
    with artefacts.create(path, PANELS) as out:
        out.attribute("signed", signed)
        if skipped:
            out.attribute("skipped", skipped)
        out.write("kind", gallery.kinds)
        out.write("example", gallery.example_ids)
        out.write("background", gallery.background_ids)
        out.write("true", names["target"][rows.true])
        out.write("predicted", names["target"][predicted])
        out.write("memory", names["source"][rows.memory])
        out.write("wrong", predicted != rows.true)
        out.write("congruent", gallery.congruent)
        for name in SCORES:
            out.write(name, _completed(name, gallery, shown))
        _write_maps(out, "", rows.pixels, {role: shown[role] for role in ROLES}, names)
        if figure is not None:
            _write_figure(out, figure, names)


def _completed(name: str, gallery: Gallery, shown: Mapping[str, Panel]) -> np.ndarray:
    """A score of the gallery's rows float64[n], with what the maps say where it is not known."""
    values, unknown = gallery.scores[name], np.isnan(gallery.scores[name])
    if name == "overlap":
        return np.where(unknown, seen.intersection(shown["predicted"].maps, shown["memory"].maps), values)
    if name == "margin":
        wrong = shown["predicted"].classes != gallery.rows.true
        lead = shown["contrast"].logits
        return np.where(unknown, np.where(wrong, -lead, lead), values)
    return values


def _write_maps(
    out: artefacts.Writer,
    prefix: str,
    pixels: np.ndarray,
    shown: Mapping[str, Panel],
    names: Mapping[str, np.ndarray],
) -> None:
    """Images uint8[n, side, side, 3] and their maps by role; `names` of the classes of either head."""
    out.write(f"{prefix}image", pixels)
    out.write(f"{prefix}role", list(shown))
    classes = [names[ROLES[role][0]][panel.classes] for role, panel in shown.items()]
    out.write(f"{prefix}class_name", np.stack(classes))
    for name, key in (
        ("class_map", "maps"),
        ("probability", "probabilities"),
        ("logit", "logits"),
        ("raw_max", "raw_max"),
        ("raw_min", "raw_min"),
    ):
        out.write(f"{prefix}{name}", np.stack([getattr(panel, key) for panel in shown.values()]))


def _write_figure(out: artefacts.Writer, figure: Figure, names: Mapping[str, np.ndarray]) -> None:
    """Images and maps: one row for every cell and part."""
    out.write("figure_source_class", names["source"][figure.source_class])
    out.write("figure_target_class", names["target"][figure.target_class])
    for key, suffix in (("effect", ""), ("low", "_low"), ("high", "_high"), ("q", "_q")):
        out.write(f"figure_interference{suffix}", getattr(figure, key))
    out.write("figure_part", list(PARTS) * len(figure.effect))
    shown = {role: figure.panels[role] for role in FIGURE_ROLES}
    _write_maps(out, "figure_", figure.rows.pixels, shown, names)

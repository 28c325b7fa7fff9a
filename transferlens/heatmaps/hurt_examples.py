"""Examples most hurt by a source class, and the artefact and picture of their class maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import artefacts
from transferlens.core.statistics import q_values, t_interval, two_sided_p
from transferlens.data.artefacts import HALVES
from transferlens.estimation.estimators import Effects
from transferlens.heatmaps.artefacts import HEATMAPS, ROLES
from transferlens.maps.class_maps import SIGNED_METHODS, ClassMaps, class_maps
from transferlens.models.network import Network
from transferlens.pictures import figures, overlays

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class HurtExamples:
    """Report-half examples with the source class that lowers their output most.

    Attributes:
        examples: int64[n], positions in the val split.
        source_units: int64[n], index of the source class (or group of classes).
        effect, se, q: float[n], from other models than chose them; q is Benjamini-Hochberg over these n.
            NaN where there are none.
    """

    examples: np.ndarray
    source_units: np.ndarray
    effect: np.ndarray
    se: np.ndarray
    q: np.ndarray


def most_hurt(choosing: Effects, reporting: Effects | None, halves: np.ndarray, count: int) -> HurtExamples:
    """The `count` report-half examples whose most harmful class hurts most for sure.

    Cells are ranked by the upper end of their 95 % interval, one class an example: a large effect that is
    poorly known ranks below a smaller one that is certain.

    Args:
        choosing: influences [examples, units] that decide.
        reporting: those from other models, that are told of the chosen ones; None if there are none.
        halves: int[examples].
    """
    report = np.flatnonzero(halves == HALVES.index("report"))
    upper = t_interval(choosing.effect[report], choosing.se[report], choosing.df).high
    worst = upper.argmin(1)
    rows = np.argsort(upper[np.arange(len(report)), worst], kind="stable")[:count]
    examples, units = report[rows], worst[rows]
    if reporting is None:
        return HurtExamples(examples, units, *np.full((3, len(rows)), np.nan))
    effect, se = (part[examples, units].astype(np.float64) for part in (reporting.effect, reporting.se))
    return HurtExamples(examples, units, effect, se, q_values(two_sided_p(effect, se, reporting.df)))


@dataclass(frozen=True)
class Explained:
    """What one model sees in the examples.

    Attributes:
        maps: of every role.
        predicted, rival: int64[n], target classes; the rival is the true class of a wrong prediction, and the
            second best class of a right one.
    """

    maps: dict[str, ClassMaps]
    predicted: np.ndarray
    rival: np.ndarray


def explain(
    network: Network,
    source_head: nn.Linear,
    images: torch.Tensor,
    labels: np.ndarray,
    hurt: HurtExamples,
    unit_of_class: np.ndarray,
    method: str,
    layer: str | None,
) -> Explained:
    """Class maps of every role for the hurt examples' images.

    Args:
        network: the adapted one, with its target head.
        unit_of_class: int64[source classes], the unit of each; of a group's classes, the map is that of the
            one with the highest logit.
    """
    with torch.no_grad():
        features = network.backbone(images)
        best = network.head(features).topk(2).indices.cpu().numpy()
        source_logits = source_head(features).cpu().numpy()
    predicted = best[:, 0]
    rival = np.where(predicted == labels, best[:, 1], labels)
    in_unit = unit_of_class[None, :] == hurt.source_units[:, None]
    harmful = np.where(in_unit, source_logits, -np.inf).argmax(1)
    source = network.with_head(source_head)
    maps = {
        "true": class_maps(network, images, labels, method, layer),
        "predicted": class_maps(network, images, predicted, method, layer),
        "contrast": class_maps(network, images, predicted, method, layer, rivals=rival),
        "harmful": class_maps(source, images, harmful, method, layer),
    }
    return Explained(maps, predicted, rival)


def write_heatmaps(
    path: Path,
    hurt: HurtExamples,
    explained: Explained,
    labels: np.ndarray,
    pixels: np.ndarray,
    example_ids: list[str],
    source_names: list[str],
    target_names: list[str],
    method: str,
    effect_missing: str,
) -> None:
    """Store images, maps at native resolution, and their raw extremes.

    Args:
        labels: int64[n], true target classes of the examples.
        pixels: uint8[n, height, width, 3].
        source_names, target_names: of all units of the source, and of all target classes.
        effect_missing: why no effects are told; '' where they are.
    """
    with artefacts.create(path, HEATMAPS) as out:
        out.attribute("effect_missing", effect_missing)
        out.attribute("signed", method in SIGNED_METHODS)
        out.write("example", example_ids)
        out.write("example_position", hurt.examples)
        out.write("role", list(ROLES))
        for name, classes, names in (
            ("true", labels, target_names),
            ("predicted", explained.predicted, target_names),
            ("rival", explained.rival, target_names),
            ("harmful", hurt.source_units, source_names),
        ):
            out.write(name, [names[c] for c in classes])
        for name, values in (("effect", hurt.effect), ("effect_se", hurt.se), ("effect_q", hurt.q)):
            out.write(name, values)
        out.write("image", pixels)
        _write_maps(out, [explained.maps[role] for role in ROLES])


def _write_maps(out: artefacts.Writer, by_role: list[ClassMaps]) -> None:
    out.write("class_map", [maps.maps for maps in by_role])
    out.write("raw_min", [maps.maps.min((1, 2)) for maps in by_role])
    out.write("raw_max", [maps.maps.max((1, 2)) for maps in by_role])
    out.write("logit", [maps.logits for maps in by_role])
    out.write("probability", [maps.probabilities for maps in by_role])
    out.write("zero", [maps.zero for maps in by_role])


def draw_gallery(heatmaps_path: Path, picture: Path, colormap: str) -> None:
    """One row an example: the input, then each role's map over it, with class, probability and raw maximum.

    Args:
        colormap: `safe`, where maps share one scale within their head (target, source), so that panels can
            be compared; or `jet`, where each has its own.
    """
    with artefacts.open(heatmaps_path, HEATMAPS) as file:
        n, signed = len(file["example"]), bool(file.attrs["signed"])
        largest = dict(zip(ROLES, np.abs(file["class_map"][:]).max((1, 2, 3)), strict=True))
        limits = {
            head: max(largest[role] for role, (h, _) in ROLES.items() if h == head)
            for head in ("target", "source")
        }
        scales = {head: overlays.Scale(colormap, signed, limit) for head, limit in limits.items()}
        figure = figures.figure(11, 2.35 * n + 0.4)
        axes = figure.subplots(n, 1 + len(ROLES), squeeze=False)
        for i in range(n):
            _draw_row(axes[i], file, i, scales)
        words = "; ".join(f"{head} head: {scale.words}" for head, scale in scales.items())
        figure.suptitle(overlays.JET_WORDS if colormap == "jet" else words, fontsize=9)
        figures.save(figure, picture)


def _draw_row(axes: list["Axes"], file: h5py.File, i: int, scales: dict[str, overlays.Scale]) -> None:
    image = file["image"][i]
    true, predicted, rival, harmful, example = (
        file[name].asstr()[i] for name in ("true", "predicted", "rival", "harmful", "example")
    )
    titles = {
        "true": f"true: {figures.shortened(true)}",
        "predicted": f"predicted: {figures.shortened(predicted, 22)}",
        "contrast": f"{figures.shortened(predicted, 12)} rather than {figures.shortened(rival, 12)}",
        "harmful": f"harmful source: {figures.shortened(harmful, 18)}",
    }
    axes[0].imshow(image)
    influence = "influence not known"
    if not file.attrs["effect_missing"]:
        influence = f"influence {file['effect'][i]:+.2f} ± {file['effect_se'][i]:.2f} (SE)"
    axes[0].set_title(f"{figures.shortened(example, 34)}\n{influence}", fontsize=8)
    for r, (axis, (role, (head, _))) in enumerate(zip(axes[1:], ROLES.items(), strict=True)):
        scales[head].draw(axis, image, file["class_map"][r, i])
        highest = file["raw_max"][r, i]
        strength = f"raw max {highest:.2g}" if highest > 0 else "no positive evidence"
        probability = f"{file['probability'][r, i]:{'+' if role == 'contrast' else ''}.2f}"
        axis.set_title(
            f"{titles[role]}\n{'Δp' if role == 'contrast' else 'p'} {probability}, {strength}", fontsize=8
        )
    for axis in axes:
        axis.set_axis_off()

"""Examples most hurt by a source class, and the artefact and picture of their class maps."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import store
from transferlens.core.statistics import q_values, t_interval, two_sided_p
from transferlens.data.index import HALVES
from transferlens.maps.class_maps import SIGNED_METHODS, ClassMaps, class_maps
from transferlens.models.architectures import Network
from transferlens.pictures import figures, overlays

KIND = "heatmaps"
ROLES = {
    "true": ("target", "evidence for the true target class"),
    "predicted": ("target", "evidence for the predicted target class"),
    "contrast": ("target", "evidence for the predicted class minus that for its rival"),
    "harmful": ("source", "evidence for the source class that hurts the example most"),
}


@dataclass(frozen=True)
class HurtExamples:
    """Report-half examples with the source class that lowers their output most.

    Attributes:
        examples: int64[n], positions in the val split.
        source_units: int64[n], index of the source class (or group of classes).
        effect, se, q: float[n]; q is Benjamini-Hochberg over all report-half cells.
    """

    examples: np.ndarray
    source_units: np.ndarray
    effect: np.ndarray
    se: np.ndarray
    q: np.ndarray


def most_hurt(effect: np.ndarray, se: np.ndarray, df: float, halves: np.ndarray, count: int) -> HurtExamples:
    """The `count` report-half examples whose most harmful class hurts most for sure.

    Cells are ranked by the upper end of their 95 % interval, one class an example: a large effect that is
    poorly known ranks below a smaller one that is certain.

    Args:
        effect, se: float[examples, units], influences and their standard errors, with `df` degrees of
            freedom.
        halves: int[examples].
    """
    report = np.flatnonzero(halves == HALVES.index("report"))
    effect, se = effect[report].astype(np.float64), se[report].astype(np.float64)
    q = q_values(two_sided_p(effect, se, df))
    upper = t_interval(effect, se, df).high
    worst = upper.argmin(1)
    rows = np.argsort(upper[np.arange(len(report)), worst], kind="stable")[:count]
    cells = rows, worst[rows]
    return HurtExamples(report[rows], worst[rows], effect[cells], se[cells], q[cells])


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
    source = Network(network.backbone, source_head, network.class_map_layer, network.pools)
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
    *,
    config: dict,
    inputs: list,
    device: str = "cpu",
) -> None:
    """Store images, maps at native resolution, and their raw extremes."""
    with store.create(path, KIND, config=config, inputs=inputs, device=device) as out:
        out.attribute("signed", int(method in SIGNED_METHODS))
        out.array("images", pixels, ["examples", "height", "width", "channels"], "input", "bytes")
        out.array("examples", hurt.examples, ["examples"], "position in the val split")
        out.strings("example_ids", example_ids, ["examples"], "the data set's own example id")
        out.strings("source_class_names", source_names, ["classes"], "source class")
        out.strings("target_class_names", target_names, ["target classes"], "target class")
        for name, values, meaning in (
            ("true", labels, "true target class"),
            ("predicted", explained.predicted, "target class predicted from the full source"),
            ("rival", explained.rival, "the true class of a wrong prediction, else the second best"),
            ("harmful", hurt.source_units, "source class (or group) that hurts most"),
            ("effect", hurt.effect, "influence of the harmful class"),
            ("se", hurt.se, "its standard error over models"),
            ("q", hurt.q, "its Benjamini-Hochberg q-value over the report half"),
        ):
            out.array(name, values, ["examples"], meaning)
        for role, (_, meaning) in ROLES.items():
            _write_role(out, f"maps/{role}", explained.maps[role], meaning, method)


def _write_role(out: store.Writer, group: str, maps: ClassMaps, meaning: str, method: str) -> None:
    units = (
        "logit units per cell" if method in SIGNED_METHODS else f"as {method} defines them, not normalised"
    )
    out.array(f"{group}/map", maps.maps, ["examples", "map height", "map width"], meaning, units)
    for key, values in (
        ("raw_max", maps.maps.max((1, 2))),
        ("raw_min", maps.maps.min((1, 2))),
        ("logit", maps.logits),
        ("probability", maps.probabilities),
    ):
        out.array(f"{group}/{key}", values, ["examples"], f"{key} of the map's class (contrast: difference)")
    out.array(
        f"{group}/zero", maps.zero, ["examples"], "the method finds nothing: the map is zero everywhere"
    )


def draw_gallery(heatmaps_path: Path, picture: Path, colormap: str) -> None:
    """One row an example: the input, then each role's map over it, with class, probability and raw maximum.

    Args:
        colormap: `safe`, where maps share one scale within their head (target, source), so that panels can
            be compared; or `jet`, where each has its own.
    """
    with store.open(heatmaps_path, KIND) as file:
        n, signed = len(file["examples"]), bool(file.attrs["signed"])
        limits = {
            head: max(
                np.abs(file[f"maps/{role}/map"][:]).max() for role, (h, _) in ROLES.items() if h == head
            )
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


def _draw_row(axes, file: h5py.File, i: int, scales: dict[str, overlays.Scale]) -> None:
    image, targets = file["images"][i], store.strings(file["target_class_names"])
    predicted, rival = targets[file["predicted"][i]], targets[file["rival"][i]]
    titles = {
        "true": f"true: {targets[file['true'][i]]}",
        "predicted": f"predicted: {predicted}",
        "contrast": f"{predicted} rather than {rival}",
        "harmful": f"harmful source: {store.strings(file['source_class_names'])[file['harmful'][i]]}",
    }
    axes[0].imshow(image)
    axes[0].set_title(
        f"{file['example_ids'].asstr()[i]}\ninfluence {file['effect'][i]:+.2f} ± {file['se'][i]:.2f} (SE)",
        fontsize=8,
    )
    for axis, (role, (head, _)) in zip(axes[1:], ROLES.items(), strict=True):
        group = file[f"maps/{role}"]
        scales[head].draw(axis, image, group["map"][i])
        highest = group["raw_max"][i]
        strength = f"raw max {highest:.2g}" if highest > 0 else "no positive evidence"
        probability = f"{group['probability'][i]:{'+' if role == 'contrast' else ''}.2f}"
        axis.set_title(
            f"{titles[role]}\n{'Δp' if role == 'contrast' else 'p'} {probability}, {strength}", fontsize=8
        )
    for axis in axes:
        axis.set_axis_off()

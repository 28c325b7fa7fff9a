"""Examples most hurt by a source class, and the artefact and picture of their class maps."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from transferlens import store
from transferlens.data.index import HALVES
from transferlens.explain import class_maps
from transferlens.explain.class_maps import ClassMaps, TwoHeaded
from transferlens.statistics import q_values, t_interval, two_sided_p

KIND = "heatmaps"
ROLES = {
    "true": ("target", "evidence for the true target class"),
    "predicted": ("target", "evidence for the predicted target class"),
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


def explain(
    model: TwoHeaded,
    images: torch.Tensor,
    labels: np.ndarray,
    hurt: HurtExamples,
    unit_of_class: np.ndarray,
    method: str,
) -> tuple[dict[str, ClassMaps], np.ndarray]:
    """Class maps of every role for the hurt examples' images, and the predicted target classes int64[n].

    Args:
        unit_of_class: int64[source classes], the unit of each; of a group's classes, the map is that of the
            one with the highest logit.
    """
    with torch.no_grad():
        features = model.backbone(images)
        predicted = model.target_head(features).argmax(1).numpy()
        source_logits = model.source_head(features).numpy()
    in_unit = unit_of_class[None, :] == hurt.source_units[:, None]
    harmful = np.where(in_unit, source_logits, -np.inf).argmax(1)
    classes = {"true": labels, "predicted": predicted, "harmful": harmful}
    maps = {
        role: class_maps.class_maps(model, images, [int(c) for c in classes[role]], head, method)
        for role, (head, _) in ROLES.items()
    }
    return maps, predicted


def write_heatmaps(
    path: Path,
    hurt: HurtExamples,
    maps: dict[str, ClassMaps],
    predicted: np.ndarray,
    labels: np.ndarray,
    pixels: np.ndarray,
    example_ids: list[str],
    source_names: list[str],
    target_names: list[str],
    method: str,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Store images, maps at native resolution, and their raw extremes."""
    with store.create(path, KIND, config=config, inputs=inputs) as out:
        out.attribute("signed", int(method in class_maps.SIGNED_METHODS))
        out.array("images", pixels, ["examples", "height", "width", "channels"], "input", "bytes")
        out.array("examples", hurt.examples, ["examples"], "position in the val split")
        out.strings("example_ids", example_ids, ["examples"], "the data set's own example id")
        out.strings("source_class_names", source_names, ["classes"], "source class")
        out.strings("target_class_names", target_names, ["target classes"], "target class")
        for name, values, meaning in (
            ("true", labels, "true target class"),
            ("predicted", predicted, "target class predicted from the full source"),
            ("harmful", hurt.source_units, "source class (or group) that hurts most"),
            ("effect", hurt.effect, "influence of the harmful class"),
            ("se", hurt.se, "its standard error over models"),
            ("q", hurt.q, "its Benjamini-Hochberg q-value over the report half"),
        ):
            out.array(name, values, ["examples"], meaning)
        for role, (_, meaning) in ROLES.items():
            out.array(
                f"maps/{role}/map",
                maps[role].maps,
                ["examples", "map height", "map width"],
                meaning,
                "logit units per cell",
            )
            for key, values in (
                ("raw_max", maps[role].maps.max((1, 2))),
                ("raw_min", maps[role].maps.min((1, 2))),
                ("logit", maps[role].logits),
                ("probability", maps[role].probabilities),
            ):
                out.array(f"maps/{role}/{key}", values, ["examples"], f"{key} of the map's class")


def draw_gallery(heatmaps_path: Path, picture: Path) -> None:
    """One row an example: the input, then each role's map over it, with class, probability and raw maximum.

    Maps share one scale within their head (target, source), so that panels can be compared.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with store.open(heatmaps_path, KIND) as file:
        n, signed = len(file["examples"]), bool(file.attrs["signed"])
        limits = {
            head: max(
                np.abs(file[f"maps/{role}/map"][:]).max() for role, (h, _) in ROLES.items() if h == head
            )
            for head in ("target", "source")
        }
        figure, axes = plt.subplots(
            n, 1 + len(ROLES), figsize=(9, 2.35 * n), squeeze=False, layout="constrained"
        )
        for i in range(n):
            _draw_row(axes[i], file, i, limits, signed)
        with store.replace_file(picture) as temporary:
            figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
        plt.close(figure)


def _draw_row(axes, file: h5py.File, i: int, limits: dict[str, float], signed: bool) -> None:
    image, targets = file["images"][i], store.strings(file["target_class_names"])
    names = {
        "true": targets[file["true"][i]],
        "predicted": targets[file["predicted"][i]],
        "harmful": store.strings(file["source_class_names"])[file["harmful"][i]],
    }
    axes[0].imshow(image)
    axes[0].set_title(
        f"{file['example_ids'].asstr()[i]}\ninfluence {file['effect'][i]:+.2f} ± {file['se'][i]:.2f} (SE)",
        fontsize=8,
    )
    height, width = image.shape[:2]
    for axis, (role, (head, _)) in zip(axes[1:], ROLES.items(), strict=True):
        group = file[f"maps/{role}"]
        axis.imshow(image.mean(2), cmap="gray", extent=(0, width, height, 0))
        axis.imshow(
            group["map"][i],
            cmap="RdBu_r" if signed else "magma",
            vmin=-limits[head] if signed else 0,
            vmax=limits[head],
            alpha=0.6,
            interpolation="bilinear",
            extent=(0, width, height, 0),
        )
        highest = group["raw_max"][i]
        strength = f"raw max {highest:.2g}" if highest > 0 else "no positive evidence"
        word = {"true": "true", "predicted": "predicted", "harmful": "harmful source"}[role]
        axis.set_title(
            f"{word}: {names[role]}\np {group['probability'][i]:.2f}, {strength}",
            fontsize=8,
        )
    for axis in axes:
        axis.set_axis_off()

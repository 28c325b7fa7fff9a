"""The artefact, table and picture of how faithful class maps are."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlens.core import artefacts
from transferlens.heatmaps.artefacts import BASELINES, CONTROLS, CURVES, FAITHFULNESS, MEASURES, RANDOMISED
from transferlens.heatmaps.faithfulness import Scores, Summary
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The controls are grey.
_COLOURS = (
    figures.BLUE,
    figures.VERMILION,
    figures.GREEN,
    figures.PURPLE,
    figures.ORANGE,
    figures.SKY_BLUE,
    figures.BLACK,
)
_CONTROL_STYLES = {"random": ("--", "D"), "centre": (":", "s")}
_LABELS = {
    "deletion_mean": "deletion, mean",
    "deletion_blur": "deletion, blur",
    "insertion_mean": "insertion, mean",
    "insertion_blur": "insertion, blur",
    "average_drop": "average drop",
    "increase": "increase",
}


def table(scores: Scores, summary: Summary, layer: str) -> pd.DataFrame:
    """One row for every method and measure."""
    rows = []
    for m, method in enumerate(scores.methods):
        where = "" if method in CONTROLS else layer
        for name, (better, _) in MEASURES.items():
            mean, change = summary.means[name], summary.differences[name]
            row = {"method": method, "layer": where, "measure": name, "better": better}
            row |= {"mean": mean.value[m], "low": mean.low[m], "high": mean.high[m]}
            row |= {"minus_random": change.value[m], "minus_random_low": change.low[m]}
            row |= {"minus_random_high": change.high[m], "p": summary.p[name][m], "q": summary.q[name][m]}
            rows.append(row)
        for name in RANDOMISED:
            mean = summary.randomised[name]
            row = {"method": method, "layer": where, "measure": f"randomised_{name}", "better": "lower"}
            rows.append(row | {"mean": mean.value[m], "low": mean.low[m], "high": mean.high[m]})
    made = pd.DataFrame(rows)
    made["images"] = len(scores.classes)
    made["zero_maps"] = np.repeat(scores.zero.sum(1), len(MEASURES) + len(RANDOMISED))
    return made


def write(
    path: Path,
    scores: Scores,
    summary: Summary,
    examples: np.ndarray,
    example_ids: list[str],
    target_names: list[str],
    layer: str,
) -> None:
    """Store curves and measures of every image, and their summary.

    Args:
        examples: int64[images], positions in the val split.
        target_names: of the target's classes, which the predicted ones are named by.
    """
    with artefacts.create(path, FAITHFULNESS) as out:
        out.attribute("layer", layer)
        for name, labels in (
            ("map_method", scores.methods),
            ("measure", list(MEASURES)),
            ("baseline", list(BASELINES)),
            ("curve", CURVES),
            ("likeness", list(RANDOMISED)),
            ("image", example_ids),
            ("predicted", [target_names[c] for c in scores.classes]),
        ):
            out.write(name, labels)
        for name, values in (
            ("fraction", scores.fractions),
            ("image_position", examples),
            ("predicted_probability", scores.probabilities),
            ("zero", scores.zero),
            ("probability", [scores.curves[name] for name in BASELINES]),
            ("value", [scores.values[name] for name in MEASURES]),
            ("randomised", [scores.randomised[name] for name in RANDOMISED]),
        ):
            out.write(name, values)
        out.write_interval("mean", [summary.means[name] for name in MEASURES])
        out.write_interval("minus_random", [summary.differences[name] for name in MEASURES])
        out.write("minus_random_p", [summary.p[name] for name in MEASURES])
        out.write("minus_random_q", [summary.q[name] for name in MEASURES])
        out.write_interval("randomised_mean", [summary.randomised[name] for name in RANDOMISED])


def draw(scores: Scores, summary: Summary, picture: Path) -> None:
    """Above, the curves; below, how much better than random maps each method is, and random networks."""
    figure = figures.figure(11, 6.4)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    panels = [(curve, name) for name in BASELINES for curve in CURVES]
    axes = above.subplots(1, len(panels), sharey=True)
    for axis, (curve, name) in zip(axes, panels, strict=True):
        _draw_curves(axis, scores, curve, name)
    axes[0].set_ylabel("mean probability of the\npredicted class", fontsize=8)
    gain, change = below.subplots(1, 2, width_ratios=[1.6, 1])
    _draw_gains(gain, scores, summary)
    _draw_randomised(change, scores, summary)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=7, fontsize=8)
    figures.save(figure, picture)


def _style(scores: Scores, method: str) -> tuple[str, str, str]:
    """Colour, kind of line and kind of dot of a method or control."""
    if method in CONTROLS:
        return "#888888", *_CONTROL_STYLES[method]
    turn, colour = divmod(scores.methods.index(method), len(_COLOURS))
    return _COLOURS[colour], *(("-", "o"), ("-.", "^"))[turn]


def _draw_curves(axis: "Axes", scores: Scores, curve: str, name: str) -> None:
    values = scores.curves[name][CURVES.index(curve)].mean(1)
    for method, line in zip(scores.methods, values, strict=True):
        colour, kind, _ = _style(scores, method)
        axis.plot(scores.fractions, line, kind, color=colour, label=method, linewidth=1.3)
    better = MEASURES[f"{curve}_{name}"][0]
    axis.set_title(f"{curve} ({better} is better)\naway: {BASELINES[name]}", fontsize=8)
    axis.set_xlabel("share of the pixels " + ("away" if curve == "deletion" else "back"), fontsize=8)
    _tidy(axis)


def _draw_gains(axis: "Axes", scores: Scores, summary: Summary) -> None:
    """Differences to random, turned so that the right is better."""
    shown = [m for m in scores.methods if m != "random"]
    offsets = np.linspace(-0.3, 0.3, len(shown)) if len(shown) > 1 else [0.0]
    for row, name in enumerate(MEASURES):
        sign = -1 if MEASURES[name][0] == "lower" else 1
        for method, offset in zip(shown, offsets, strict=True):
            change = summary.differences[name]
            m = scores.methods.index(method)
            ends = sorted([sign * change.low[m], sign * change.high[m]])
            _dot(axis, sign * change.value[m], ends, row + offset, _style(scores, method))
    axis.axvline(0, color="#888888", linestyle="--", linewidth=0.9)
    axis.set_yticks(range(len(MEASURES)), [_LABELS[name] for name in MEASURES])
    axis.invert_yaxis()
    axis.set_title("better than random maps by (95 % over images, one model)", fontsize=8)
    _tidy(axis)


def _draw_randomised(axis: "Axes", scores: Scores, summary: Summary) -> None:
    offsets = np.linspace(-0.3, 0.3, len(scores.methods))
    for row, name in enumerate(RANDOMISED):
        likeness = summary.randomised[name]
        for m, (method, offset) in enumerate(zip(scores.methods, offsets, strict=True)):
            ends = [likeness.low[m], likeness.high[m]]
            _dot(axis, likeness.value[m], ends, row + offset, _style(scores, method))
    axis.set_yticks(range(len(RANDOMISED)), ["Spearman", "SSIM"])
    axis.invert_yaxis()
    axis.set_xlim(-1.05, 1.05)
    axis.set_title("likeness to maps of a random network\n(near 1: the map ignores the weights)", fontsize=8)
    _tidy(axis)


def _dot(axis: "Axes", value: float, ends: list[float], y: float, style: tuple[str, str, str]) -> None:
    colour, _, dot = style
    axis.plot(ends, [y, y], color=colour, linewidth=1.2)
    axis.plot(value, y, dot, color=colour, markersize=3.5)


def _tidy(axis: "Axes") -> None:
    axis.tick_params(labelsize=7)

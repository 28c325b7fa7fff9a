"""The artefact, table and picture of how faithful class maps are."""

from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.core import store
from transferlens.core.statistics import Interval
from transferlens.heatmaps.faithfulness import BASELINES, CONTROLS, MEASURES, RANDOMISED, Scores, Summary
from transferlens.pictures import figures

KIND = "faithfulness"
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
    found = pd.DataFrame(rows)
    found["images"] = len(scores.classes)
    found["zero_maps"] = np.repeat(scores.zero.sum(1), len(MEASURES) + len(RANDOMISED))
    return found


def write(
    path: Path,
    scores: Scores,
    summary: Summary,
    examples: np.ndarray,
    example_ids: list[str],
    target_names: list[str],
    layer: str,
    *,
    config: dict,
    inputs: list,
    device: str = "cpu",
) -> None:
    """Store curves and measures of every image, and their summary.

    Args:
        examples: int64[images], positions in the val split.
    """
    with store.create(path, KIND, config=config, inputs=inputs, device=device) as out:
        of_image, by_image = ["images"], ["methods", "images"]
        out.attribute("layer", layer)
        out.strings(
            "methods", scores.methods, ["methods"], "method, or control: " + "; ".join(CONTROLS.values())
        )
        out.strings("measures", list(MEASURES), ["measures"], "measure")
        out.strings("target_class_names", target_names, ["target classes"], "target class")
        out.array("examples", examples, of_image, "position in the val split")
        out.strings("example_ids", example_ids, of_image, "the data set's own example id")
        out.array("classes", scores.classes, of_image, "predicted class, whose probability is followed")
        out.array("probabilities", scores.probabilities, of_image, "its probability")
        out.array("fractions", scores.fractions, ["points"], "share of the pixels that is away, or back")
        out.array("zero", scores.zero, by_image, "the method finds nothing: the map is zero everywhere")
        for name, curves in scores.curves.items():
            for curve, values in zip(("deletion", "insertion"), curves, strict=True):
                meaning = f"probability along the {curve}; what is away is {BASELINES[name]}"
                out.array(f"curves/{curve}_{name}", values, [*by_image, "points"], meaning)
        for name, values in scores.values.items():
            out.array(f"values/{name}", values, by_image, MEASURES[name][1])
        for name, values in scores.randomised.items():
            out.array(f"randomised/{name}/values", values, by_image, RANDOMISED[name])
            _write_interval(out, f"randomised/{name}", {"": summary.randomised[name]}, ["methods"])
        dims = ["measures", "methods"]
        _write_interval(out, "mean", summary.means, dims)
        _write_interval(out, "minus_random", summary.differences, dims)
        for name, tests in (("p", summary.p), ("q", summary.q)):
            out.array(
                f"minus_random/{name}", list(tests.values()), dims, f"{name} of no difference to random"
            )


def _write_interval(out: store.Writer, group: str, intervals: dict[str, Interval], dims: list[str]) -> None:
    for key, word in (("value", "mean over images"), ("low", "95 %: low"), ("high", "95 %: high")):
        values = np.array([getattr(i, key) for i in intervals.values()])
        out.array(f"{group}/{key}", values if len(dims) == values.ndim else values[0], dims, word)


def draw(scores: Scores, summary: Summary, picture: Path) -> None:
    """Above, the curves; below, how much better than random maps each method is, and random networks."""
    figure = figures.figure(11, 6.4)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    panels = [(curve, name) for name in BASELINES for curve in ("deletion", "insertion")]
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


def _draw_curves(axis, scores: Scores, curve: str, name: str) -> None:
    values = scores.curves[name][("deletion", "insertion").index(curve)].mean(1)
    for method, line in zip(scores.methods, values, strict=True):
        colour, kind, _ = _style(scores, method)
        axis.plot(scores.fractions, line, kind, color=colour, label=method, linewidth=1.3)
    better = MEASURES[f"{curve}_{name}"][0]
    axis.set_title(f"{curve} ({better} is better)\naway: {BASELINES[name]}", fontsize=8)
    axis.set_xlabel("share of the pixels " + ("away" if curve == "deletion" else "back"), fontsize=8)
    _tidy(axis)


def _draw_gains(axis, scores: Scores, summary: Summary) -> None:
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


def _draw_randomised(axis, scores: Scores, summary: Summary) -> None:
    offsets = np.linspace(-0.3, 0.3, len(scores.methods))
    for row, name in enumerate(RANDOMISED):
        found = summary.randomised[name]
        for m, (method, offset) in enumerate(zip(scores.methods, offsets, strict=True)):
            ends = [found.low[m], found.high[m]]
            _dot(axis, found.value[m], ends, row + offset, _style(scores, method))
    axis.set_yticks(range(len(RANDOMISED)), ["Spearman", "SSIM"])
    axis.invert_yaxis()
    axis.set_xlim(-1.05, 1.05)
    axis.set_title("likeness to maps of a random network\n(near 1: the map ignores the weights)", fontsize=8)
    _tidy(axis)


def _dot(axis, value: float, ends: list[float], y: float, style: tuple[str, str, str]) -> None:
    colour, _, dot = style
    axis.plot(ends, [y, y], color=colour, linewidth=1.2)
    axis.plot(value, y, dot, color=colour, markersize=3.5)


def _tidy(axis) -> None:
    axis.tick_params(labelsize=7)

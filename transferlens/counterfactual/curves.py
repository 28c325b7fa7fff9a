"""Accuracy on the target against the number of removed source classes."""

from pathlib import Path

import numpy as np

from transferlens import store
from transferlens.counterfactual.orders import row_meaning
from transferlens.data.index import HALVES
from transferlens.statistics import mean_interval
from transferlens.training import summary as summaries
from transferlens.training.summary import Summary

KIND = "counterfactual"
_SELECT, _REPORT = HALVES.index("select"), HALVES.index("report")


def arrange(summary: Summary, orders: list[str], ks: list[int], repeats: int) -> np.ndarray:
    """Accuracies float64[orders, ks, halves, repeats] from the rows of a counterfactual summary."""
    accuracy = np.full((len(orders), len(ks), 2, repeats), np.nan)
    for row, of_row in zip(summary.rows.rows, summary.accuracy, strict=True):
        repeat, order, k = row_meaning(orders, ks, row)
        accuracy[orders.index(order), ks.index(k), :, repeat] = of_row
    return accuracy


def write_counterfactual(
    path: Path,
    summary_path: Path,
    reference_path: Path,
    orders: list[str],
    ks: list[int],
    repeats: int,
    *,
    config: dict,
) -> None:
    """Curves with intervals over repeats, against the full source, and the gain at a chosen k.

    Differences are paired: repeat r of every order and k started from the same weights and seed as the
    full-source model of repeat r. The best k of an order maximises mean accuracy on the select half; its gain
    is stated on the report half, which played no part in the choice.
    """
    with store.open(summary_path, summaries.KIND) as file:
        summary = summaries.read_summary(file)
        accuracy = arrange(summary, orders, ks, repeats)
    full, scratch = reference_accuracies(reference_path)
    gain = accuracy - full.T[:, :repeats]
    with store.create(path, KIND, config=config, inputs=[summary_path, reference_path]) as out:
        out.strings("orders", orders, ["orders"], "order of removal")
        out.array("ks", np.array(ks), ["ks"], "source classes removed")
        out.strings("source_class_names", summary.rows.class_names, ["classes"], "source class")
        out.array("masks", summary.rows.masks, ["models", "classes"], "classes each model saw")
        out.strings("labels", summary.rows.labels, ["models"], "order-k-repeat")
        out.array("full", full, ["repeats", "halves"], "accuracy from the full source")
        out.array("scratch", scratch, ["repeats", "halves"], "accuracy from scratch")
        dims = ["orders", "ks", "halves"]
        out.array("accuracy", accuracy, [*dims, "repeats"], "target accuracy")
        for name, values, meaning in (
            ("accuracy", accuracy, "accuracy"),
            ("gain", gain, "accuracy minus that from the full source, paired by repeat"),
        ):
            interval = mean_interval(values)
            out.array(f"{name}_mean", interval.value, dims, f"mean {meaning}")
            out.array(f"{name}_low", interval.low, dims, f"{meaning}: lower end of 95 %")
            out.array(f"{name}_high", interval.high, dims, f"{meaning}: upper end of 95 %")
        best = accuracy[:, :, _SELECT].mean(-1).argmax(1)
        chosen = mean_interval(gain[np.arange(len(orders)), best, _REPORT])
        out.array("best_k", np.array(ks)[best], ["orders"], "k chosen on the select half")
        for key, values in (("mean", chosen.value), ("low", chosen.low), ("high", chosen.high)):
            out.array(
                f"best_gain_{key}",
                values,
                ["orders"],
                "paired gain on the report half at the chosen k",
            )


def reference_accuracies(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies float64[repeats, halves] of the full-source and the from-scratch models."""
    with store.open(path, summaries.KIND) as file:
        summary = summaries.read_summary(file)
    full = summary.rows.masks.all(1)
    return summary.accuracy[full], summary.accuracy[~full]

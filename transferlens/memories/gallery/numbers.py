"""What pages say of a study of memories: headline numbers, warnings, tables."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from transferlens.core import store
from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.memories.kept.binding import bound_class

SIGNIFICANT = 0.05
_REPORT = 1
_FEW_MODELS = 3


def headline(folder: Path) -> list[tuple[str, str, str]]:
    """(what, value, explanation) of a study in `results/memories/<target>/<recipe>`, report half."""
    with store.open(folder / "probes.h5", "memory probes") as probes:
        cards = [*_retained(probes), _bound(probes)]
    with store.open(folder / "interference.h5", "interference") as interference:
        return [*cards, *_distracting(interference)]


def _retained(probes: h5py.File) -> Iterator[tuple[str, str, str]]:
    """Source accuracy after fine-tuning over before; the interval is over source classes."""
    if "retention" not in probes:
        return
    before, after = (_of_classes(probes, key) for key in ("accuracy_before", "accuracy_after"))
    known = np.isfinite(before) & np.isfinite(after)
    before, after = before[known], after[known]
    if not before.sum():
        return
    without = (after.sum() - after) / np.maximum(before.sum() - before, 1e-9)
    interval = jackknife_interval(after.sum() / before.sum(), without)
    yield "source accuracy kept by fine-tuning", f"{interval.value:.0%}", _percent(interval)


def _of_classes(probes: h5py.File, key: str) -> np.ndarray:
    """Mean over models, report half, float64[source classes]."""
    return probes[f"retention/{key}"][:, _REPORT].mean(0)


def _percent(interval: Interval) -> str:
    return f"95 % {max(float(interval.low), 0):.0%} to {float(interval.high):.0%}, over source classes"


def _bound(probes: h5py.File) -> tuple[str, str, str]:
    effect, q = (probes[f"binding/{key}"][_REPORT] for key in ("effect", "q"))
    found = (q < SIGNIFICANT) & (effect > 0)
    of = f"of {np.isfinite(q).sum():,} (q < 0.05); {found.any(1).sum()} of {len(q):,} source classes"
    return "pairs of a source and a target class that are bound", f"{found.sum():,}", of


def _distracting(interference: h5py.File) -> Iterator[tuple[str, str, str]]:
    """How many pairs distract, and the strongest of the select half as the report half measures it."""
    values = {key: interference[key][:] for key in ("effect", "low", "high", "q")}
    if not np.isfinite(values["effect"][_REPORT]).any():
        return
    effect, q = values["effect"][_REPORT], values["q"][_REPORT]
    found = (q < SIGNIFICANT) & (effect > 0)
    yield "pairs that distract", f"{found.sum():,}", f"of {np.isfinite(q).sum():,} tested (q < 0.05)"
    in_both = np.isfinite(values["effect"]).all(0)
    if not in_both.any():
        return
    selected = np.where(in_both, values["effect"][0], -np.inf)
    row, column = np.unravel_index(selected.argmax(), selected.shape)
    sources, targets = (store.strings(interference[f"{key}_class_names"]) for key in ("source", "target"))
    cell = {key: float(value[_REPORT, row, column]) for key, value in values.items()}
    yield (
        f"strongest pair of the select half: {sources[interference['source_class'][row]]} on "
        f"{targets[column]}",
        f"{cell['effect']:+.2f}",
        f"95 % {cell['low']:+.2f} to {cell['high']:+.2f}, q {cell['q']:.2g} (report half)",
    )


def warnings(folder: Path) -> list[str]:
    """What a reader must know before using the numbers."""
    found = []
    for name, kind in (
        ("probes", "memory probes"),
        ("composites", "composites"),
        ("interference", "interference"),
        ("panels", "memory panels"),
    ):
        if (folder / f"{name}.h5").exists():
            with store.open(folder / f"{name}.h5", kind) as file:
                found += [str(file.attrs[key]) for key in ("note", "skipped") if file.attrs.get(key)]
    with store.open(folder / "probes.h5", "memory probes") as probes:
        found += _of_probes(probes)
    with store.open(folder / "interference.h5", "interference") as interference:
        found += _of_interference(interference)
    return list(dict.fromkeys(found))


def _of_probes(probes: h5py.File) -> Iterator[str]:
    models = len(probes["binding/fine_tuned"])
    if models < _FEW_MODELS:
        count = "one pair" if models == 1 else f"{models} pairs"
        yield (
            f"The numbers rest on {count} of a fine-tuned and a from-scratch model: intervals say little of "
            "models trained with another seed. Raise memories.models."
        )


def _of_interference(interference: h5py.File) -> Iterator[str]:
    effect, q = (interference[key][_REPORT] for key in ("effect", "q"))
    significant = q < SIGNIFICANT
    negative = (significant & (effect < 0)).sum()
    if 2 * negative > significant.sum():
        yield (
            f"Of {significant.sum():,} pairs with q < 0.05, {negative:,} have a negative interference: "
            "beyond models from scratch, the fine-tuned ones lose more on the scrambled background than on "
            "the object. The scrambled image is a distraction of its own here, and the sign of a pair tells "
            "of it, too: compare the gross interference."
        )


def binding_table(folder: Path) -> pd.DataFrame:
    """One row a source class: what it is bound to by the select half, with the report half's numbers."""
    with store.open(folder / "probes.h5", "memory probes") as probes:
        effects = {key: probes[f"binding/{key}"][:] for key in ("effect", "low", "high", "q")}
        bound = bound_class(effects["effect"], probes["overlap"][:])
        rows = np.arange(len(bound))
        table = {
            "source_class": rows,
            "target_class": bound,
            **{key: value[_REPORT, rows, bound] for key, value in effects.items()},
        }
        if "retention" in probes:
            kept = ("retained", "retained_low", "retained_high")
            table |= {
                key: _of_classes(probes, key) for key in ("accuracy_before", "accuracy_after", "rank_after")
            }
            table |= {key: probes[f"retention/{key}"][:] for key in kept}
        return pd.DataFrame(table)


def readable_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """A CSV twin as headings and cells: intervals beside their values, words for underscores."""
    table = pd.read_csv(path)
    reach = [f"{c}{end}" for c in table for end in ("_low", "_high")] + ["low", "high"] * ("low" in table)
    columns = [c for c in table if c not in reach]
    rows = [[_cell(row, name) for name in columns] for row in table.to_dict("records")]
    return [name.replace("_", " ") for name in columns], rows


def _cell(row: dict, name: str) -> str:
    value = row[name]
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if np.isnan(value):
        return ""
    low, high = (row.get(f"{name}_{end}") for end in ("low", "high"))
    if low is None and name in ("effect", "value", "mean"):
        low, high = (row.get(end) for end in ("low", "high"))
    reach = "" if low is None or np.isnan(low) else f" ({low:.3g} to {high:.3g})"
    return f"{value:.3g}{reach}"

"""What pages say of a study of memories: headline numbers, warnings, tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from transferlens.core import artefacts
from transferlens.core.blocks import p_value
from transferlens.core.crossed import crossed_ratio
from transferlens.data.artefacts import HALVES
from transferlens.memories.kept.binding import bound_class

SIGNIFICANT = 0.05
PROBES, COMPOSITES, INTERFERENCE, PANELS = "memory probes", "composites", "interference", "memory panels"
_SELECT, _REPORT = (HALVES.index(half) for half in HALVES)
_FEW_MODELS = 3


@dataclass(frozen=True)
class Study:
    """The artefacts of a study of memories that pages are made from."""

    probes: Path
    composites: Path
    interference: Path
    panels: Path

    @classmethod
    def of(cls, folder: Path) -> "Study":
        """The study whose artefacts lie in a folder, by their usual names."""
        return cls(*(folder / f"{name}.h5" for name in ("probes", "composites", "interference", "panels")))


def headline(study: Study) -> list[tuple[str, str, str]]:
    """(what, value, explanation) of a study, report half."""
    with artefacts.open(study.probes, PROBES) as probes:
        cards = [*_retained(probes), _bound(probes)]
    with artefacts.open(study.interference, INTERFERENCE) as interference:
        return [*cards, *_distracting(interference)]


def _retained(probes: h5py.File) -> Iterator[tuple[str, str, str]]:
    """Source accuracy after fine-tuning over before, by the report half's models, over these and classes."""
    known = probes["repeat"][_REPORT] >= 0
    images = probes["images"][_REPORT]
    before, after = (probes[f"accuracy_{when}"][:][known, _REPORT] * images for when in ("before", "after"))
    kept = crossed_ratio(after, before, [np.arange(len(images))])
    if np.isfinite(kept.value):
        ends = f"95 % {max(kept.low, 0):.0%} to {kept.high:.0%}, over models and source classes"
        told = ends if np.isfinite(kept.low) else "no interval: it takes other models"
        yield "source accuracy kept by fine-tuning", f"{kept.value:.0%}", told


def _of_classes(probes: h5py.File, name: str) -> np.ndarray:
    """Mean over the report half's models, float64[source classes]."""
    return np.nanmean(probes[name][:, _REPORT], axis=0)


def _bound(probes: h5py.File) -> tuple[str, str, str]:
    effect, q = (probes[name][_REPORT] for name in ("binding", "binding_q"))
    bound = (q < SIGNIFICANT) & (effect > 0)
    what = "pairs of a source and a target class that are bound"
    return what, *_found(bound, q, probes)


def _found(found: np.ndarray, q: np.ndarray, file: h5py.File) -> tuple[str, str]:
    """How many cells bool of those with a q float64 are found, and of which; if none has one, why."""
    tested = int(np.isfinite(q).sum())
    untested = str(file.attrs.get("untested", ""))
    if not tested:
        return "not tested", untested
    which = f"of the {tested:,} strongest of the select half" if untested else f"of {tested:,}"
    return f"{found.sum():,}", f"{which} (q < 0.05, over models and images)"


def _distracting(interference: h5py.File) -> Iterator[tuple[str, str, str]]:
    """How many pairs distract, and the strongest of the select half as the report half measures it."""
    effect, low, high, q = (
        interference[f"interference{suffix}"][:] for suffix in ("", "_low", "_high", "_q")
    )
    if not np.isfinite(effect[_REPORT]).any():
        return
    distracting = (q[_REPORT] < SIGNIFICANT) & (effect[_REPORT] > 0)
    yield "pairs that distract", *_found(distracting, q[_REPORT], interference)
    yield from _together(interference)
    in_both = np.isfinite(effect).all(0)
    if not in_both.any():
        return
    surely = effect[_SELECT] if np.isnan(low[_SELECT]).all() else low[_SELECT]
    selected = np.where(in_both & ~np.isnan(surely), surely, -np.inf)
    row, column = np.unravel_index(selected.argmax(), selected.shape)
    source, target = (
        artefacts.names(interference[name])[place]
        for name, place in (("tried_class", row), ("target_class", column))
    )
    cell = (_REPORT, row, column)
    reach = f"95 % {low[cell]:+.2f} to {high[cell]:+.2f}" if np.isfinite(low[cell]) else "no interval"
    told = f", q {p_value(q[cell])}" if np.isfinite(q[cell]) else ""
    yield (
        f"strongest pair of the select half: {source} on {target}",
        f"{effect[cell]:+.2f}",
        f"{reach}{told} (report half, other models)",
    )


def _together(interference: h5py.File) -> Iterator[tuple[str, str, str]]:
    """What the pairs of classes that other models chose cost together: one number, one test."""
    count = int(interference["chosen"][:].sum())
    value, low, high, p, canvas = (
        float(interference[f"chosen_{name}"][()])
        for name in (*(f"interference{part}" for part in ("", "_low", "_high", "_p")), "beyond_canvas")
    )
    if np.isfinite(value):
        told = f"95 % {low:+.3f} to {high:+.3f}, p {p_value(p)}; " if np.isfinite(low) else "no interval; "
        what = f"net interference of the {count} strongest pairs of the select half together"
        yield what, f"{value:+.3f}", f"{told}{canvas:+.3f} beyond a canvas (report half, other models)"


def tests(study: Study) -> int:
    """How many p- and q-values are counted or told: of bindings, interferences, and the chosen pairs."""
    count = 0
    for path, kind, name in (
        (study.probes, PROBES, "binding_q"),
        (study.interference, INTERFERENCE, "interference_q"),
    ):
        with artefacts.open(path, kind) as file:
            count += int(np.isfinite(file[name][_REPORT]).sum())
    with artefacts.open(study.interference, INTERFERENCE) as file:
        return count + int(np.isfinite(file["chosen_interference_p"][()]))


def warnings(study: Study) -> list[str]:
    """What a reader must know before using the numbers."""
    told = []
    for path, kind in (
        (study.probes, PROBES),
        (study.composites, COMPOSITES),
        (study.interference, INTERFERENCE),
        (study.panels, PANELS),
    ):
        with artefacts.open(path, kind) as file:
            told += [str(file.attrs[key]) for key in ("note", "skipped") if file.attrs.get(key)]
    with artefacts.open(study.probes, PROBES) as probes:
        told += _of_probes(probes)
    with artefacts.open(study.interference, INTERFERENCE) as interference:
        told += _of_interference(interference)
    return list(dict.fromkeys(told))


def _of_probes(probes: h5py.File) -> Iterator[str]:
    models = int((probes["repeat"][_REPORT] >= 0).sum())
    if models < _FEW_MODELS:
        what = "one pair of a fine-tuned and a from-scratch model, which tells nothing of other models: there"
        what += " are no intervals"
        if models > 1:
            what = f"{models} pairs of a fine-tuned and a from-scratch model: intervals are very wide"
        yield f"The numbers rest on {what}. Raise memories.models."


def _of_interference(interference: h5py.File) -> Iterator[str]:
    names = ("interference", "beyond_canvas", "scrambled_beyond_canvas")
    net, objects, scrambled = (interference[name][_REPORT] for name in names)
    known, other_sign = np.isfinite(net), net * objects < 0
    if known.any() and np.abs(np.nanmean(scrambled)) > np.abs(np.nanmean(objects)):
        yield (
            "The scrambled background has an effect of its own here: against a plain canvas it costs "
            f"fine-tuned models {np.nanmean(scrambled):+.3f} more than models from scratch, the object "
            f"{np.nanmean(objects):+.3f} (means over pairs of classes). In {other_sign.sum():,} of "
            f"{known.sum():,} pairs the net interference has the sign of this control, not that of the "
            "object: they are marked."
        )


def binding_table(study: Study) -> pd.DataFrame:
    """One row a source class: what it is bound to by the select half, with the report half's numbers."""
    with artefacts.open(study.probes, PROBES) as probes:
        binding = probes["binding"][:]
        bound = bound_class(binding, probes["overlap"][:])
        rows = np.arange(len(bound))
        table = {"source_class": rows, "target_class": bound, "binding": binding[_REPORT, rows, bound]}
        for part in ("low", "high", "q"):
            table[f"binding_{part}"] = probes[f"binding_{part}"][_REPORT][rows, bound]
        for name in ("accuracy_before", "accuracy_after", "rank_after"):
            table[name] = _of_classes(probes, name)
        for name in ("retained", "retained_low", "retained_high"):
            table[name] = probes[name][:]
        return pd.DataFrame(table)


def readable_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """A CSV twin as headings and cells: intervals beside their values, words for underscores."""
    table = pd.read_csv(path)
    beside = [f"{c}{end}" for c in table for end in ("_se", "_low", "_high")]
    reach = [*beside, *["se", "low", "high"] * ("low" in table)]
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

"""What a page says of seen and unseen: the headline in a sentence, and tables."""

from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.blocks import (
    Block,
    Column,
    Figure,
    Finding,
    Kind,
    Prose,
    Section,
    Subject,
    Table,
    p_value,
    signed,
    signed_range,
)
from transferlens.memories.seen.artefacts import GROUPS, HEADLINE, MEASURES, SEEN

METHOD = "seen-and-unseen"
_CELL = list(MEASURES).index(HEADLINE), list(GROUPS).index("distracting")  # of the headline
# Attributes that say why a number is left out.
_REASONS = ("skipped", "no_composites", "q_missing")
_HEAD = (
    Column("measure"),
    Column("classes"),
    *(Column(name, number=True) for name in ("seen", "unseen", "from scratch", "seen minus unseen")),
    *(Column(name, number=True) for name in ("95 % interval", "p")),
)
_CLASS_HEAD = (
    Column("source class"),
    Column("classes"),
    *(Column(name, number=True) for name in ("seen minus unseen", "95 % interval", "p", "q")),
)
_NOTE = (
    "Seen: models trained without another of the classes left out. Unseen: models trained without the class. "
    "A memory of the class would raise drops, binding and retention, and lower the numbers of natural "
    "images. Intervals and p are over repeats and images; an empty cell is not known."
)
_CAPTION = (
    "Probability lost on the object beyond either control by models that saw the class, minus that by models "
    "that did not, with 95 % intervals over repeats and images; and what either of them loses."
)


def headline(path: Path) -> str:
    """Whether what was found is a memory, in a sentence with its numbers."""
    with artefacts.open(path, SEEN) as file:
        if reason := file.attrs.get("skipped") or file.attrs.get("no_composites"):
            return f"The causal test tells nothing: {reason}. Nothing here is shown to be a memory."
        return _sentence(file)


def finding(path: Path) -> Finding:
    """The headline for the page's summary: an effect hurts if its whole interval lies above zero."""
    text = headline(path)
    with artefacts.open(path, SEEN) as file:
        if file.attrs.get("skipped") or file.attrs.get("no_composites"):
            return Finding(Kind.UNKNOWN, text)
        low = float(file["effect_low"][_CELL])
    return Finding(Kind.HURTS if low > 0 else Kind.UNKNOWN, text)


def _sentence(file: h5py.File) -> str:
    effect, low, high, seen, unseen = (
        float(file[name][_CELL]) for name in ("effect", "effect_low", "effect_high", "seen", "unseen")
    )
    kinds, names = artefacts.names(file["kind"]), artefacts.names(file["left_out"])
    classes = ", ".join(name for name, kind in zip(names, kinds, strict=True) if kind == "distracting")
    repeats = int(file["repeats"][()])
    if not classes:
        return "There is no memory to test: by the pairs that choose, none of the classes left out distracts."
    if np.isnan(low):
        return "The causal test tells nothing: too few composites of the distracting classes are usable."
    numbers = f"{signed(effect)} (95 % {signed_range(low, high)}; {repeats} models without each class)"
    sides = (
        f"{seen:.3g} of the probability of the true class where they saw it, {unseen:.3g} where they did not"
    )
    if low > 0:
        return (
            f"Models that saw the class lose {numbers} more to its object for having seen it: what was found "
            f"is a memory of these classes ({classes}), together. Models lose {sides}."
        )
    if high < 0:
        return (
            f"What was found is no memory of these classes ({classes}): models that never saw them lose "
            f"more. Models lose {sides}: seen minus unseen {numbers}."
        )
    return (
        f"This study does not show that what was found is a memory of these classes ({classes}): no "
        f"difference is established between models that saw them and models that never did. Models lose "
        f"{sides}: seen minus unseen {numbers}."
    )


def section(path: Path, subject: Subject) -> Section:
    """Every measure over the distracting and the other classes, and the headline's by class."""
    with artefacts.open(path, SEEN) as file:
        rows, tests = _rows(file)
        by_class, more = _class_rows(file)
        left = [
            str(file.attrs[key]) for key in ("skipped", "no_composites", "q_missing") if key in file.attrs
        ]
    blocks: tuple[Block, ...] = (
        *(Prose(f"Left out: {reason}.") for reason in left),
        Table(_HEAD, rows, _NOTE),
        Table(_CLASS_HEAD, by_class, f"By class: {MEASURES[HEADLINE][0]}."),
        Figure(path.with_suffix(".png"), _CAPTION, "Seen minus unseen by class, and both sides"),
    )
    return Section("Seen and unseen", "seen", blocks, subject, method=METHOD, tests=tests + more)


def _rows(file: h5py.File) -> tuple[tuple[tuple[str, ...], ...], int]:
    """One row a measure and group, and how many p-values they show."""
    groups, rows = artefacts.names(file["group"]), []
    for i, (meaning, units) in enumerate(MEASURES.values()):
        for j, group in enumerate(groups):
            sides = (_number(file[name][i, j]) for name in ("seen", "unseen", "scratch"))
            rows.append((f"{meaning} ({units})", group, *sides, *_estimate(file, "", i, j, "p")))
    return tuple(rows), int(np.isfinite(file["effect_p"][:]).sum())


def _class_rows(file: h5py.File) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The headline's estimate of each class, and how many p-values they show."""
    i, kinds = list(MEASURES).index(HEADLINE), artefacts.names(file["kind"])
    rows = [
        (name, kinds[j], *_estimate(file, "class_", i, j, "p", "q"))
        for j, name in enumerate(artefacts.names(file["left_out"]))
    ]
    return tuple(rows), int(np.isfinite(file["class_effect_p"][i]).sum())


def _estimate(file: h5py.File, prefix: str, i: int, j: int, *tests: str) -> tuple[str, ...]:
    """An estimate, its interval, and its p or q, as cells."""
    value, low, high = (float(file[f"{prefix}effect{part}"][i, j]) for part in ("", "_low", "_high"))
    reach = "" if np.isnan(low) else signed_range(low, high)
    return (
        "" if np.isnan(value) else signed(value),
        reach,
        *(p_value(file[f"{prefix}effect_{test}"][i, j]) for test in tests),
    )


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}"

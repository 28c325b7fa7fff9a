"""The comparison of seen and unseen as an artefact and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.core import artefacts
from transferlens.memories.seen.artefacts import GROUPS, MEASURES, SEEN
from transferlens.memories.seen.estimate import FEWEST_REPEATS, NOTHING, Estimate, Measured, class_q

_TOO_FEW = (
    "memories.repeats is {}: one model without a class tells nothing of other models; set it to {} or more"
)
_PARTS = {"": "value", "_se": "se", "_low": "low", "_high": "high", "_p": "p", "_df": "df"}


@dataclass(frozen=True)
class Compared:
    """What was compared.

    Attributes:
        names, kinds, bound: of the classes left out; their names, groups, and the target classes that they
            are bound to.
        repeats: models without each class.
        measured: by measure; those that could not be measured are not in it.
        scratch: float64[left out] by measure, what from-scratch models say; not of all measures.
        no_composites: why there are none; '' if there are.
    """

    names: list[str]
    kinds: list[str]
    bound: list[str]
    repeats: int
    measured: Mapping[str, Measured]
    scratch: Mapping[str, np.ndarray]
    no_composites: str


def write(path: Path, compared: Compared) -> None:
    """Store the estimates over each class and each group of classes."""
    classes = len(compared.names)
    groups = [np.array([kind == group for kind in compared.kinds]) for group in GROUPS]
    with artefacts.create(path, SEEN) as out:
        out.write("left_out", compared.names)
        out.write("kind", compared.kinds)
        out.write("bound_class", compared.bound)
        out.write("measure", list(MEASURES))
        out.write("units", [units for _, units in MEASURES.values()])
        out.write("group", list(GROUPS))
        out.write("repeats", compared.repeats)
        if compared.no_composites:
            out.attribute("no_composites", compared.no_composites)
        if compared.repeats < FEWEST_REPEATS:
            out.attribute("skipped", _TOO_FEW.format(compared.repeats, FEWEST_REPEATS))
        _write(out, "", compared, groups)
        by_class = _write(out, "class_", compared, list(np.eye(classes, dtype=bool)))
        q = [class_q(np.array([e.effect.p for e in of_measure]), compared.repeats) for of_measure in by_class]
        out.write("class_effect_q", np.stack([values for values, _ in q]))
        if reason := q[0][1]:
            out.attribute("q_missing", reason)


def _write(
    out: artefacts.Writer, prefix: str, compared: Compared, groups: Sequence[np.ndarray]
) -> list[list[Estimate]]:
    """Store the estimates of every measure over sets of classes, bool[left out] each, and return them."""
    found = [
        [compared.measured[name].of(group) if name in compared.measured else NOTHING for group in groups]
        for name in MEASURES
    ]
    for suffix, key in _PARTS.items():
        out.write(f"{prefix}effect{suffix}", [[getattr(e.effect, key) for e in row] for row in found])
    for side in ("seen", "unseen", "n"):
        out.write(f"{prefix}{side}", [[getattr(e, side) for e in row] for row in found])
    unknown = np.full(len(compared.names), np.nan)
    scratch = [compared.scratch.get(name, unknown) for name in MEASURES]
    out.write(f"{prefix}scratch", [[_mean(values[group]) for group in groups] for values in scratch])
    return found


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def table(path: Path) -> pd.DataFrame:
    """One row a measure and group of classes, then one a measure and class."""
    with artefacts.open(path, SEEN) as file:
        measures, units = artefacts.names(file["measure"]), artefacts.names(file["units"])
        parts = []
        for prefix, over, kinds in (
            ("", artefacts.names(file["group"]), list(GROUPS)),
            ("class_", artefacts.names(file["left_out"]), artefacts.names(file["kind"])),
        ):
            columns = {
                "measure": np.repeat(measures, len(over)),
                "unit": np.repeat(units, len(over)),
                "classes": np.tile(over, len(measures)),
                "kind": np.tile(kinds, len(measures)),
            }
            for name in ("effect", "effect_se", "effect_low", "effect_high", "effect_p", "effect_q"):
                if f"{prefix}{name}" in file:
                    columns[name] = file[f"{prefix}{name}"][:].ravel()
            columns |= {
                name: file[f"{prefix}{name}"][:].ravel() for name in ("seen", "unseen", "scratch", "n")
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

"""What a page says of how well distraction tells failures, and what it adds to trivial predictors."""

from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.blocks import Column, Prose, Section, Subject, Table, signed, signed_range
from transferlens.memories.images.artefacts import PREDICTORS, RANKING, TRIVIAL

METHOD = "ranking"
_HEAD = (
    Column("failures are told by"),
    Column("area under the ROC curve", number=True),
    Column("95 % interval", number=True),
)
_NOTE = (
    "Distraction: how far what a model still recognises of its source classes, and what these are bound to, "
    "pulls an image away from its true class. It knows the true class. Intervals are over pairs of models "
    "and images; an empty cell is not known."
)


def section(path: Path, subject: Subject) -> Section:
    """Areas of every predictor, and what distraction adds."""
    with artefacts.open(path, RANKING) as file:
        names = artefacts.names(file["predictor"])
        rows = tuple((PREDICTORS[name], *_area(file, i)) for i, name in enumerate(names))
        text, tests = _added(file), int(np.isfinite(file["added_auc_p"][()]))
    blocks = (Prose(text), Table(_HEAD, rows, _NOTE))
    return Section("Does distraction tell failures?", "failures", blocks, subject, method=METHOD, tests=tests)


def _area(file: h5py.File, i: int) -> tuple[str, str]:
    value, low, high = (float(file[f"failures_auc{part}"][i]) for part in ("", "_low", "_high"))
    return "" if np.isnan(value) else f"{value:.3f}", "" if np.isnan(low) else f"{low:.3f} to {high:.3f}"


def _added(file: h5py.File) -> str:
    """What distraction adds to predictors that know nothing of memories, in a sentence."""
    value, low, high = (float(file[f"added_auc{part}"][()]) for part in ("", "_low", "_high"))
    trivial = " and ".join(f"`{name}`" for name in TRIVIAL)
    if np.isnan(value):
        return "What distraction adds to other predictors is not known: models fail on no image, or on all."
    if np.isnan(low):
        return (
            f"Distraction adds {signed(value)} to the area under the ROC curve of {trivial} together; of a "
            "single pair of models it is not known how far that holds for others."
        )
    numbers = f"{signed(value)} (95 % {signed_range(low, high)})"
    if low > 0:
        return f"Distraction adds {numbers} to the area under the ROC curve of {trivial} together."
    return (
        f"That distraction adds anything to the area under the ROC curve of {trivial} together is not shown: "
        f"{numbers}."
    )

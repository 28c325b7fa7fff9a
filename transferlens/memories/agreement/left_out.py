"""What leaving each class out of the source changes, beside the agreement of influences and memories."""

import numpy as np

from transferlens.core import artefacts
from transferlens.core.statistics import Interval
from transferlens.memories.retraining.retrained import Changes, overall_change, rescue

_NOTHING = (Interval(np.nan, np.nan, np.nan),) * 3
_ALL = "all"


def write_left_out(
    out: artefacts.Writer,
    changes: Changes,
    source_names: list[str],
    memory: np.ndarray,
    overlap: np.ndarray,
    bootstrap: int,
    rng: np.random.Generator,
) -> None:
    """Store what leaving out each class changes on all images, and on those it distracts.

    Args:
        memory: int64[examples of the changes], the top memory of each image (-1 for none).
        overlap: bool[source classes, target classes] of the same meaning.
    """
    left_out = changes.classes[changes.only("distracting")]
    out.write("left_out", [source_names[c] for c in changes.classes])
    out.write("left_out_kind", changes.kinds)
    out.write("left_out_repeats", changes.change["margin"].shape[1])
    out.write("memory", [*(source_names[c] for c in left_out), _ALL])
    owners = [memory == c for c in left_out] + [np.isin(memory, left_out)]  # the last one: all together
    out.write("memory_examples", np.sum(owners, 1))
    for output, values in changes.change.items():
        _write(out, f"{output}_change", overall_change(values, bootstrap, rng))
        rescued = [_rescued(changes, values, members, memory, overlap, bootstrap, rng) for members in owners]
        for name, intervals in zip(("own", "control", "more"), zip(*rescued, strict=True), strict=True):
            stacked = (np.array([getattr(i, key) for i in intervals]) for key in ("value", "low", "high"))
            _write(out, f"{output}_{name}", Interval(*stacked))


def _rescued(
    changes: Changes,
    values: np.ndarray,
    members: np.ndarray,
    memory: np.ndarray,
    overlap: np.ndarray,
    bootstrap: int,
    rng: np.random.Generator,
) -> tuple[Interval, Interval, Interval]:
    """Of an output's changes [left out, repeats, examples], what images bool[examples] gain: see `rescue`."""
    chosen = np.flatnonzero(members)
    if not len(chosen):
        return _NOTHING
    distracting, random = changes.only("distracting"), changes.only("random")
    index = dict(zip(changes.classes[distracting].tolist(), distracting, strict=True))
    own = np.array([values[index[memory[i]], :, i] for i in chosen]).T
    allowed = ~overlap[changes.classes[random]][:, changes.labels[chosen]]
    return rescue(own, values[random][..., chosen], allowed, bootstrap, rng)


def _write(out: artefacts.Writer, name: str, interval: Interval) -> None:
    for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
        out.write(f"{name}{suffix}", getattr(interval, key))

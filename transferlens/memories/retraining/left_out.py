"""The study of retraining without a memory: which source classes are left out, and its rows.

Imports nothing that imports torch: drawing masks takes a moment only.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.core.studies import REMOVAL, Rows, Units, repeat_seed
from transferlens.data.artefacts import HALVES, positions
from transferlens.memories.artefacts import INTERFERENCE, PROBES

# In the place of a number of classes: each of them is left out.
ALL = "all"
_SELECT = HALVES.index("select")


def distraction_of_classes(interference: Path, probes: Path) -> np.ndarray:
    """How much each source class distracts, on the select half: float64[source classes], NaN if unknown.

    The mean interference with the target classes that it is not bound to. Where no composites could be made,
    how strongly it is bound to its target class, instead.
    """
    with artefacts.open(probes, PROBES) as file:
        names, binding = artefacts.names(file["source_class"]), file["binding"][_SELECT]
        allowed = np.where(file["overlap"][:], np.nan, binding)
    with artefacts.open(interference, INTERFERENCE) as file:
        tried = positions(artefacts.names(file["tried_class"]), names)
        effect = np.where(file["bound"][:], np.nan, file["interference"][_SELECT])
    distraction = np.full(len(binding), np.nan)
    distraction[tried] = _without_nan(np.nanmean, effect)
    return distraction if np.isfinite(distraction).any() else _without_nan(np.nanmax, allowed)


def _without_nan(summary: Callable[..., np.ndarray], values: np.ndarray) -> np.ndarray:
    """A row's summary of what is known of it: float64[rows], NaN where nothing is."""
    known = np.isfinite(values).any(1)
    summaries = np.full(len(values), np.nan)
    summaries[known] = summary(values[known], axis=1)
    return summaries


def remedied_classes(interference: Path, probes: Path, count: int) -> np.ndarray:
    """The source classes that a remedy uses, int64[classes]: the `count` most distracting, or all there are.

    A class that means the same as a target class is none of them: its images show what the remedy would call
    uninformative.

    Raises:
        ConfigError: of no other class it is known how much it distracts.
    """
    with artefacts.open(probes, PROBES) as file:
        overlapping = file["overlap"][:].any(1)
    distraction = np.where(overlapping, np.nan, distraction_of_classes(interference, probes))
    ranked = np.argsort(-np.nan_to_num(distraction, nan=-np.inf), kind="stable")
    ranked = ranked[: min(count, int(np.isfinite(distraction).sum()))]
    if not len(ranked):
        raise ConfigError(
            "config: memories.remedies: no source class to use: all of which it is known how much they "
            "distract mean the same as a target class; leave remedies out, or see memories.overlap"
        )
    return np.sort(ranked)


def check_count(count: int | Literal["all"], classes: int) -> None:
    """Refuse to leave out more classes than the source has, half of them as a control.

    Raises:
        ConfigError: there are fewer.
    """
    if count == ALL and classes < 2:
        raise ConfigError(
            f"config: memories.without is 'all', but the source has {classes} class: nothing would be left; "
            "set memories.without: 0"
        )
    if count != ALL and 2 * count > classes:
        raise ConfigError(
            f"config: memories.without is {count}: so many source classes and as many others are left out, "
            f"but the source has {classes}; use at most {classes // 2}"
        )


def left_out_classes(distraction: np.ndarray, count: int, seed: int) -> list[tuple[str, int]]:
    """('distracting', class) of the `count` most distracting classes, then ('random', class) of others.

    Raises:
        ConfigError: fewer classes have a known distraction.
    """
    known = int(np.isfinite(distraction).sum())
    if count > known:
        raise ConfigError(
            f"config: memories.without is {count}, but composites tell of {known} source classes how much "
            f"they distract; use at most {known}, or raise memories.strongest"
        )
    ranked = np.argsort(-np.nan_to_num(distraction, nan=-np.inf), kind="stable")
    drawn = rng_for(seed, "without a random class").permutation(len(distraction))
    others = drawn[~np.isin(drawn, ranked[:count])]
    return [("distracting", int(c)) for c in ranked[:count]] + [("random", int(c)) for c in others[:count]]


def groups_of(kinds: Sequence[str], distraction: np.ndarray) -> list[str]:
    """Which classes count as 'distracting', and which are the 'others': of each one left out.

    Args:
        kinds: how each was chosen. Where every class is left out, those distract that do so on the mean.
        distraction: float64[left out], as `distraction_of_classes` tells it.
    """
    distracting = [
        kind == "distracting" or (kind == ALL and value > 0)
        for kind, value in zip(kinds, distraction, strict=True)
    ]
    return ["distracting" if found else "others" for found in distracting]


class WithoutOne:
    """The whole source but one class; repeat by repeat, so that more repeats only append.

    Of each repeat first the rows without a distracting class, then those without one at random; or those
    without each class of the source, in their order. They share their training seed with the full-source
    model of that repeat.
    """

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Any
    ) -> Rows:
        """Rows with these numbers.

        Args:
            settings: `without`, how many distracting classes and how many others are left out, or 'all';
                `seed`.
            evidence: `interference` and `probes`; not of all classes.
        """
        if settings["without"] == ALL:
            classes = [(ALL, c) for c in range(len(units.names))]
        else:
            distraction = distraction_of_classes(evidence["interference"], evidence["probes"])
            classes = left_out_classes(distraction, settings["without"], settings["seed"])
        return without_rows(classes, units.names, units.groups, rows, settings["seed"])


def without_rows(
    classes: list[tuple[str, int]], unit_names: list[str], unit_groups: list[str], rows: range, seed: int
) -> Rows:
    """Rows that each lack one of the classes (how it was chosen, class), all classes in every repeat.

    Each repeat shares its training seed with the full-source model of that repeat.
    """
    numbers, kinds = np.array(rows), [kind for kind, _ in classes]
    repeats, places = np.divmod(numbers, len(classes))
    masks = np.ones((len(rows), len(unit_names)), bool)
    for mask, j in zip(masks, places, strict=True):
        mask[classes[j][1]] = False
    return Rows(
        masks,
        numbers,
        np.array([repeat_seed(seed, int(repeat)) for repeat in repeats]),
        [REMOVAL] * len(rows),
        repeats,
        [kinds[j] for j in places],
        np.array([kinds[:j].count(kinds[j]) for j in places], np.int64),
        unit_names,
        unit_groups,
    )

"""Whether two runs' estimates come from the same models, and then what differs model by model.

Rows with the same training seed begin from the same weights and see data in the same order: their errors go
together, whatever else was set differently. Estimates of them must not be compared as if independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from transferlens.core.errors import ConfigError
from transferlens.core.statistics import t_interval
from transferlens.estimation import estimators
from transferlens.operations.compared.estimates import HALF, INFLUENCE, OUTPUTS, Estimate
from transferlens.operations.compared.folders import Folder


@dataclass(frozen=True)
class Sharing:
    """What the models of two estimates have in common.

    Attributes:
        none: no row of one has a training seed of the other.
        same: all rows agree in seed and mask, in order.
        told: the same in words.
        paired: differences model by model, by (quantity, names of the cell).
    """

    none: bool
    same: bool
    told: str
    paired: dict[tuple[str, tuple[str, ...]], Estimate] = field(default_factory=dict)


def of_studies(first: Folder, second: Folder, studies: Sequence[str], paired: dict | None = None) -> Sharing:
    """What the models of some studies have in common; studies that neither folder has do not count."""
    pairs = [(study, first.rows(study), second.rows(study)) for study in studies]
    pairs = [pair for pair in pairs if len(pair[1][0]) or len(pair[2][0])]
    known = [pair for pair in pairs if len(pair[1][0]) and len(pair[2][0])]
    if not known or len(known) < len(pairs):
        missing = ", ".join(sorted({p[0] for p in pairs} - {p[0] for p in known})) or ", ".join(studies)
        return Sharing(
            False, False, f"without the masks of {missing} nothing tells whether models are shared"
        )
    if all(_same(one, other) for _, one, other in known):
        return Sharing(False, True, "the same models (seeds and masks agree)", paired or {})
    common = sum(int(np.isin(one[0], other[0]).sum()) for _, one, other in known)
    if common:
        total = sum(len(one[0]) for _, one, _ in known)
        return Sharing(False, False, f"{common} of {total} models share seeds, but not all rows agree")
    return Sharing(True, False, "no models in common")


def _same(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def paired_influences(
    first: Folder, second: Folder, target: str, recipe: str
) -> dict[tuple[str, tuple[str, ...]], Estimate]:
    """Differences of class influences from the same masks: the influences on the differences of the outputs.

    Holds for estimators that are linear in the outputs with the same weights. Empty where the runs differ in
    examples, units or estimator, or their summaries are missing.
    """
    place = f"influence/{target}/{recipe}.h5"
    if not all(
        f.has(place) and f.has(f"studies/{INFLUENCE}/summary/{target}/{recipe}.h5") for f in (first, second)
    ):
        return {}
    names = {folder.made[place][1].get("estimator") for folder in (first, second)}
    if len(names) > 1 or not names <= {"difference_of_means", "least_squares"}:
        return {}
    one, other = (f.results.summary(INFLUENCE, target, recipe, outputs=OUTPUTS) for f in (first, second))
    if not all(
        np.array_equal(one[name], other[name]) for name in ("mask", "example", "example_class", "unit")
    ):
        return {}
    return _on_differences(one, other, names.pop())


def _on_differences(one, other, estimator: str) -> dict[tuple[str, tuple[str, ...]], Estimate]:
    found = {}
    report = one.example_half.values == HALF
    for output in OUTPUTS:
        change = other[output].values.astype(np.float64) - one[output].values.astype(np.float64)
        of_class = [report & (one.example_class.values == name) for name in one.target_class.values]
        means = np.stack([change[:, members].mean(1) for members in of_class], axis=1)
        try:
            effects = estimators.make(estimator, one.mask.values, means).effects(means.copy())
        except ConfigError:
            return {}
        interval = t_interval(effects.effect, effects.se, effects.df)
        for i, target_class in enumerate(one.target_class.values):
            for j, unit in enumerate(one.unit.values):
                cell = (f"class influence on {output}", (str(target_class), str(unit)))
                found[cell] = Estimate(
                    *(float(part[i, j]) for part in (interval.value, interval.low, interval.high)),
                    float(effects.se[i, j]),
                )
    return found

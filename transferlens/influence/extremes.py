"""The most helpful and most harmful source classes: chosen with some models, reported with the others."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from transferlens.core.statistics import q_values, t_interval, two_sided_p
from transferlens.estimation import crossfit

HELPFUL, HARMFUL = 1, -1


@dataclass(frozen=True)
class Extremes:
    """Places in rankings of the source classes of several rows (target classes, or the whole target).

    Attributes:
        classes: int64[folds, rows, places], the class that each fold puts there.
        value, se, low, high, p: float64[rows, places], the mean over folds of what the other one reports.
    """

    classes: np.ndarray
    value: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray

    def names(self, row: int, place: int, units: np.ndarray) -> str:
        """The class in that place, or both where the folds differ."""
        return " / ".join(dict.fromkeys(str(units[c]) for c in self.classes[:, row, place]))


def choose(
    choosing: np.ndarray, effect: np.ndarray, se: np.ndarray, df: np.ndarray, sign: int, places: int = 1
) -> Extremes:
    """The first `places` classes of each row by `choosing`, with the effects that the other fold reports.

    Args:
        choosing: float[folds, rows, units], what each fold chooses by (the select half).
        effect, se: float[folds, rows, units], what it reports for the other one (the report half).
        df: float[folds].
        sign: HELPFUL or HARMFUL.
    """
    classes = np.argsort(-sign * choosing, axis=2, kind="stable")[:, :, :places]
    others = classes[::-1]  # each fold reports what the other one chose
    reported, errors = (np.take_along_axis(values, others, 2).astype(np.float64) for values in (effect, se))
    value, error, together = crossfit.average(reported, errors, df, same=classes[0] == classes[1])
    interval = t_interval(value, error, together)
    p = two_sided_p(value, error, together)
    return Extremes(classes, value, error, interval.low, interval.high, p)


def of_target_classes(influence: xr.Dataset, sign: int) -> Extremes:
    """For every target class the source class that helps (or harms) most."""
    return choose(*_by_fold(influence, "class_effect_by_fold"), influence.fold_df.values, sign)


def of_target(influence: xr.Dataset, sign: int, places: int) -> Extremes:
    """For the whole target the source classes that help (or harm) most; one row."""
    parts = [part[:, None] for part in _by_fold(influence, "overall_effect_by_fold")]
    return choose(*parts, influence.fold_df.values, sign, places)


def _by_fold(influence: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each fold chooses by, what it reports for the other one, and the errors of that."""
    report = influence.sel(half="report")
    return influence[name].sel(half="select").values, report[name].values, report[f"{name}_se"].values


def joint_q(extremes: list[Extremes]) -> list[np.ndarray]:
    """q-values of what several rankings report, over all of them: float64[rows, places] each."""
    q = q_values(np.concatenate([found.p.ravel() for found in extremes]))
    ends = np.cumsum([found.p.size for found in extremes])[:-1]
    return [part.reshape(found.p.shape) for part, found in zip(np.split(q, ends), extremes, strict=True)]

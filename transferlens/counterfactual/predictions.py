"""What influences predict for the removal of single units and of random sets, and how well."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # its statistics load at their first use

from transferlens.core import artefacts
from transferlens.core.statistics import Interval, correlation_interval, jackknife_interval, t_interval
from transferlens.data.artefacts import HALVES

_REPORT = HALVES.index("report")
# The fold of draws that predicts single removals; the other one chose them.
_PREDICTING = 1


@dataclass(frozen=True)
class Predictions:
    """What influences predict, on the report half.

    Attributes:
        effect: float64[units], influence on the mean output, by all draws of masks.
        single: the same by those draws that did not choose which units are removed alone, with 95 %
            intervals; None where there are too few models for folds.
        single_se: float64[units], its standard errors (None as above).
        missing: why there is none; '' where there is.
    """

    effect: np.ndarray
    single: Interval | None = None
    single_se: np.ndarray | None = None
    missing: str = ""


def read_predictions(path: Path, output: str) -> Predictions:
    """The influences on the mean of an output."""
    with artefacts.open(path, "influence") as file:
        effect = file[f"{output}/overall_effect"][_REPORT].astype(np.float64)
        by_fold = f"{output}/overall_effect_by_fold"
        if by_fold not in file:
            return Predictions(effect, missing=str(file.attrs.get("folds_missing", "there are no folds")))
        value, se = (
            file[f"{by_fold}{part}"][_PREDICTING, _REPORT].astype(np.float64) for part in ("", "_se")
        )
        df = float(file[f"{output}/fold_df"][_PREDICTING])
    return Predictions(effect, t_interval(value, se, df), se)


def line(predicted: np.ndarray, se: np.ndarray, realised: np.ndarray) -> dict[str, float]:
    """Least-squares line of realised on predicted changes over units, with R^2 and Student's 95 % interval.

    `reliability` is the share of the predictions' variance that is not estimation error: noise in the
    predictions draws the slope towards zero by this factor.
    """
    fitted = scipy.stats.linregress(predicted, realised)
    interval = t_interval(fitted.slope, fitted.stderr, len(predicted) - 2)
    noise = np.mean(np.square(se, dtype=np.float64)) / predicted.var(ddof=1)
    return {
        "slope": fitted.slope,
        "slope_low": interval.low,
        "slope_high": interval.high,
        "r_squared": fitted.rvalue**2,
        "p": fitted.pvalue,
        "reliability": max(0.0, 1 - noise),
    }


def slope_within(predicted: np.ndarray, realised: np.ndarray) -> Interval:
    """Slope of realised on predicted changes [sets, repeats] within repeats, with Student's 95 % interval.

    The sets of a repeat share its full-source model, whose chance moves all their changes alike: only
    differences within repeats count.
    """
    x, y = _centred(predicted), _centred(realised)
    slope = (x * y).sum() / np.square(x).sum()
    df = x.size - x.shape[1] - 1
    se = np.sqrt(np.square(y - slope * x).sum() / df / np.square(x).sum())
    return t_interval(slope, se, df)


def correlations_within(predicted: np.ndarray, realised: np.ndarray) -> tuple[Interval, Interval]:
    """Correlations [predictors] with the realised changes within repeats, and how far the first one's exceeds
    each other's.

    The 95 % intervals are jackknives over sets: of Fisher's z for the correlations, which keeps them within
    -1 and 1, and of the differences themselves.

    Args:
        predicted: float64[predictors, sets, repeats].
        realised: float64[sets, repeats].
    """
    everything = np.ones(realised.shape, bool)
    whole = _correlations(predicted, realised, everything)
    without = []
    for place in np.ndindex(realised.shape):
        kept = everything.copy()
        kept[place] = False
        without.append(_correlations(predicted, realised, kept))
    left_out = np.array(without)
    by_predictor = [correlation_interval(r, left_out[:, i]) for i, r in enumerate(whole)]
    advantage = [
        jackknife_interval(whole[0] - r, left_out[:, 0] - left_out[:, i]) for i, r in enumerate(whole)
    ]
    return _together(by_predictor), _together(advantage)


def _together(intervals: list[Interval]) -> Interval:
    """Several intervals as one of arrays."""
    return Interval(*(np.array([getattr(one, end) for one in intervals]) for end in ("value", "low", "high")))


def _correlations(predicted: np.ndarray, realised: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Correlations [predictors] over the kept sets bool[sets, repeats]; NaN of what predicts no
    differences.
    """
    x, y = _centred(predicted, kept), _centred(realised, kept)
    scale = np.sqrt(np.square(x).sum((1, 2)) * np.square(y).sum())
    return np.divide((x * y).sum((1, 2)), scale, out=np.full(len(x), np.nan), where=scale > 0)


def _centred(values: np.ndarray, kept: np.ndarray | bool = True) -> np.ndarray:
    """Values [..., sets, repeats] minus the mean of their repeat's kept sets; 0 for the others."""
    kept = np.broadcast_to(kept, values.shape[-2:])
    means = (values * kept).sum(-2, keepdims=True) / kept.sum(-2, keepdims=True)
    return np.where(kept, values - means, 0.0)

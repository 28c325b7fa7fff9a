"""What source classes add to the drift of layers and to what models do, by the estimator of influences."""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import t_interval, two_sided_p
from transferlens.estimation import estimators
from transferlens.estimation.crossfit import FOLDS, Folds


@dataclass(frozen=True)
class Effects:
    """Effects of units on outputs of any shape, from all models and from those of either fold.

    Attributes:
        effect, se, low, high, p: float64[..., units].
        by_fold, by_fold_se, by_fold_p: float64[folds, ..., units]; None without folds.
    """

    effect: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    by_fold: np.ndarray | None
    by_fold_se: np.ndarray | None
    by_fold_p: np.ndarray | None


def effects_of(masks: np.ndarray, outputs: np.ndarray, estimator: str, folds: Folds | None) -> Effects:
    """Effects on outputs float64[models, ...], each by itself; NaN where a model's output is not defined.

    Args:
        masks: bool[models, units].
        estimator: its name, for all models; the folds have their own.
    """
    flat, shape = outputs.reshape(len(outputs), -1), (*outputs.shape[1:], masks.shape[1])
    effect, se, df = _estimated(estimator, masks, flat)
    interval = t_interval(effect, se, df)
    whole = [effect, se, interval.low, interval.high, _p(effect, se, df)]
    whole = [part.reshape(shape) for part in whole]
    if folds is None:
        return Effects(*whole, None, None, None)
    chosen = [folds.of_model == fold for fold in range(FOLDS)]
    effect, se, df = np.stack([_estimated(folds.estimator, masks[own], flat[own]) for own in chosen], axis=1)
    by_fold = [part.reshape(FOLDS, *shape) for part in (effect, se, _p(effect, se, df))]
    return Effects(*whole, *by_fold)


def own(effects: Effects) -> Effects:
    """Of effects on outputs [..., units], each of which belongs to one unit, those of the unit itself."""

    def diagonal(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.diagonal(values, axis1=-2, axis2=-1)

    return Effects(*(diagonal(values) for values in vars(effects).values()))


def _estimated(name: str, masks: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Effects, their errors, and the degrees of freedom of these: float64[3, outputs, units]."""
    made = np.full((3, outputs.shape[1], masks.shape[1]), np.nan)
    known = np.isfinite(outputs).all(0)
    if known.any():
        found = estimators.make(name, masks, outputs[:, known]).effects(outputs[:, known])
        df = np.broadcast_to(found.df, found.effect.shape)
        made[:, known] = np.stack([found.effect, found.se, df])
    return made


def _p(effect: np.ndarray, se: np.ndarray, df: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(effect), np.nan, two_sided_p(effect, se, df))

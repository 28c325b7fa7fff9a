"""The source classes that move layers most, chosen by half of the draws of models, told by the other half."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from transferlens.core.statistics import q_values


@dataclass(frozen=True)
class Chosen:
    """Of each fold's choice, what the other fold tells.

    Attributes:
        classes: int64[folds, ranks], the units that a fold chose, the strongest first.
        effect: float64[folds, ranks, layers], on drift at the end.
        share: the same as a share of the layer's mean drift.
        q: Benjamini-Hochberg over all of these.
    """

    classes: np.ndarray
    effect: np.ndarray
    share: np.ndarray
    q: np.ndarray


def strongest(told: xr.Dataset, domain: str, count: int) -> Chosen:
    """The classes whose effects on a domain's drift at the end are largest beside their errors, over all
    layers.

    Args:
        told: a DRIFT_INFLUENCE with folds.
        count: how many; all, if there are no more.
    """
    end = told.sel(domain=domain).isel(step=-1)
    effect, se, p = (end[f"drift_effect_by_fold{part}"].values for part in ("", "_se", "_p"))
    classes = chosen_by(effect, se, count)
    told_by_other = [
        np.stack([values[1 - fold][:, own].T for fold, own in enumerate(classes)]) for values in (effect, p)
    ]
    mean = end.mean_drift.values
    share = np.divide(told_by_other[0], mean, out=np.full(told_by_other[0].shape, np.nan), where=mean > 0)
    return Chosen(classes, told_by_other[0], share, q_values(told_by_other[1]))


def chosen_by(effect: np.ndarray, se: np.ndarray, count: int) -> np.ndarray:
    """The units whose effects [folds, layers, units] are largest beside their errors, over all layers.

    Returns:
        int64[folds, ranks].
    """
    ratio = np.divide(effect, se, out=np.zeros(effect.shape), where=se > 0)
    return np.argsort(-np.square(ratio).mean(1), axis=-1, kind="stable")[:, :count]

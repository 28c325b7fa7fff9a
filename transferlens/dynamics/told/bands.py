"""Means over models, and their bands: about other models, with these images."""

from collections.abc import Mapping

import numpy as np

from transferlens.core.statistics import Interval, mean_interval
from transferlens.dynamics.similarity.minibatch import Estimate

Arrays = dict[str, np.ndarray]
ONE_MODEL = "one model was followed: how others would differ is not known (dynamics.models)"


def over_models(values: np.ndarray) -> Interval:
    """Means [...] of values [models, ...] with Student's interval; of one model, without (NaN).

    NaN where a model has none.
    """
    if len(values) == 1:
        unknown = np.full(values.shape[1:], np.nan)
        return Interval(values[0], unknown, unknown)
    return mean_interval(np.moveaxis(values, 0, -1))


def geometric(values: np.ndarray) -> Interval:
    """Geometric means [...] of positive values [models, ...], likewise."""
    logs = over_models(np.log(values))
    return Interval(*(np.exp(end) for end in (logs.value, logs.low, logs.high)))


def named(name: str, told: Interval | Estimate) -> Arrays:
    """An estimate's parts under the names that they are stored by: `name`, `name_low`, ..."""
    return {name if part == "value" else f"{name}_{part}": values for part, values in vars(told).items()}


def with_means(of_models: Mapping[str, np.ndarray], *names: str) -> Arrays:
    """Arrays [models, ...], and beside them the means over models of some, as `mean_<name>`."""
    means = [named(f"mean_{name}", over_models(of_models[name])) for name in names]
    return {key: values for part in (of_models, *means) for key, values in part.items()}


def collected(of_models: list[Arrays]) -> Arrays:
    """The same arrays of several models as one each, [models, ...]."""
    return {name: np.stack([own[name] for own in of_models]) for name in of_models[0]}

"""Pooled features along the way by every metric, and how far metrics agree."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transferlens.core import job
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import rank_correlations
from transferlens.dynamics.similarity.axes import Undefined
from transferlens.dynamics.similarity.metrics import METRICS, Metric
from transferlens.dynamics.similarity.minibatch import excess
from transferlens.dynamics.told import bands
from transferlens.dynamics.told.artefacts import REFERENCES
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed

# Their cost grows with the number of pairs of images.
_OF_PAIRS = (
    "cka_rbf",
    "rsa",
    "rsa_correlation",
    "distance_correlation",
    "distance_correlation_unbiased",
    "jaccard",
    "rank",
    "rank_jaccard",
    "second_order_cosine",
)
_MOST_IMAGES = 1024
_FEWEST_OF_PAIRS = 128
# Random orders of the images in a null, of all models together, at least.
_ORDERS = 8
# Orders of the first n images, by n.
Orders = Mapping[int, Sequence[Tensor]]


def images_of(metric: str, images: int) -> int:
    """How many of so many probe images a metric is told of, the first: a quarter, where it is of pairs."""
    most = max(images // 4, _FEWEST_OF_PAIRS) if metric in _OF_PAIRS else images
    return min(images, most, _MOST_IMAGES)


def orders_of(models: int) -> int:
    """How many random orders are told of each of so many models."""
    return -(-_ORDERS // models)


def told(probed: Probed, seed: int) -> Arrays:
    """Fields of SIMILARITY about metrics of pooled features on one domain, without the domain's axis."""
    rng = rng_for(seed, "dynamics", "metrics", probed.name)
    counts = sorted({images_of(name, probed.images) for name in METRICS})
    orders = {
        n: [torch.from_numpy(rng.permutation(n)) for _ in range(orders_of(len(probed.whole)))] for n in counts
    }
    layers = range(len(probed.layers))
    made = [
        [_of_layer(probed.pooled(model, layer, _MOST_IMAGES), orders) for layer in layers]
        for model in job.progress(probed.whole, f"metrics on {probed.name}", "models")
    ]
    # [metric, model, reference, layer, step, 1 + orders], the images' own order first.
    similar = np.stack([np.stack([values for values, _ in own], axis=2) for own in made], axis=1)
    notes = [
        [_first([own[layer][1][metric] for own in made]) for layer in layers]
        for metric in range(len(METRICS))
    ]
    return _beside_null(similar[..., 0], similar[..., 1:]) | {"metric_note": np.array(notes, object)}


def _of_layer(features: Tensor, orders: Orders) -> tuple[np.ndarray, list[str]]:
    """Pooled features [steps, images, channels] of a layer of a model by every metric.

    Returns:
        Similarities float64[metrics, references, steps, 1 + orders], with the images in their own order and
        in each other one; and what speaks against those of each metric, '' if nothing.
    """
    known: dict[Any, list[Any]] = {}
    similar, notes = [], []
    for name, metric in METRICS.items():
        n = images_of(name, features.shape[1])
        key = n, metric.prepare
        if key not in known:
            known[key] = [_prepared(metric, own[:n]) for own in features]
        ways = [_similarities(metric, known[key], order) for order in (None, *orders[n])]
        similar.append(np.stack(ways, axis=-1))
        notes.append(_note(metric, known[key], n))
    return np.stack(similar), notes


def _prepared(metric: Metric, features: Tensor) -> Any:
    """Features [n, channels] as a metric takes them; or why it does not."""
    try:
        return metric.prepare(features)
    except Undefined as reason:
        return reason


def _similarities(metric: Metric, prepared: Sequence[Any], order: Tensor | None) -> list[list[float]]:
    """Of networks along the way with the first and with the last, [references, steps]; the earlier is first.

    Args:
        order: of the images of the first, and of the last; None for their own.
    """
    start, end = (one if order is None else _permuted(one, order) for one in (prepared[0], prepared[-1]))
    return [
        [_between(metric, start, own) for own in prepared],
        [_between(metric, own, end) for own in prepared],
    ]


def _permuted(prepared: Any, order: Tensor) -> Any:
    return prepared if isinstance(prepared, Undefined) else prepared.permuted(order)


def _between(metric: Metric, one: Any, other: Any) -> float:
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return np.nan
    return metric.between(one, other)


def _note(metric: Metric, prepared: Sequence[Any], images: int) -> str:
    """What speaks against a metric of networks along the way; '' if nothing."""
    undefined = [own for own in prepared if isinstance(own, Undefined)]
    if undefined:
        return f"undefined after {len(undefined)} of {len(prepared)} kept steps: {undefined[0]}"
    return metric.warning(images, max(own.dimensions for own in prepared))


def _first(notes: Sequence[str]) -> str:
    return next(filter(None, notes), "")


def _beside_null(values: np.ndarray, null: np.ndarray) -> Arrays:
    """Similarities [metric, model, reference, layer, step], beside those with the images in random orders
    [..., orders], of all models together."""
    with warnings.catch_warnings():  # where all are NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, p95 = np.nanmean(null, axis=(1, 5)), np.nanquantile(null, 0.95, axis=(1, 5))
    above = excess(values, mean[:, None])
    return {
        "metric_value": values,
        "metric_null_mean": mean,
        "metric_null_p95": p95,
        "metric_excess": above,
        # After no step all are the same.
        **bands.named(
            "agreement", bands.over_models(_agreement(above[:, :, REFERENCES.index("start"), :, 1:]))
        ),
    }


def _agreement(similar: np.ndarray) -> np.ndarray:
    """Rank correlations [models, metrics, metrics] over cells of [metrics, models, layers, steps]."""
    metrics, models = similar.shape[:2]
    cells = similar.reshape(metrics, models, -1)
    made = np.full((models, metrics, metrics), np.nan)
    for model in range(models):
        for one in range(metrics):
            made[model, one, one] = 1
        for one, other in combinations(range(metrics), 2):
            pair = cells[[one, other], model]
            first, second = pair[:, ~np.isnan(pair).any(0)]
            (made[model, one, other],) = (made[model, other, one],) = rank_correlations(
                first[None], second[None]
            )
    return made

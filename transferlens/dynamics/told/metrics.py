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
_ORDERS = 4
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
    each, counts = orders_of(len(probed.whole)), {images_of(name, probed.images) for name in METRICS}
    orders = {n: [torch.from_numpy(rng.permutation(n)) for _ in range(each)] for n in sorted(counts)}
    layers = range(len(probed.layers))
    made = [
        [_of_layer(probed.pooled(model, layer, _MOST_IMAGES), orders) for layer in layers]
        for model in job.progress(probed.whole, f"metrics on {probed.name}", "models")
    ]
    similar = np.array([[similar for similar, _ in own] for own in made])  # [model, layer, metric, way, step]
    notes = np.array([[notes for _, notes in own] for own in made], object)  # [model, layer, metric]
    similar = similar.transpose(2, 0, 3, 1, 4)
    return {
        **_beside_null(similar[:, :, :2], similar[:, :, 2:]),
        "metric_note": np.array([[_first(own) for own in of_layers] for of_layers in notes.T], object),
    }


def _of_layer(features: Tensor, orders: Orders) -> tuple[list[list[list[float]]], list[str]]:
    """Pooled features [steps, images, channels] of a layer of a model by every metric.

    Returns:
        Similarities of each metric [2 + orders, steps], as of `_similarities`; and what speaks against them,
        '' if nothing.
    """
    known: dict[Any, list[Any]] = {}
    similar, notes = [], []
    for name, metric in METRICS.items():
        n = images_of(name, features.shape[1])
        key = n, metric.prepare
        if key not in known:
            known[key] = [_prepared(metric, own[:n]) for own in features]
        similar.append(_similarities(metric, known[key], orders[n]))
        notes.append(_note(metric, known[key], n))
    return similar, notes


def _first(notes: Sequence[str]) -> str:
    return next(filter(None, notes), "")


def _prepared(metric: Metric, features: Tensor) -> Any:
    """Features [n, channels] as a metric takes them; or why it does not."""
    try:
        return metric.prepare(features)
    except Undefined as reason:
        return reason


def _similarities(metric: Metric, prepared: Sequence[Any], orders: Sequence[Tensor]) -> list[list[float]]:
    """Of networks along the way with the first, the last, and the first in other orders of its images.

    [2 + orders, steps]; of two networks, the earlier comes first.
    """
    start, end = prepared[0], prepared[-1]
    to_end = [_between(metric, own, end) for own in prepared]
    to_start, *null = [
        [_between(metric, one, own) for own in prepared]
        for one in (start, *(_permuted(start, order) for order in orders))
    ]
    return [to_start, to_end, *null]


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


def _beside_null(values: np.ndarray, null: np.ndarray) -> Arrays:
    """Similarities [metric, model, reference, layer, step] beside those with the start in other orders of its
    images [metric, model, order, layer, step]."""
    with warnings.catch_warnings():  # where all are NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, p95 = np.nanmean(null, axis=(1, 2)), np.nanquantile(null, 0.95, axis=(1, 2, 4))
    above = excess(values[:, :, REFERENCES.index("start")], mean[:, None])
    return {
        "metric_value": values,
        "metric_null_mean": mean,
        "metric_null_p95": p95,
        "metric_excess": above,
        # Before the first step all are the same.
        **bands.named("agreement", bands.over_models(_agreement(above[..., 1:]))),
    }


def _agreement(similar: np.ndarray) -> np.ndarray:
    """Rank correlations [models, metrics, metrics] over cells of [metrics, models, layers, steps]."""
    metrics, models = similar.shape[:2]
    made = np.tile(np.eye(metrics), (models, 1, 1))
    for model, cells in enumerate(similar.swapaxes(0, 1).reshape(models, metrics, -1)):
        for one, other in combinations(range(metrics), 2):
            pair = cells[[one, other]]
            told_of = pair[:, ~np.isnan(pair).any(0)]
            (found,) = rank_correlations(told_of[:1], told_of[1:])
            made[model, one, other] = made[model, other, one] = found
    return made

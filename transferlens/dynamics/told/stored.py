"""All that is told of networks on their way, from what they make of both domains, as it is stored."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlens.core import artefacts
from transferlens.dynamics.similarity.metrics import METRICS
from transferlens.dynamics.told import bands, classes, gaps, levels, maps, metrics, paths
from transferlens.dynamics.told.artefacts import REFERENCES, SIMILARITY
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed


@torch.inference_mode()
def write(
    path: Path, activities: Mapping[str, Sequence[Path]], models: int, permutations: int, seed: int
) -> None:
    """Tell everything, and store it.

    Args:
        activities: files of ACTIVITY of all shards by data set, the target's first; the source's beside them,
            where it is another one.
        models: pairs of a source model and one from scratch that are told of, the first.
        permutations: random orders of the images in the null of CKA.

    Raises:
        ArtefactError: damaged files, or files of other networks.
    """
    with ExitStack() as stack:
        domains = [Probed(paths, name, models, stack) for name, paths in activities.items()]
        parts = [_of_domain(probed, permutations, seed) for probed in domains]
        arrays = _identity(domains) | _stacked(parts)
        for probed, kind in zip(domains, ("target_class", "source_class"), strict=False):
            arrays |= classes.told(probed, kind)
        if len(domains) > 1:
            arrays |= gaps.told(*domains)
    with artefacts.create(path, SIMILARITY) as out:
        for name, values in arrays.items():
            out.write(name, values)
        for name, value in _attributes(domains).items():
            out.attribute(name, value)


def _of_domain(probed: Probed, permutations: int, seed: int) -> Arrays:
    """Every field with an axis `domain`, without it."""
    of_maps = maps.told(probed, permutations, seed)
    ways = paths.told(probed, of_maps["excess"], of_maps["to_start_high"][..., -1])
    return of_maps | ways | levels.told(probed) | metrics.told(probed, seed)


def _stacked(parts: Sequence[Arrays]) -> Arrays:
    """Arrays of every domain as one each."""
    axes = {name: SIMILARITY.field(name).dims.index("domain") for name in parts[0]}
    return {name: np.stack([own[name] for own in parts], axis) for name, axis in axes.items()}


def _identity(domains: Sequence[Probed]) -> Arrays:
    """The coordinates, and what the target's file holds."""
    target = domains[0]
    models = len(target.whole)
    return {
        "domain": [probed.name for probed in domains],
        "model": target.numbers[target.whole],
        "layer": target.layers,
        "other_layer": target.layers,
        "step": target.steps,
        "other_step": target.steps,
        "metric": list(METRICS),
        "other_metric": list(METRICS),
        "metric_title": [metric.title for metric in METRICS.values()],
        "metric_images": [[metrics.images_of(name, own.images) for own in domains] for name in METRICS],
        "metric_permutations": [models * metrics.orders_of(models)] * len(METRICS),
        "reference": list(REFERENCES),
        "accuracy": np.stack([target.accuracy(model) for model in target.whole]),
    }


def _attributes(domains: Sequence[Probed]) -> dict[str, Any]:
    return {
        "images": [probed.images for probed in domains],
        "batches": [probed.batches for probed in domains],
        "gap_images": [gaps.images_of(probed.images) for probed in domains],
        "band_missing": bands.ONE_MODEL if len(domains[0].whole) == 1 else "",
        "gap_missing": "the target is the source" if len(domains) == 1 else "",
    }

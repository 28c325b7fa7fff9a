"""Bounds of all models of a study, their means by role, and their artefact and table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.core import artefacts, job, studies
from transferlens.core.seeding import rng_for
from transferlens.core.settings import ClassSelection
from transferlens.core.studies import Rows
from transferlens.data.index import SPLITS, Index
from transferlens.data.selection import chosen_classes
from transferlens.relatedness import means
from transferlens.relatedness.artefacts import ACTUAL, COLUMNS, QUANTITIES, RELATEDNESS
from transferlens.relatedness.measured import Grid, Parts, Values, images_of, measure
from transferlens.relatedness.settings import learned
from transferlens.training import reading


@dataclass(frozen=True)
class Side:
    """A task and the features of it.

    Attributes:
        features: shards of features of the study, by split.
        class_names: of the task.
    """

    parts: Parts
    features: Mapping[str, Sequence[Path]]
    class_names: list[str]


def side(
    name: str,
    index: Index,
    features: Mapping[str, Sequence[Path]],
    classes: Mapping[str, Any] | None,
    most: int,
    seed: int,
) -> Side:
    """The task of some classes of a data set.

    Args:
        name: of the data set.
        classes: a `ClassSelection`; None for all.
        most: images of a class in either split.
    """
    selection = None if classes is None else ClassSelection.read(classes)
    chosen = chosen_classes(f"the classes of {name}", index.class_names, selection)
    parts = [
        images_of(index.split(split).labels, chosen, most, rng_for(seed, "relatedness", name, split))
        for split in SPLITS
    ]
    names = [index.class_names[c] for c in chosen]
    return Side(Parts(*parts, len(chosen), name), features, names)


def write_relatedness(
    path: Path, reference: Side, target: Side, rows: int, grid: Grid, told: Mapping[str, Any]
) -> None:
    """Relate a reference to a target by every model, and store what comes of it.

    Args:
        rows: how many of the study's first models.
        told: attributes that the settings know.
    """
    study = reading.feature_rows(target.features["train"]).first(rows)
    made, stages = _of_models(reference, target, study, grid)
    values = {name: np.stack([of[name] for of in made]) for name in made[0]}
    with artefacts.create(path, RELATEDNESS) as out:
        studies.write_rows(out, study)
        _write_coordinates(out, reference, target, grid, values)
        for name, of_models in {"stage": stages, **values, **_summaries(values, study)}.items():
            out.write(name, of_models)
        labels = target.parts.test.labels
        out.write("class_prior", np.bincount(labels, minlength=target.parts.classes) / len(labels))
        for name, value in {**told, **_attributes(reference, target, grid, values)}.items():
            out.attribute(name, value)


def _attributes(reference: Side, target: Side, grid: Grid, values: Values) -> dict[str, Any]:
    better = values["probe_is_better"]
    return {
        "feature_map": grid.feature_map,
        "label_start": grid.label_start,
        "log_classes": np.log(target.parts.classes),
        "target_images": len(target.parts.test.labels),
        "reference_images": len(reference.parts.test.labels),
        "bounds": better.size,
        "assumption_failed": int((~better).sum()),
    }


def _of_models(reference: Side, target: Side, study: Rows, grid: Grid) -> tuple[list[Values], list[str]]:
    """What every model tells, one after the other, and the names of the proved inequalities."""
    files = [side.features[split] for side in (reference, target) for split in SPLITS]
    models = zip(*(reading.model_features(paths, study.numbers) for paths in files), strict=True)
    made = []
    of_study = zip(study.numbers, models, strict=True)
    for number, features in job.progress(of_study, "bounds", "models", len(study)):
        reference_train, reference_test, target_train, target_test = (of.features for of in features)
        tasks = (
            reference.parts.task(reference_train, reference_test, str(number)),
            target.parts.task(target_train, target_test, str(number)),
        )
        values, stages = measure(*tasks, grid)
        made.append(values)
    return made, stages


def _write_coordinates(
    out: artefacts.Writer, reference: Side, target: Side, grid: Grid, values: Values
) -> None:
    for name, coordinates in (
        ("tau", grid.taus),
        ("transform", grid.transforms),
        ("draw", np.arange(grid.draws)),
        ("target_class", target.class_names),
        ("reference_class", reference.class_names),
        ("quantity", QUANTITIES),
        ("actual", ACTUAL),
    ):
        out.write(name, coordinates)
    if "trace_bound" in values:
        out.write("trace_transform", learned(grid.transforms))
        out.write("round", np.arange(values["trace_bound"].shape[-1]))
    if "published" in values:
        out.write("column", COLUMNS)


def _summaries(values: Values, study: Rows) -> dict[str, Any]:
    """Means over models of each role, the least over draws, and what goes with what over models."""
    roles = list(dict.fromkeys(study.roles))
    found = [_of_role({name: of[study.of_role(role)] for name, of in values.items()}) for role in roles]
    stacked = {name: np.stack([of[name] for of in found]) for name in found[0]}
    counts = [len(study.of_role(role)) for role in roles]
    return {"model_role": roles, "role_models": counts, **stacked}


def _of_role(values: Values) -> Values:
    """Of models of one role: see RELATEDNESS."""
    names = ("mean", "mean_low", "mean_high", "least")
    of_quantities = [_mean(values, quantity) for quantity in QUANTITIES]
    summary = {name: np.stack([of[i] for of in of_quantities], axis=-1) for i, name in enumerate(names)}
    return summary | _correlations(values)


def _mean(values: Values, quantity: str) -> tuple[np.ndarray, ...]:
    """Mean, ends and least of a quantity, float64[taus, transforms] each."""
    own = _by_transform(values[quantity], values["bound"])
    low, high = (
        _by_transform(values.get(f"{quantity}_{end}", own), values["bound"]) for end in ("low", "high")
    )
    # Draws share their images: the mean of their reaches is at least the reach of their mean.
    made = means.over_models(own.mean(-1), (high - low).mean(-1) / 2)
    possible = (0, 1) if quantity.endswith("accuracy") else (-np.inf, np.inf)
    return made.value, *np.clip((made.low, made.high), *possible), own.min(-1).mean(0)


def _by_transform(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Values of every draw [models, taus, transforms, draws]; those of the probe [models, taus] for each."""
    return values if values.ndim == like.ndim else np.broadcast_to(values[:, :, None, None], like.shape)


def _correlations(values: Values) -> Values:
    """Of the bound (mean over draws) with what it is set against, [taus, transforms, actual] each."""
    of_models = values["bound"].mean(-1)
    _, taus, transforms = of_models.shape
    found = np.array(
        [
            [
                [means.correlation(of_models[:, t, f], values[actual][:, t]) for actual in ACTUAL]
                for f in range(transforms)
            ]
            for t in range(taus)
        ]
    )
    return {f"correlation{end}": found[..., i] for i, end in enumerate(("", "_low", "_high"))}


def table(made: xr.Dataset) -> pd.DataFrame:
    """One row for every model, tau, transform and draw, with all numbers of a bound and of the probe."""
    return pd.DataFrame(list(_table_rows(made)))


def _table_rows(made: xr.Dataset) -> Iterator[dict[str, Any]]:
    of_bound = ("model", "tau", "transform", "draw")
    names = [name for name, values in made.data_vars.items() if values.dims in (of_bound, of_bound[:2])]
    for i, j, k, m in np.ndindex(*(made.sizes[dim] for dim in of_bound)):
        one = made.isel(model=i, tau=j, transform=k, draw=m)
        place = {dim: one[dim].item() for dim in of_bound}
        yield {**place, "role": one.role.item(), **{name: one[name].item() for name in names}}

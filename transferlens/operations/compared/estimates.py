"""What a results folder says of a target and recipe, one estimate a row, under names that runs share.

Everything is of the report half, where halves are told apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy
import xarray as xr

from transferlens.core.statistics import mean_interval
from transferlens.operations.compared.folders import Folder

HALF = "report"
OUTPUTS = ("margin", "p_true")
REFERENCE, INFLUENCE = "reference", "influence"
RELIABILITY = "reliability of class influences"
_ROLES = ("full", "scratch")


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        se: standard error of a Student's interval; NaN for intervals of another kind.
        by_model: float[models], whose mean the value is; empty if it is no such mean.
    """

    value: float
    low: float
    high: float
    se: float = np.nan
    by_model: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Quantity:
    """Estimates of one kind, by the names of what they are of.

    Attributes:
        studies: whose models the estimates come from.
    """

    name: str
    studies: tuple[str, ...]
    estimates: dict[tuple[str, ...], Estimate]


def adaptations(folder: Folder) -> set[tuple[str, str]]:
    """(target, recipe) of all that can be compared: what comes of influences, and of memories."""
    starts = ("influence", "scores", "counterfactual", "heatmaps", "memories", f"studies/{REFERENCE}/summary")
    found = set()
    for place in folder.made:
        for start in starts:
            if place.startswith(f"{start}/"):
                parts = place.removeprefix(f"{start}/").removesuffix(".h5").split("/")
                found.add((parts[0], parts[1]))
    return found


def quantities(folder: Folder, target: str, recipe: str) -> Iterator[Quantity]:
    """All that a folder knows of a target and recipe."""
    here, results = f"{target}/{recipe}", folder.results
    if folder.has(f"studies/{REFERENCE}/summary/{here}.h5"):
        yield _accuracy(results.summary(REFERENCE, target, recipe, outputs=()))
    if folder.has(f"influence/{here}.h5"):
        for output in OUTPUTS:
            if output in _outputs(folder, here):
                yield _influence(results.influence(target, recipe, output), output)
    if folder.has(f"scores/{here}.h5"):
        yield from _scores(results.scores(target, recipe))
    if folder.has(f"counterfactual/{here}.h5"):
        yield _gains(results.counterfactual(target, recipe), f"counterfactual/{here}")
    if folder.has(f"memories/{here}/probes.h5"):
        yield from _heads(results.memory_probes(target, recipe))


def _outputs(folder: Folder, here: str) -> list[str]:
    return folder.made[f"influence/{here}.h5"][1].get("outputs", [])


def _accuracy(summary: xr.Dataset) -> Quantity:
    """Mean accuracy of the reference models of each role."""
    estimates = {}
    for role in _ROLES:
        values = summary.accuracy.sel(half=HALF).values[summary.role.values == role]
        if len(values):
            estimates[(role,)] = of_models(values)
    return Quantity("accuracy of transfers", (REFERENCE,), estimates)


def of_models(values: np.ndarray) -> Estimate:
    """The mean of values float[models]; of one model without an interval."""
    if len(values) < 2:
        return Estimate(float(values.mean()), np.nan, np.nan, np.nan, values)
    mean = mean_interval(values)
    se = values.std(ddof=1) / np.sqrt(len(values))
    return Estimate(float(mean.value), float(mean.low), float(mean.high), float(se), values)


def _influence(influence: xr.Dataset, output: str) -> Quantity:
    estimates = _cells(influence.sel(half=HALF), "class_effect", ("target_class", "source_class"))
    return Quantity(f"class influence on {output}", (INFLUENCE,), estimates)


def _scores(scores: xr.Dataset) -> Iterator[Quantity]:
    """Score and reliability of the reported estimator from all models."""
    estimator = scores.attrs["reported_estimator"]
    scores = scores.sel(estimator=estimator).isel(models=[-1])
    for name, title in (("score", "influence score"), ("reliability", RELIABILITY)):
        # Named by the estimator: how many models it had need not be the same.
        estimates = {(estimator,): _cells(scores, name, ("models",))[str(scores.models.values[0]),]}
        yield Quantity(title, (INFLUENCE,), estimates)


def _gains(removals: xr.Dataset, study: str) -> Quantity:
    """Gains of every order and k, by repeat where these give the stored mean."""
    removals = removals.sel(half=HALF)
    repeats = removals.sizes["repeat"]
    by_repeat = removals.accuracy.values - removals.full.values[:repeats]
    exact = np.allclose(by_repeat.mean(-1), removals.gain_mean.values)
    estimates = {}
    for i, order in enumerate(removals.order.values):
        for j, k in enumerate(removals.k.values):
            cell = removals.isel(order=i, k=j)
            value, low, high = (float(cell[f"gain_mean{end}"]) for end in ("", "_low", "_high"))
            se = (high - low) / 2 / scipy.stats.t.ppf(0.975, repeats - 1) if repeats > 1 else np.nan
            rows = by_repeat[i, j] if exact else np.zeros(0)
            estimates[str(order), str(k)] = Estimate(value, low, high, float(se), rows)
    return Quantity("counterfactual gain", (REFERENCE, study), estimates)


def _heads(probes: xr.Dataset) -> Iterator[Quantity]:
    """What source heads still tell of source classes, and how target heads bind them."""
    retained = _cells(probes, "retained", ("source_class",))
    yield Quantity("source accuracy retained", (REFERENCE,), retained)
    binding = _cells(probes.sel(half=HALF), "binding", ("source_class", "target_class"))
    yield Quantity("binding of classes", (REFERENCE,), binding)


def _cells(dataset: xr.Dataset, name: str, axes: tuple[str, ...]) -> dict[tuple[str, ...], Estimate]:
    """A stored estimate cell by cell, by the names along its axes."""
    parts = [dataset[name + end].transpose(*axes).values for end in ("", "_low", "_high")]
    se = dataset[f"{name}_se"].transpose(*axes).values if f"{name}_se" in dataset else parts[0] * np.nan
    labels = [dataset[axis].values.astype(str) for axis in axes]
    return {
        tuple(str(names[i]) for names, i in zip(labels, place, strict=True)): Estimate(
            *(float(part[place]) for part in parts), float(se[place])
        )
        for place in np.ndindex(parts[0].shape)
    }
